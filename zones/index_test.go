package zones

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIndex(t *testing.T) {
	text := recorded(t, "index")
	x := ParseIndex(text)
	require.Equal(t, text, x.Encode())
	var zones []IndexZone
	for _, l := range x {
		if l.Zone != nil {
			zones = append(zones, *l.Zone)
		}
	}
	require.Equal(t, []IndexZone{
		{"global", Installed, "/", ""},
		{"web", Installed, "/zones/web", "3c8e6c7d-9a38-4d2e-8f24-0f5d7c1b9a01"},
		{"build", Installed, "/data/zone:s/build", "9b0f1d52-6c1a-47f0-b6a3-2f6b1f3f7b10"},
		{"db-1", Configured, "/zones/db-1", ""},
		{"half", Incomplete, "/zones/half", "0a4f5f3e-35a2-4a0c-a7b7-6c5f0b8f5d11"},
	}, zones)
	for _, z := range zones[1:] {
		require.Contains(t, text, z.Encode())
	}
	require.Equal(t, "/data/zone:s/build/root", x.Find("build").Root())
	require.Nil(t, x.Find("odd"))
}

func TestIndexLine(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want *IndexZone
	}{
		"plain":              {"a:installed:/a:u\n", &IndexZone{"a", Installed, "/a", "u"}},
		"more fields":        {"a:installed:/a:u:more\n", &IndexZone{"a", Installed, "/a", "u"}},
		"quotes for nothing": {`a:installed:"/a":u` + "\n", &IndexZone{"a", Installed, "/a", "u"}},
		"after the quotes":   {`a:installed:"/a"b:u` + "\n", &IndexZone{"a", Installed, "/a", "u"}},
		"quotes do not end":  {`a:installed:"/a:u` + "\n", &IndexZone{"a", Installed, "/a:u", ""}},
		"no path":            {"a:configured\n", &IndexZone{"a", Configured, "", ""}},
		"carriage return":    {"a:installed:/a:u\r\n", &IndexZone{"a", Installed, "/a", "u"}},
		"comment":            {"#a:installed:/a:u\n", nil},
		"empty":              {"\n", nil},
		"cut short":          {"a:installed:/a:u", nil},
		"another state":      {"a:ready:/a:u\n", nil},
		"no state":           {"a::/a:u\n", nil},
		"no name":            {":installed:/a:u\n", nil},
		"a bad name":         {`"a:b":installed:/a:u` + "\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			x := ParseIndex(c.line)
			require.Len(t, x, 1)
			require.Equal(t, c.want, x[0].Zone)
			require.Equal(t, c.line, x.Encode())
		})
	}
	require.Empty(t, ParseIndex(""))
}

func FuzzIndex(f *testing.F) {
	f.Add(recorded(f, "index"))
	f.Add(`a:installed:"/a"b:"u:":` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		x := ParseIndex(text)
		require.Equal(t, text, x.Encode())
		for _, l := range x {
			if l.Zone == nil {
				continue
			}
			line := l.Zone.Encode()
			require.Equal(t, 1, strings.Count(line, "\n"))
			require.Equal(t, Index{{line, l.Zone}}, ParseIndex(line))
		}
	})
}
