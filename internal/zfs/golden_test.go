package zfs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// golden are what the programs printed on real hosts, by OpenZFS version:
// testdata/NAME-VERSION.txt, with "*" for the version.
func golden(t testing.TB, pattern string) map[string]string {
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := map[string]string{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		all[file] = string(b)
	}
	return all
}

func TestGoldenGet(t *testing.T) {
	lines := func(source string) Property { return Property{Value: "one\ntwo\tthree\tlocal\nfour", Source: source} }
	utf8 := func(source string) Property { return Property{Value: "Größe 日本", Source: source} }
	order := asked([]string{
		"origin", "readonly", "mountpoint", "org.test:lines", "org.test:empty", "org.test:utf8", "org.test:op", "guid",
	})
	for file, out := range golden(t, "get-*.txt") {
		all, err := parseGet(out, order)
		require.NoError(t, err, file)
		require.Len(t, all, 5)
		assert.Equal(t, []string{"gold", "gold/clone", "gold/fs", "gold/fs@snap", "gold/fs/child"},
			[]string{all[0].Name, all[1].Name, all[2].Name, all[3].Name, all[4].Name})
		assert.Equal(t, Snapshot, all[3].Kind)
		assert.Equal(t, Filesystem, all[4].Kind)
		assert.NotContains(t, all[0].Props, "org.test:lines")
		assert.Equal(t, Property{Value: "gold/fs@snap", Source: SourceNone}, all[1].Props["origin"])
		assert.Equal(t, lines(SourceLocal), all[2].Props["org.test:lines"])
		assert.Equal(t, Property{Source: SourceLocal}, all[2].Props["org.test:empty"])
		assert.Equal(t, lines("gold/fs"), all[3].Props["org.test:lines"])
		assert.Equal(t, Property{Value: "1", Source: SourceLocal}, all[3].Props["org.test:op"])
		assert.Equal(t, Property{Value: "-", Source: SourceNone}, all[3].Props["readonly"])
		assert.Equal(t, utf8("gold/fs"), all[4].Props["org.test:utf8"])
		assert.Regexp(t, "^[0-9]+$", all[4].Props["guid"].Value)
	}
	for file, out := range golden(t, "getall-*.txt") {
		all, err := parseGet(out, nil)
		require.NoError(t, err, file)
		all = answer(all, Query{Kinds: []Kind{Filesystem, Snapshot}})
		require.Len(t, all, 5)
		noauto := Property{Value: "noauto", Source: SourceLocal}
		assert.Equal(t, map[string]Property{"canmount": noauto}, all[1].Props)
		assert.Equal(t, map[string]Property{
			"canmount": noauto, "readonly": {Value: "on", Source: SourceLocal}, "org.test:lines": lines(SourceLocal),
			"org.test:empty": {Source: SourceLocal}, "org.test:utf8": utf8(SourceLocal),
		}, all[2].Props)
		assert.Equal(t, map[string]Property{"org.test:op": {Value: "1", Source: SourceLocal}}, all[3].Props)
	}
}

func TestGoldenStatus(t *testing.T) {
	disk := func(n, state, mirror, class string) Leaf {
		l := Leaf{Path: "/dev/shm/gold/disk" + n, State: state, Mirror: mirror, Class: class}
		if mirror == "" {
			l.Mirror = l.Path
		}
		return l
	}
	rest := []Leaf{
		disk("3", "ONLINE", "mirror-1", "special"), disk("4", "ONLINE", "mirror-1", "special"),
		disk("5", "ONLINE", "", "logs"), disk("6", "ONLINE", "", "cache"), disk("7", "AVAIL", "", "spares"),
	}
	one, two := disk("1", "ONLINE", "mirror-0", ""), disk("2", "UNAVAIL", "mirror-0", "")
	fresh := disk("8", "ONLINE", "mirror-0", "")
	fresh.Resilvering = true
	for scenario, mirror := range map[string][]Leaf{
		"whole":    {one, disk("2", "ONLINE", "mirror-0", "")},
		"absent":   {one, two},
		"resilver": {one, two, fresh},
		"offline":  {one, disk("8", "OFFLINE", "mirror-0", "")},
	} {
		for file, out := range golden(t, "status-*-"+scenario+".txt") {
			got, err := parseStatus(out)
			require.NoError(t, err, file)
			want := append(mirror[:len(mirror):len(mirror)], rest...)
			assert.Equal(t, want, got, file)
		}
	}
}
