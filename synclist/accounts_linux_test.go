package synclist

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const accountsList = "/passwd MERGE\n/shadow MERGE\n/group MERGE\n"

// recordOf is what a report tells of a record of a file.
func recordOf(t *testing.T, r *Report, file, key string) string {
	t.Helper()
	var all []string
	for _, rec := range find(t, r, file).Records {
		if rec.Key == key {
			all = append(all, rec.String())
		}
	}
	return strings.Join(all, "\n")
}

// TestAccountsNotMerged has a file that is not merged, which the others must go
// with all the same.
func TestAccountsNotMerged(t *testing.T) {
	base := files{
		"passwd": "root:x:0:0::/:\n", "shadow": "root:*:1::::::\n", "group": "root:x:0:\n",
	}
	with := func(passwd, shadow, group string) files {
		return files{"passwd": base["passwd"] + passwd, "shadow": base["shadow"] + shadow, "group": base["group"] + group}
	}
	src := with("carl:x:1001:998::/:\n", "carl:"+h0+":1::::::\n", "carl:x:998:\n")
	tgt := with("", "", "docker:x:998:\n")
	const noGroup = "/passwd MERGE\n/shadow MERGE\n"
	for _, c := range []struct {
		name, list string
		put        files
	}{
		{"not on the list", noGroup, nil},
		{"overwritten", noGroup + "/group\n", nil},
		{"a symlink", accountsList, files{"group": "-> elsewhere", "elsewhere": "docker:x:998:\n"}},
		{"too large", accountsList, files{"group": strings.Repeat("#", maxRecords+1)}},
		{"doubled", accountsList, files{"group": base["group"] + "floppy:x:25:\nfloppy:x:25:\ndocker:x:998:\n"}},
		{"malformed", accountsList, files{"group": base["group"] + "docker:x:998\n"}},
		{"doubled with the number", accountsList, files{"group": base["group"] + "docker:x:998:\ndocker:x:998:\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, base, src, tgt)
			l.put("tgt", c.put)
			r := l.apply(c.list)
			assert.Contains(t, recordOf(t, r, "/passwd", "carl"), `"carl": conflict (not added, since`)
			assert.Equal(t, base["passwd"], l.read("passwd"))
			assert.Equal(t, base["shadow"], l.read("shadow"))
		})
	}
	t.Run("overwritten with the source's", func(t *testing.T) {
		l := newLab(t, base, src, base)
		r := l.apply(noGroup + "/group\n")
		assert.Empty(t, r.Conflicts())
		assert.Equal(t, src["passwd"], l.read("passwd"))
	})
	t.Run("no shadow", func(t *testing.T) {
		l := newLab(t, base, src, base)
		l.put("tgt", files{"shadow": "-> elsewhere"})
		r := l.apply(accountsList)
		assert.Contains(t, recordOf(t, r, "/passwd", "carl"), `conflict (not added, since shadow cannot be read`)
		assert.Equal(t, base["passwd"], l.read("passwd"))
		l = newLab(t, base, src, base)
		r = l.apply("/passwd MERGE\n/group MERGE\n")
		assert.Contains(t, recordOf(t, r, "/passwd", "carl"), `conflict (not added, since shadow of the target cannot be merged`)
	})
	t.Run("no passwd", func(t *testing.T) {
		l := newLab(t, base, src, base)
		r := l.apply("/shadow MERGE\n/group MERGE\n")
		assert.Contains(t, recordOf(t, r, "/shadow", "carl"), `conflict (not added, since the user "carl" is not`)
		assert.Equal(t, base["shadow"], l.read("shadow"))
	})
}

