package zfs

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// print writes datasets as "zfs get -H" does.
func print(all []Dataset, order []string) string {
	var b strings.Builder
	for _, d := range all {
		for _, prop := range order {
			p, ok := d.Props[prop]
			source := p.Source
			switch source {
			case SourceLocal, SourceReceived, SourceDefault, "temporary":
			case SourceNone:
				source = "-"
			default:
				source = (inherited + source)[:min(cut, len(inherited+source))]
			}
			if !ok {
				p.Value, source = "-", "-"
			}
			b.WriteString(strings.Join([]string{d.Name, prop, p.Value, source}, "\t") + "\n")
		}
	}
	return b.String()
}

func fsProps(more map[string]Property) map[string]Property {
	more["type"] = Property{Value: "filesystem", Source: SourceNone}
	return more
}

func TestParseGet(t *testing.T) {
	order := []string{"type", "a:b", "origin", "c:d"}
	none := Property{Value: "-", Source: SourceNone}
	want := []Dataset{
		{Name: "p", Kind: Filesystem, Props: fsProps(map[string]Property{"origin": none})},
		{Name: "p/x y", Kind: Filesystem, Props: fsProps(map[string]Property{
			"a:b":    {Value: "one\n\ntwo\tthree\tlocal", Source: SourceLocal},
			"origin": none,
			"c:d":    {Value: "p/x y\ttype\tfilesystem\t-\n", Source: "p"},
		})},
		{Name: "p/x y@s", Kind: Snapshot, Props: map[string]Property{
			"type": {Value: "snapshot", Source: SourceNone}, "origin": none,
			"a:b": {Value: "", Source: "p/x y"},
			"c:d": {Value: "-", Source: SourceReceived},
		}},
	}
	got, err := parseGet(print(want, order), order)
	require.NoError(t, err)
	assert.Equal(t, want, got)

	got, err = parseGet("", order)
	assert.NoError(t, err)
	assert.Empty(t, got)
}

func TestParseGetRefusesWhatItDoesNotKnow(t *testing.T) {
	order := []string{"type", "a:b"}
	for _, out := range []string{
		"\n", "p\n", "p\ttype\n", "p\ttype\tfilesystem\n",
		"p\ttype\tfilesystem\t-",
		"p\ttype\tfilesystem\tnowhere\n",
		"p\ta:b\tx\tlocal\n",
		"p\ttype\tfilesystem\t-\n",
		"p\ttype\tfilesystem\t-\np\ta:b\tx\n",
		"-p\ttype\tfilesystem\t-\n-p\ta:b\tx\tlocal\n",
		"warning: something\np\ttype\tfilesystem\t-\np\ta:b\tx\tlocal\n",
	} {
		_, err := parseGet(out, order)
		assert.Error(t, err, "%q", out)
	}
}

func TestSourceThatWasCutOff(t *testing.T) {
	deep := "p/" + strings.Repeat("0123456789/", 12) + "end"
	for from, want := range map[string]string{
		"p":                  "p",
		deep[:57]:            deep[:57],
		deep[:111]:           deep[:111], // as long as fits
		deep[:122]:           deep[:122],
		deep:                 deep[:122], // nobody can tell
		deep[:122] + "/else": deep[:122],
	} {
		out := print([]Dataset{{Name: deep + "@s", Props: map[string]Property{"a:b": {Value: "x", Source: from}}}}, []string{"a:b"})
		got, err := parseGet(out, []string{"a:b"})
		require.NoError(t, err)
		assert.Equal(t, want, got[0].Props["a:b"].Source, "from %q", from)
	}
}

func FuzzParseGet(f *testing.F) {
	f.Add("p\ttype\tfilesystem\t-\np\ta:b\tx\tlocal\n", "x", "p")
	f.Add("p\ttype\tfilesystem\t-\np\ta:b\tx\ny\tlocal\n", "x\ny\tlocal\n\tz", "inherited from p")
	f.Add("p@s\ta:b\t\tinherited from p\n", "\n\n\t", "p\tc:d\tx\tlocal")
	for _, out := range golden(f, "get*.txt") {
		f.Add(out, "x", "y")
	}
	order := []string{"type", "a:b", "origin", "c:d"}
	f.Fuzz(func(t *testing.T, out, v1, v2 string) {
		_, _ = parseGet(out, order)
		_, _ = parseGet(out, nil)

		// A value that holds the very record which comes next cannot be told
		// from it; no other value may be misread.
		if slices.ContainsFunc([]string{v1, v2}, func(v string) bool { return strings.Contains(v, "\np/") }) {
			t.Skip()
		}
		var want []Dataset
		for _, name := range []string{"p/a", "p/a/b"} {
			want = append(want, Dataset{Name: name, Kind: Filesystem, Props: fsProps(map[string]Property{
				"a:b":    {Value: v1, Source: SourceLocal},
				"origin": {Value: "-", Source: SourceNone},
				"c:d":    {Value: v2, Source: "p"},
			})})
		}
		for _, known := range [][]string{order, nil} {
			got, err := parseGet(print(want, order), known)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	})
}
