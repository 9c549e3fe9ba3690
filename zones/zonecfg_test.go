package zones

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestZonecfg(t *testing.T) {
	text := recorded(t, "zonecfg-web.txt")
	c, err := ParseZonecfg(text)
	require.NoError(t, err)
	require.Equal(t, "/zones/web", c.Get("zonepath"))
	require.Equal(t, "-m verbose", c.Get("bootargs"))
	require.Empty(t, c.Get("pool"))
	require.Len(t, c.Resources, 10)
	require.Equal(t, Resource{"capped-memory", []Property{{Name: "physical", Value: "512M"}}}, c.Resources[3])
	require.Equal(t, Resource{"rctl", []Property{
		{Name: "name", Value: "zone.max-swap"},
		{Name: "value", Added: true, Parts: []Part{{"priv", "privileged"}, {"limit", "1073741824"}, {"action", "deny"}}},
	}}, c.Resources[4])
	require.Equal(t, Resource{"dedicated-cpu", []Property{{Name: "ncpus", Value: "1-3"}, {Name: "importance", Value: "2"}}}, c.Resources[8])

	for _, name := range []string{"zonecfg-web.txt", "zonecfg-smartos.txt"} {
		text := recorded(t, name)
		c, err := ParseZonecfg(text)
		require.NoError(t, err)
		back, err := c.Encode()
		require.NoError(t, err)
		require.Equal(t, text, back)
	}
}

func TestZonecfgEncodeQuotes(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"not quoted in an export": {"create -b\nset bootargs=-m verbose\n", "create -b\nset bootargs=\"-m verbose\"\n"},
		"equal signs":             {"create -b\nset bootargs=a=b\n", "create -b\nset bootargs=\"a=b\"\n"},
		"a keyword":               {"create -b\nset pool=net\n", "create -b\nset pool=\"net\"\n"},
		"nothing":                 {"create -b\nset pool=\n", "create -b\nset pool=\"\"\n"},
		"a list": {"create -b\nadd fs\nadd options [ro,\"a,b\", nodevices]\nend\n",
			"create -b\nadd fs\nadd options ro\nadd options a,b\nadd options nodevices\nend\n"},
		"a list of groups": {"create -b\nadd rctl\nadd value [(limit=1,action=none),(limit=2)]\nend\n",
			"create -b\nadd rctl\nadd value (limit=1,action=none)\nadd value (limit=2)\nend\n"},
		"spaces":  {"# why\n\n  create   -b \r\n\tset  pool = a \nadd\tnet\n  end\n", "create -b\nset pool=a\nadd net\nend\n"},
		"no line": {"create -b", "create -b\n"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := ParseZonecfg(c.in)
			require.NoError(t, err)
			got, err := cfg.Encode()
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestZonecfgRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":             {"", "it is empty"},
		"no create":           {"set zonepath=/a\n", `line 1: "set zonepath=/a" is not "create -b"`},
		"a template":          {"create -t web\n", "is not"},
		"twice":               {"create -b\ncreate -b\n", "line 2"},
		"another command":     {"create -b\nremove net\n", `"remove net" is not known`},
		"no end":              {"create -b\nadd net\n", "no end"},
		"an end too many":     {"create -b\nend\n", "is not known"},
		"a resource's filter": {"create -b\nselect net physical=a\n", "is not known"},
		"no value":            {"create -b\nset pool\n", "is not name=value"},
		"a bad name":          {"create -b\nset Pool=a\n", "is not name=value"},
		"a quote":             {"create -b\nset pool=a\"b\n", "has a quote"},
		"quotes do not end":   {"create -b\nset pool=\"a\n", "has a quote"},
		"a control character": {"create -b\nset pool=a\x01\n", "control character"},
		"two values":          {"create -b\nadd fs\nadd options ro rw\nend\n", "is not one value"},
		"an added nothing":    {"create -b\nadd fs\nadd options\nend\n", "not a property with a value"},
		"an open list":        {"create -b\nadd fs\nadd options [ro\nend\n", "is not one value"},
		"an empty list":       {"create -b\nadd fs\nadd options []\nend\n", "is not one value"},
		"an open group":       {"create -b\nadd rctl\nadd value (limit=1\nend\n", "is not one value"},
		"an empty group":      {"create -b\nadd rctl\nadd value ()\nend\n", "is not name=value"},
		"a group in a group":  {"create -b\nadd rctl\nadd value (a=(b=1))\nend\n", "is not one value"},
		"open quotes":         {"create -b\nadd rctl\nadd value (a=\"b)\nend\n", "does not end"},
		"parentheses":         {"create -b\nadd rctl\nadd value (a=1)(b=2)\nend\n", "do not match"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseZonecfg(c.text)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestZonecfgEncodeRefuses(t *testing.T) {
	for name, c := range map[string]Zonecfg{
		"a quote":            {Settings: []Property{{Name: "pool", Value: `a"`}}},
		"another line":       {Settings: []Property{{Name: "pool", Value: "a\nset pool=b"}}},
		"a name":             {Settings: []Property{{Name: "a b", Value: "c"}}},
		"an added setting":   {Settings: []Property{{Name: "pool", Value: "a", Added: true}}},
		"a group that's set": {Resources: []Resource{{"rctl", []Property{{Name: "value", Parts: []Part{{"a", "b"}}}}}}},
		"a type":             {Resources: []Resource{{Type: "net\n"}}},
		"a part":             {Resources: []Resource{{"rctl", []Property{{Name: "value", Added: true, Parts: []Part{{"a", "\n"}}}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Encode()
			require.Error(t, err)
		})
	}
}

func TestZonecfgSet(t *testing.T) {
	var c Zonecfg
	c.Set("a", "1")
	c.Set("b", "2")
	c.Set("a", "3")
	require.Equal(t, []Property{{Name: "a", Value: "3"}, {Name: "b", Value: "2"}}, c.Settings)
	c.Clear("a")
	c.Clear("none")
	require.Equal(t, []Property{{Name: "b", Value: "2"}}, c.Settings)
}

// FuzzZonecfg holds that what is read can be written, and is then read as the
// same.
func FuzzZonecfg(f *testing.F) {
	f.Add(recorded(f, "zonecfg-web.txt"))
	f.Add(recorded(f, "zonecfg-smartos.txt"))
	f.Add("create -b\nset bootargs=-m verbose\nadd fs\nadd options [ro,\"a=b\"]\nadd value [(a=\"b,c\"),(d=e)]\nend\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseZonecfg(text)
		if err != nil {
			require.Equal(t, Zonecfg{}, c)
			return
		}
		out, err := c.Encode()
		require.NoError(t, err)
		back, err := ParseZonecfg(out)
		require.NoError(t, err)
		require.Equal(t, c, back)
	})
}
