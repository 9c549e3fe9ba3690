package synclist

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"snapbe/internal/treecopy"
)

// TestPartly has a file, or a record of shadow, in the base (o), in a state of the
// source that the target took over in part (p), and on both sides now; "" is none.
func TestPartly(t *testing.T) {
	for _, c := range []struct {
		name             string
		o, p, s, tgt, is string
	}{
		{"taken over, and changed back", "o", "p", "o", "p", "o"},
		{"taken over, and changed on", "o", "p", "s", "p", "s"},
		{"not taken over", "o", "p", "s", "o", "s"},
		{"taken over, and changed in the target", "o", "p", "o", "t", "t"},
		{"gained, and gone again", "", "p", "", "p", ""},
		{"gained, gone again, another in the target", "", "p", "", "t", "t"},
		{"gone, and not there", "o", "", "o", "", ""},
		{"both", "o", "p", "s", "t", "t"},
	} {
		for _, kind := range []struct {
			name, list string
			put        func(string) files
		}{
			{"d/f", "/d REMOVE", func(v string) files { return one("d/f", v) }},
			{"shadow", "/shadow MERGE", func(v string) files {
				lines := "root:*:1::::::\n"
				if v != "" {
					lines += "ann:" + v + ":1::::::\n"
				}
				return files{"shadow": lines}
			}},
		} {
			t.Run(kind.name+" "+c.name, func(t *testing.T) {
				with := func(v string) files {
					f := kind.put(v)
					f["d/k"] = "k"
					return f
				}
				l := newLab(t, with(c.o), with(c.s), with(c.tgt))
				l.sides.Partly = []*treecopy.Tree{l.tree("part", with(c.p))}
				l.apply(kind.list)
				for name, content := range kind.put(c.is) {
					assert.Equal(t, content, l.read(name))
				}
				if c.is == "" && kind.name == "d/f" {
					assert.Empty(t, l.leftOf("d/f"))
				}
			})
		}
	}
}

// TestPartlyOpensNobody: an account that the part closed may have been closed by the
// target itself.
func TestPartlyOpensNobody(t *testing.T) {
	for _, c := range []struct{ o, p, s, tgt, is string }{
		{"pw:1:::::", "!pw:1:::::", "pw:1:::::", "!pw:1:::::", "!pw:1:::::"},
		{"pw:1:::::", "pw:1:::::9", "pw:1:::::", "pw:1:::::9", "pw:1:::::9"},
		{"!pw:1:::::", "pw:1:::::", "!pw:1:::::", "pw:1:::::", "!pw:1:::::"},
		{"pw:1:::::9", "pw:1:::::", "pw:1:::::9", "pw:1:::::", "pw:1:::::9"},
	} {
		with := func(v string) files { return files{"shadow": "ann:" + v + ":\n"} }
		l := newLab(t, with(c.o), with(c.s), with(c.tgt))
		l.sides.Partly = []*treecopy.Tree{l.tree("part", with(c.p))}
		l.apply("/shadow MERGE")
		assert.Equal(t, with(c.is)["shadow"], l.read("shadow"), "%v", c)
	}
}
