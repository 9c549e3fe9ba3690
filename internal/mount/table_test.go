package mount

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseMount(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		want       Mounted
	}{
		{"zfs", `36 35 0:98 / /mnt rw,noatime shared:1 master:2 - zfs rpool/ROOT/be rw,xattr,posixacl`,
			Mounted{36, 35, "rpool/ROOT/be", "/", "/mnt", "zfs", []string{"rw", "noatime", "rw", "xattr", "posixacl"}}},
		{"escapes", `1 0 0:1 /a\134b /mnt\040with\011tab\012line\043hash rw - zfs tank/a\040b rw`,
			Mounted{1, 0, "tank/a b", `/a\b`, "/mnt with\ttab\nline#hash", "zfs", []string{"rw", "rw"}}},
		{"no source", `1 0 0:1 / / rw - tmpfs  rw`,
			Mounted{1, 0, "", "/", "/", "tmpfs", []string{"rw", "rw"}}},
		{"not an escape", `1 0 0:1 / /a\9zz\04 rw - tmpfs x rw`,
			Mounted{1, 0, "x", "/", `/a\9zz\04`, "tmpfs", []string{"rw", "rw"}}},
		{"non-ASCII", "1 0 0:1 / /mnt/ü rw - zfs tank/ü rw",
			Mounted{1, 0, "tank/ü", "/", "/mnt/ü", "zfs", []string{"rw", "rw"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseMount(tc.line)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
	for _, line := range []string{"", "x", "1 0 0:1 / / rw", "a 0 0:1 / / rw - zfs a rw", "1 b 0:1 / / rw - zfs a rw", "1 0 0:1 / / rw - zfs"} {
		_, err := parseMount(line)
		require.ErrorContains(t, err, "cannot read mountinfo line")
	}
}

// escape is what the kernel does to the strings of mountinfo.
func escape(s string) string {
	return strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`, "#", `\043`).Replace(s)
}

func FuzzParseTable(f *testing.F) {
	f.Add("/mnt/a b", "rpool/ROOT/be", `36 35 0:98 / /mnt rw shared:1 - zfs rpool/x rw`)
	f.Add(`\040`, "", "- - - -")
	f.Fuzz(func(t *testing.T, dir, source, line string) {
		_, _ = parseTable(line) // must not panic
		m, err := parseMount("36 35 0:98 / " + escape(dir) + " rw shared:1 - zfs " + escape(source) + " rw")
		require.NoError(t, err)
		require.Equal(t, dir, m.Dir)
		require.Equal(t, source, m.Dataset)
	})
}

func TestCheck(t *testing.T) {
	for _, dir := range []string{"", "/a", "..", "a/..", "a//b", "a/", ".", "a/../../b", "a\x00b"} {
		require.Error(t, Tree{{Dataset: "a", Dir: "."}, {Dataset: "b", Dir: dir}}.check(), "%q", dir)
	}
	require.Error(t, Tree{}.check())
	require.Error(t, Tree{{Dataset: "a", Dir: "a"}}.check())
	require.Error(t, Tree{{Dataset: "", Dir: "."}}.check())
	require.NoError(t, Tree{{Dataset: "a", Dir: "."}, {Dataset: "b", Dir: "boot/grub"}}.check())
}