// TestAccountsFrozen is without a disk, where nobody may set chattr(1).
func TestAccountsFrozen(t *testing.T) {
	m := func(name, base, src, tgt string) *merger {
		f := formats[name]
		return &merger{format: f, base: parseTable(f, []byte(base)), src: parseTable(f, []byte(src)), tgt: parseTable(f, []byte(tgt))}
	}
	shadow := m("shadow", "a:"+h0+":1::::::\n", "a:!"+h0+":1::::::\nb:*:1::::::\n", "a:"+h0+":1::::::\n")
	shadow.frozen = true
	a := accounts{"shadow": shadow, "passwd": m("passwd", "a:x:1:1::/:\n", "a:x:1:1::/:\nb:x:2:2::/:\n", "a:x:1:1::/:\n")}
	edits := a.merge()
	assert.Equal(t, `"a": refused password (locked in the source)`, edits["shadow"].records[0].String())
	assert.Empty(t, edits["shadow"].changed)
	assert.Empty(t, edits["passwd"].added)
}

// TestAccountsDoubled has records twice, which must not keep the others back.
func TestAccountsDoubled(t *testing.T) {
	a := func(pw string) string { return "a:" + pw + ":1::::::\n" }
	const two = "b:*:1::::::\nb:*:1::::::\n"
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			sides := []files{{"shadow": a(h0)}, {"shadow": a("!" + h0)}, {"shadow": a(h0)}}
			sides[i]["shadow"] += two
			l := newLab(t, sides[0], sides[1], sides[2])
			r := l.apply("/shadow MERGE")
			assert.Contains(t, l.read("shadow"), a("!"+h0))
			if i == 1 {
				assert.Equal(t, `"b": refused (in the source there are two records for it)`, recordOf(t, r, "/shadow", "b"))
			}
		})
	}
	t.Run("locked in the source", func(t *testing.T) {
		b := "b:" + h0 + ":1::::::\n"
		l := newLab(t, files{"shadow": b}, files{"shadow": "b:!:1::::::\n"}, files{"shadow": b + b})
		r := l.apply("/shadow MERGE")
		assert.Equal(t, `"b": refused (in the target there are two records for it)`, recordOf(t, r, "/shadow", "b"))
		assert.Equal(t, b+b, l.read("shadow"))
	})
}

// TestAccountsFreedGroup has a group whose number is that of a user only the
// target has.
func TestAccountsFreedGroup(t *testing.T) {
	const root = "root:x:0:0::/:\n"
	base := files{"passwd": root, "group": "root:x:0:\ndev:x:1001:\n"}
	own := files{"passwd": root + "_svc:*:110:1001::/:\n", "group": base["group"]}
	for name, group := range map[string]string{
		"used again": "root:x:0:\nadmins:x:1001:\n", "removed": "root:x:0:\n", "renumbered": "root:x:0:\ndev:x:1005:\n",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, base, files{"passwd": root, "group": group}, own)
			r := l.apply("/passwd MERGE\n/group MERGE\n")
			assert.Equal(t, own["group"], l.read("group"))
			assert.Contains(t, recordOf(t, r, "/group", "dev"), `gid 1001 is that of user "_svc" in the target`)
		})
	}
	t.Run("without a group so far", func(t *testing.T) {
		old := files{"passwd": root, "group": "root:x:0:\n"}
		l := newLab(t, old, files{"passwd": root, "group": "root:x:0:\nadmins:x:1001:\n"}, files{"passwd": own["passwd"], "group": old["group"]})
		r := l.apply("/passwd MERGE\n/group MERGE\n")
		assert.Equal(t, old["group"], l.read("group"))
		assert.Contains(t, recordOf(t, r, "/group", "admins"), `conflict (not added`)
	})
	t.Run("renamed", func(t *testing.T) {
		both := files{"passwd": own["passwd"], "group": base["group"]}
		l := newLab(t, both, files{"passwd": own["passwd"], "group": "root:x:0:\ndevs:x:1001:\n"}, both)
		assert.Empty(t, l.apply("/passwd MERGE\n/group MERGE\n").Conflicts())
	})
}

// TestAccountsRemoval has a user whose removal is in conflict in one file.
func TestAccountsRemoval(t *testing.T) {
	sides := func(passwd, pw, members string) files {
		f := files{
			"passwd": "root:x:0:0::/:\n", "shadow": "root:*:1::::::\n",
			"group": "root:x:0:\nsudo:x:27:" + members + "\n", "subuid": "root:1:1\n",
		}
		if passwd != "" {
			f["passwd"] += passwd
			f["shadow"] += "a:" + pw + ":1::::::\n"
			f["group"] += "a:x:1001:\n"
			f["subuid"] += "a:100:9\n"
		}
		return f
	}
	closed := func(f files) files { // for keys too
		f["shadow"] = regexp.MustCompile(`(?m)^(a:[^:]*:1)::::::$`).ReplaceAllString(f["shadow"], "$1:::::1:")
		return f
	}
	const a, shell = "a:x:1001:1001::/:\n", "a:x:1001:1001::/:/s\n"
	for _, c := range []struct {
		name string
		tgt  files
		want files
	}{
		{"shell changed", sides(shell, h0, "a,b"), closed(sides(shell, "!"+h0, "a,b"))},
		{"password changed", sides(a, h1, "a,b"), closed(sides(a, "!"+h1, "a,b"))},
		{"locked", sides(shell, "!"+h0, "a,b"), closed(sides(shell, "!"+h0, "a,b"))},
		{"neither", sides(a, h0, "a,b"), sides("", "", "b")},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, sides(a, h0, "a,b"), sides("", "", "b"), c.tgt)
			r := l.apply(accountsList + "/subuid MERGE\n")
			for name, text := range c.want {
				assert.Equal(t, text, l.read(name), name)
			}
			if c.name != "neither" {
				assert.Contains(t, recordOf(t, r, "/shadow", "a"), "conflict")
				assert.Contains(t, recordOf(t, r, "/passwd", "a"), "conflict")
			}
		})
	}
}

// TestAccountsWas has a user removed in the target since the last sync.
func TestAccountsWas(t *testing.T) {
	const z, a = "z:*:1::::::\n", "a:" + h0 + ":1::::::\n"
	all := func(text string) files { return files{"shadow": text} }
	for _, base := range []string{z, z + a} {
		out, _, ok := mergeSides(t, false, all(base), all(z+a), all(z), all(z), all(z+a))
		require.True(t, ok)
		assert.Equal(t, z, out["shadow"])
		out, _, _ = mergeSides(t, false, all(base), all(z+a), all(z), all(z), all(z))
		want := z + a
		if base == z+a {
			want = z // removed before that
		}
		assert.Equal(t, want, out["shadow"])
	}
}

// TestAccountsRemaining has lines that are no records, and gone in the source.
func TestAccountsRemaining(t *testing.T) {
	const a, z = "a:x:1:1::/:\n", "z:x:9:9::/:\n"
	for _, c := range []struct{ name, base, tgt, want string }{
		{"NIS", z + "+::::::\n", z + "+::::::\n", `"line 2": conflict (removed in the source; it stays, being a line for NIS)`},
		{"malformed", z + "a:x:1:1\n", z + "a:x:1:1\n", `"line 2": conflict (removed in the source; it stays, being malformed: 4 fields, not 7)`},
		{"malformed in the target", z + a, z + "a:x:1:1\n", `"line 2": conflict (removed in the source; it stays, being malformed: 4 fields, not 7)`},
		{"the target's own", z, z + "+::::::\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, files{"passwd": c.base}, files{"passwd": z}, files{"passwd": c.tgt})
			r := l.apply("/passwd MERGE")
			assert.Equal(t, c.want, recordOf(t, r, "/passwd", "line 2"))
			assert.Equal(t, c.tgt, l.read("passwd"))
		})
	}
}

// TestAccountsRanges has ranges by uid.
func TestAccountsRanges(t *testing.T) {
	const carl, bob = "carl:*:1001:1::/:\n", "bob:*:1001:1::/:\n"
	sides := func(passwd, subuid string) files {
		return files{"passwd": "r:*:0:0::/:\n" + passwd, "subuid": "r:1:1\n" + subuid}
	}
	const list = "/passwd MERGE\n/subuid MERGE\n"
	l := newLab(t, sides("", ""), sides(carl, "1001:100:9\n"), sides(bob, ""))
	r := l.apply(list)
	assert.Equal(t, "r:1:1\n", l.read("subuid"))
	assert.Contains(t, recordOf(t, r, "/subuid", "1001:100:9"), "conflict")

	l = newLab(t, sides(carl, ""), sides(carl, "carl:100:9\n"), sides(carl, "1001:100:5\n"))
	l.apply(list)
	assert.Equal(t, "r:1:1\n1001:100:5\ncarl:100:9\n", l.read("subuid"), "both are carl's")
}

// TestAccountsNumbers has a group number refused, which is no matter of a
// user's of the same name.
func TestAccountsNumbers(t *testing.T) {
	const g = "z:x:5:\nu:x:7:\n"
	l := newLab(t, files{"passwd": "a:*:1:5::/:\n", "group": g + "a:x:1:\n"},
		files{"passwd": "a:*:1:7::/:\n", "group": g + "a:x:1001:\n"},
		files{"passwd": "a:*:1:5::/:\n", "group": g + "a:x:1:\nb:x:1001:\n"})
	r := l.apply("/passwd MERGE\n/group MERGE\n")
	assert.Equal(t, "a:*:1:7::/:\n", l.read("passwd"))
	assert.Contains(t, recordOf(t, r, "/group", "a"), `conflict gid (not taken: gid 1001 is that of "b" in the target)`)
}

// TestAccountsSpoiled has a new user whose record in shadow cannot be taken.
func TestAccountsSpoiled(t *testing.T) {
	const root, a = "root:*:1::::::\n", "a:" + h0 + ":1::::::\n"
	const passwd = "root:x:0:0::/:\n"
	for i := range 2 {
		shadow := []string{root + a, root}
		shadow[1-i] += "a:" + h1 + ":1::::::\na:*:1::::::\n"
		l := newLab(t, files{"passwd": passwd, "shadow": root},
			files{"passwd": passwd + "a:x:1:0::/:\n", "shadow": shadow[0]}, files{"passwd": passwd, "shadow": shadow[1]})
		r := l.apply("/passwd MERGE\n/shadow MERGE\n")
		assert.Equal(t, passwd, l.read("passwd"))
		assert.Equal(t, shadow[1], l.read("shadow"))
		assert.Contains(t, recordOf(t, r, "/passwd", "a"), "its record in shadow cannot be merged")
	}
}

// TestAccountsImmutable has each file in turn set with chattr(1).
func TestAccountsImmutable(t *testing.T) {
	asRoot(t)
	base := files{"passwd": "u:x:5:0::/:\n", "shadow": "u:" + h0 + ":1::::::\n", "group": "root:x:0:\n"}
	src := files{
		"passwd": base["passwd"] + "carl:x:1001:998::/:\n", "shadow": "u:!" + h0 + ":1::::::\ncarl:*:1::::::\n",
		"group": base["group"] + "carl:x:998:\n",
	}
	for name := range base {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, base, src, base)
			flag(t, l.path("tgt", name), 0x10)
			r := l.apply(accountsList)
			assert.Contains(t, find(t, r, "/"+name).String(), `: refused (it is immutable in the target (chattr(1)))`)
			assert.Equal(t, base["passwd"], l.read("passwd"))
			want := "u:!" + h0 + ":1::::::\n"
			if name == "shadow" {
				want = base["shadow"]
				assert.Equal(t, `"u": refused password (locked in the source)`, recordOf(t, r, "/shadow", "u"))
			}
			assert.Equal(t, want, l.read("shadow"))
		})
	}
}
