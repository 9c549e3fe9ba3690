package synclist

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMergeRecords has one record file on the three sides.
func TestMergeRecords(t *testing.T) {
	for _, c := range []struct {
		name, file     string
		base, src, tgt string
		want           string
		records        []string
	}{
		{"neither", "passwd", "a:x:1:1::/:/a", "a:x:1:1::/:/a", "a:x:1:1::/:/a", "a:x:1:1::/:/a", nil},
		{"new in the source", "passwd", "a:x:1:1::/:", "a:x:1:1::/:\nb:x:2:2::/:", "a:x:1:1::/:", "a:x:1:1::/:\nb:x:2:2::/:", []string{`"b": added (new in the source)`}},
		{"new in the target", "passwd", "a:x:1:1::/:", "a:x:1:1::/:", "a:x:1:1::/:\nb:x:2:2::/:", "a:x:1:1::/:\nb:x:2:2::/:", nil},
		{"new on both, each its own", "passwd", "a:x:1:1::/:", "a:x:1:1::/:\nb:x:2:2::/:", "c:x:3:3::/:\na:x:1:1::/:", "c:x:3:3::/:\na:x:1:1::/:\nb:x:2:2::/:", []string{`"b": added (new in the source)`}},
		{"new on both, alike", "passwd", "", "b:x:2:2::/:", "b:x:2:2::/:", "b:x:2:2::/:", nil},
		{"new on both, differing", "passwd", "z:x:9:9::/:", "z:x:9:9::/:\nb:x:2:2::/b:/s", "z:x:9:9::/:\nb:x:2:2::/b:/t", "z:x:9:9::/:\nb:x:2:2::/b:/t", []string{`"b": conflict shell (changed on both sides: "/s" in the source, "/t" in the target)`}},
		{"changed in the source", "passwd", "a:x:1:1::/:/a", "a:x:1:1::/:/b", "a:x:1:1::/:/a", "a:x:1:1::/:/b", []string{`"a": merged shell (changed in the source alone)`}},
		{"changed in the target", "passwd", "a:x:1:1::/:/a", "a:x:1:1::/:/a", "a:x:1:1::/:/b", "a:x:1:1::/:/b", nil},
		{"different fields", "passwd", "a:x:1:1:g:/:/a", "a:x:1:1:G:/:/a", "a:x:1:1:g:/:/b", "a:x:1:1:G:/:/b", []string{`"a": merged gecos (changed in the source alone)`}},
		{"same field", "passwd", "a:x:1:1:g:/:/a", "a:x:1:1:h:/:/a", "a:x:1:1:i:/:/a", "a:x:1:1:i:/:/a", []string{`"a": conflict gecos (changed on both sides)`}},
		{"removed in the source", "passwd", "a:x:1:1::/:\nb:x:2:2::/:", "b:x:2:2::/:", "a:x:1:1::/:\nb:x:2:2::/:", "b:x:2:2::/:", []string{`"a": removed (removed in the source)`}},
		{"removed in the source, changed in the target", "passwd", "a:x:1:1::/:\nb:x:2:2::/:", "b:x:2:2::/:", "a:x:1:1::/:/s\nb:x:2:2::/:", "a:x:1:1::/:/s\nb:x:2:2::/:", []string{`"a": conflict shell (removed in the source, changed in the target)`}},
		{"removed in the target", "passwd", "a:x:1:1::/:\nb:x:2:2::/:", "a:x:1:1::/:\nb:x:2:2::/:", "b:x:2:2::/:", "b:x:2:2::/:", nil},
		{"removed in the target, changed in the source", "passwd", "a:x:1:1::/:\nb:x:2:2::/:", "a:x:1:1::/:/s\nb:x:2:2::/:", "b:x:2:2::/:", "b:x:2:2::/:", []string{`"a": conflict shell (removed in the target, changed in the source)`}},
		{"before NIS", "passwd", "a:x:1:1::/:\n+::::::\n", "a:x:1:1::/:\nb:x:2:2::/:\n+::::::\n", "#c\n\na:x:1:1::/:\n# nis\n-bad::::::\n+::::::\n", "#c\n\na:x:1:1::/:\n# nis\nb:x:2:2::/:\n-bad::::::\n+::::::\n", []string{`"b": added (new in the source)`}},
		{"CRLF", "passwd", "a:x:1:1::/:/a\r\n", "a:x:1:1::/:/b\nb:x:2:2::/:\n", "a:x:1:1::/:/a\r\n", "a:x:1:1::/:/b\r\nb:x:2:2::/:\r\n", []string{`"a": merged shell (changed in the source alone)`, `"b": added (new in the source)`}},
		{"empty target", "passwd", "", "a:x:1:1::/:", "", "a:x:1:1::/:\n", []string{`"a": added (new in the source)`}},
		{"malformed in the target", "passwd", "a:x:1:1::/:", "a:x:1:1::/:/b", "a:x:1:1\nq", "a:x:1:1\nq", []string{`"a": refused (malformed in the target)`}},
		{"malformed in the source", "passwd", "a:x:1:1::/:\nb:x:2:2::/:", "a:" + h1 + "\nb:x:2:2::/:", "a:x:1:1::/:\nb:x:2:2::/:", "a:x:1:1::/:\nb:x:2:2::/:", []string{`"line 1": refused (in the source malformed: 2 fields, not 7)`}},
		{"malformed everywhere", "passwd", "a:x:1", "a:x:1", "a:x:1\nb:x:2:2::/:", "a:x:1\nb:x:2:2::/:", nil},
		{"password in passwd", "passwd", "a:x:1:1::/:", "a:*:1:1::/:", "a:x:1:1::/:", "a:*:1:1::/:", []string{`"a": merged password (locked in the source)`}},

		{"locked in the source", "shadow", "a:" + h0 + ":1::::::", "a:!" + h0 + ":1::::::", "a:" + h0 + ":1::::::", "a:!" + h0 + ":1::::::", []string{`"a": merged password (locked in the source)`}},
		{"locked in the source, other field in the target", "shadow", "a:" + h0 + ":1::::::", "a:!" + h0 + ":1::::::", "a:" + h0 + ":1:5:::::", "a:!" + h0 + ":1:5:::::", []string{`"a": merged password (locked in the source)`}},
		{"locked in the source, password changed in the target", "shadow", "a:" + h0 + ":1::::::", "a:!" + h0 + ":1::::::", "a:" + h1 + ":2::::::", "a:!" + h1 + ":2::::::", []string{`"a": conflict password (password changed on both sides; locked, as in the source)`}},
		{"locked in the target, password changed in the source", "shadow", "a:" + h0 + ":1::::::", "a:" + h1 + ":2::::::", "a:!" + h0 + ":1::::::", "a:!" + h0 + ":1::::::", []string{`"a": conflict password (password changed on both sides; stays locked, as in the target)`}},
		{"locked on both", "shadow", "a:" + h0 + ":1::::::", "a:!" + h0 + ":1::::::", "a:*:1::::::", "a:*:1::::::", []string{`"a": conflict password (password changed on both sides)`}},
		{"unlocked in the source", "shadow", "a:!" + h0 + ":1::::::", "a:" + h0 + ":1::::::", "a:!" + h0 + ":1::::::", "a:" + h0 + ":1::::::", []string{`"a": merged password (password changed in the source)`}},
		{"unlocked in the target, still locked in the source, but changed", "shadow", "a:!" + h0 + ":1::::::", "a:*:1::::::", "a:" + h0 + ":1::::::", "a:*:1::::::", []string{`"a": conflict password (password changed on both sides; locked, as in the source)`}},
		{"no password in the target, locked in the source", "shadow", "a:" + h0 + ":1::::::", "a:!:1::::::", "a::1::::::", "a:!:1::::::", []string{`"a": conflict password (password changed on both sides; locked, as in the source)`}},
		{"password changed with its date", "shadow", "a:" + h0 + ":1::::::", "a:" + h1 + ":2::::::", "a:" + h0 + ":1::::::", "a:" + h1 + ":2::::::", []string{`"a": merged password, lastchange (password changed in the source)`}},
		{"passwords on both", "shadow", "a:" + h0 + ":1::::::", "a:" + h1 + ":2::::::", "a:" + h2 + ":3::::::", "a:" + h2 + ":3::::::", []string{`"a": conflict password (password changed on both sides)`}},
		{"password in the source, date in the target", "shadow", "a:" + h0 + ":1::::::", "a:" + h1 + ":2::::::", "a:" + h0 + ":0::::::", "a:" + h1 + ":2::::::", []string{`"a": merged password, lastchange (password changed in the source)`, `"a": conflict lastchange (changed on both sides; goes with the password: "2" in the source, "0" in the target)`}},
		{"password in the target, date in the source", "shadow", "a:" + h0 + ":1::::::", "a:" + h0 + ":0::::::", "a:" + h1 + ":2::::::", "a:" + h1 + ":2::::::", []string{`"a": conflict lastchange (changed on both sides; goes with the password: "0" in the source, "2" in the target)`}},
		{"date alone", "shadow", "a:" + h0 + ":1::::::", "a:" + h0 + ":0::::::", "a:" + h0 + ":1::::::", "a:" + h0 + ":0::::::", []string{`"a": merged lastchange (changed in the source alone)`}},
		{"expired in the source", "shadow", "a:" + h0 + ":1::::::", "a:" + h0 + ":1:::::1:", "a:" + h0 + ":1::::::", "a:" + h0 + ":1:::::1:", []string{`"a": merged expire (changed in the source alone)`}},
		{"expired on both, earlier in the source", "shadow", "a:" + h0 + ":1::::::", "a:" + h0 + ":1:::::1:", "a:" + h0 + ":1:::::900:", "a:" + h0 + ":1:::::1:", []string{`"a": conflict expire (changed on both sides; the earlier holds: "1" in the source, "900" in the target)`}},
		{"expired on both, taken back in the source", "shadow", "a:" + h0 + ":1:::::700:", "a:" + h0 + ":1::::::", "a:" + h0 + ":1:::::900:", "a:" + h0 + ":1:::::900:", []string{`"a": conflict expire (changed on both sides; the earlier holds: "" in the source, "900" in the target)`}},

		{"members", "group", "g:x:1:a,b,c", "g:x:1:a,c,d", "g:x:1:c,b,a,e", "g:x:1:c,a,e,d", []string{`"g": merged members (merged with the target's)`}},
		{"member removed", "group", "g:x:1:a,b", "g:x:1:a", "g:x:1:a,b", "g:x:1:a", []string{`"g": merged members (changed in the source alone)`}},
		{"members of a group new on both", "group", "z:x:9:", "z:x:9:\ng:x:1:a", "z:x:9:\ng:x:1:b", "z:x:9:\ng:x:1:b,a", []string{`"g": merged members (merged with the target's)`}},
		{"administrators", "gshadow", "g:!:a:m", "g:!:a,b:m", "g:!:c:", "g:!:c,b:", []string{`"g": merged administrators (merged with the target's)`}},
		{"group password", "gshadow", "g:" + h0 + "::", "g:!::", "g:" + h1 + "::", "g:!" + h1 + "::", []string{`"g": conflict password (password changed on both sides; locked, as in the source)`}},

		{"ranges", "subuid", "a:1000:10\nb:2000:10\nc:5000:1", "a:1000:10\na:3000:10\nc:5000:1", "a:1000:10\nb:2000:10\nd:4000:10\nc:5000:1", "a:1000:10\nd:4000:10\nc:5000:1\na:3000:10\n", []string{`"b:2000:10": removed (removed in the source)`, `"a:3000:10": added (new in the source)`}},
		{"range taken", "subuid", "", "a:1000:10", "b:1009:10", "b:1009:10", []string{`"a:1000:10": conflict (not added, since in the target, part of the range belongs to "b")`}},
		{"range beside", "subgid", "", "a:1000:9", "b:1009:10", "b:1009:10\na:1000:9\n", []string{`"a:1000:9": added (new in the source)`}},
		{"range of the same user", "subgid", "", "a:1000:99", "a:1009:10", "a:1009:10\na:1000:99\n", []string{`"a:1000:99": added (new in the source)`}},

		{"uid taken", "passwd", "z:x:9:9::/:", "z:x:9:9::/:\na:x:1001:9::/:", "z:x:9:9::/:\nb:x:1001:9::/:", "z:x:9:9::/:\nb:x:1001:9::/:", []string{`"a": conflict (not added, since uid 1001 is that of "b" in the target)`}},
		{"uid changed to a taken one", "passwd", "z:x:9:9::/:", "z:x:8:9::/:/s", "z:x:9:9::/:\nb:x:8:9::/:", "z:x:9:9::/:/s\nb:x:8:9::/:", []string{`"z": merged shell (changed in the source alone)`, `"z": conflict uid (not taken: uid 8 is that of "b" in the target)`}},
		{"uid shared before", "passwd", "r:x:0:0::/:\ntoor:x:0:0::/:", "r:x:0:0::/:\ntoor:x:0:0::/:\nalso:x:0:0::/:", "r:x:0:0::/:\ntoor:x:0:0::/:/s", "r:x:0:0::/:\ntoor:x:0:0::/:/s\nalso:x:0:0::/:\n", []string{`"also": added (new in the source)`}},
		{"uid freed in the source", "passwd", "a:x:5:5::/:\nz:x:9:9::/:", "b:x:5:5::/:\nz:x:9:9::/:", "a:x:5:5::/:\nz:x:9:9::/:", "z:x:9:9::/:\nb:x:5:5::/:\n", []string{`"a": removed (removed in the source)`, `"b": added (new in the source)`}},
		{"renamed, but changed in the target", "passwd", "a:x:5:5::/:\nz:x:9:9::/:", "b:x:5:5::/:\nz:x:9:9::/:", "a:x:5:5::/:/s\nz:x:9:9::/:", "a:x:5:5::/:/s\nz:x:9:9::/:", []string{`"a": conflict shell (removed in the source, changed in the target)`, `"b": conflict (not added, since uid 5 is that of "a" in the target)`}},
		{"gid taken", "group", "", "a:x:1001:", "b:x:1001:", "b:x:1001:", []string{`"a": conflict (not added, since gid 1001 is that of "b" in the target)`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, files{c.file: c.base}, files{c.file: c.src}, files{c.file: c.tgt})
			i := find(t, l.apply("/"+c.file+" MERGE"), "/"+c.file)
			// Only a line that was the last one may get an end.
			want := strings.TrimSuffix(c.want, "\n")
			assert.Equal(t, want, strings.TrimSuffix(l.read(c.file), "\n"))
			var records []string
			conflicts := false
			for _, r := range i.Records {
				records = append(records, r.String())
				conflicts = conflicts || r.Action == Conflict
			}
			assert.ElementsMatch(t, c.records, records)
			assert.Equal(t, conflicts, i.inConflict())
		})
	}
}

// TestMergeFiles has several, which must go together.
func TestMergeFiles(t *testing.T) {
	const list = "/passwd MERGE\n/shadow MERGE\n/group MERGE\n/gshadow MERGE\n/subuid MERGE\n"
	base := files{
		"passwd": "root:x:0:0::/:\n", "shadow": "root:*:1::::::\n", "group": "root:x:0:\nadm:x:4:\n", "gshadow": "root:*::\nadm:*::\n", "subuid": "root:1:1\n",
	}
	with := func(more files) files {
		f := files{}
		for n, text := range base {
			f[n] = text + more[n]
		}
		return f
	}
	user := func(name string, uid, gid int) files {
		return files{
			"passwd": fmt.Sprintf("%s:x:%d:%d::/:\n", name, uid, gid), "shadow": name + ":" + h0 + ":1::::::\n",
			"group": fmt.Sprintf("%s:x:%d:\n", name, gid), "gshadow": name + ":!::\n", "subuid": fmt.Sprintf("%s:%d0000:100\n", name, uid),
		}
	}
	t.Run("a user each", func(t *testing.T) {
		l := newLab(t, base, with(user("a", 1001, 1001)), with(user("b", 1002, 1002)))
		assert.Empty(t, l.apply(list).Conflicts())
		for n := range base {
			assert.Contains(t, l.read(n), "\na:", n)
			assert.Contains(t, l.read(n), "\nb:", n)
		}
	})
	for _, c := range []struct {
		name     string
		uid, gid int
		why      string
	}{
		{"uid taken", 1001, 1002, `not added, since uid 1001 is that of "b" in the target`},
		{"gid taken", 1002, 1001, `not added, since gid 1001 is that of group "b" in the target`},
		{"both taken", 1001, 1001, `not added, since `},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := with(user("a", c.uid, c.gid))
			src["group"] = strings.Replace(src["group"], "adm:x:4:", "adm:x:4:a", 1)
			l := newLab(t, base, src, with(user("b", 1001, 1001)))
			r := l.apply(list)
			for n := range base {
				assert.NotContains(t, l.read(n), "\na:", n)
				assert.True(t, find(t, r, "/"+n).inConflict(), n)
			}
			assert.Contains(t, l.read("group"), "adm:x:4:\n")
			assert.Contains(t, find(t, r, "/passwd").String(), c.why)
			assert.Contains(t, find(t, r, "/group").String(), `without "a": the user is not added`)
		})
	}
	t.Run("another user of a refused group", func(t *testing.T) {
		src := with(user("a", 1005, 1001))
		src["passwd"] += "c:x:1006:1001::/:\n"
		src["shadow"] += "c:*:1::::::\n"
		l := newLab(t, base, src, with(user("b", 1001, 1001)))
		l.apply(list)
		assert.NotContains(t, l.read("passwd"), "c:x")
		assert.NotContains(t, l.read("shadow"), "c:*")
	})
	t.Run("primary group changed to a refused one", func(t *testing.T) {
		src := with(files{"group": "a:x:1001:\n"})
		src["passwd"] = "root:x:0:1001::/:\n"
		l := newLab(t, base, src, with(user("b", 1001, 1001)))
		r := l.apply(list)
		assert.Contains(t, l.read("passwd"), "root:x:0:0:")
		assert.Contains(t, find(t, r, "/passwd").String(), `conflict gid (not taken: gid 1001 is that of group "b" in the target)`)
	})
	t.Run("one file lacks the user", func(t *testing.T) {
		l := newLab(t, base, with(files{"passwd": "a:x:1001:4::/:\n"}), base)
		r := l.apply(list)
		assert.Contains(t, find(t, r, "/passwd").String(), `"a": conflict (would be without a record in shadow)`)
		l = newLab(t, base, base, with(files{"shadow": "a:*:1::::::\n"}))
		r = l.apply(list)
		assert.Contains(t, find(t, r, "/shadow").String(), `"a": kept (has no record in passwd)`)
		assert.Empty(t, r.Conflicts())
	})
	t.Run("a lock goes along although passwd is in conflict", func(t *testing.T) {
		src, tgt := with(nil), with(nil)
		b := with(files{"shadow": "u:" + h0 + ":1::::::\n"})
		src["shadow"] += "u:!" + h0 + ":1::::::\n"
		tgt["shadow"] += "u:" + h0 + ":1::::::\n"
		tgt["passwd"] += "root:x:0:0::/:\n"
		l := newLab(t, b, src, tgt)
		r := l.apply(list)
		assert.Equal(t, `"/passwd": same`, find(t, r, "/passwd").String())
		assert.Contains(t, l.read("shadow"), "u:!")
	})
}

func TestMergeOrigin(t *testing.T) {
	base := "root:x:0:0::/:\nsys:x:100:100::/:\nold:x:5:5::/:\n"
	l := newLab(t, files{"passwd": base}, files{"passwd": base}, files{"passwd": "root:x:0:0::/:\n"})
	l.sides.Origin = l.tree("origin", files{"passwd": "root:x:0:0::/:\nold:x:5:5::/:\n"})
	l.apply("/passwd MERGE")
	assert.Equal(t, "root:x:0:0::/:\nsys:x:100:100::/:\n", l.read("passwd"), "old was removed in the target, sys never was there")
}

func TestMergeRefusals(t *testing.T) {
	const a = "a:x:1:1::/:\n"
	for _, c := range []struct {
		name           string
		base, src, tgt files
		want           string
	}{
		{"doubled in the source", files{"passwd": a}, files{"passwd": a + a}, files{"passwd": a}, "\"/passwd\": refused\n  \"a\": refused (in the source there are two records for it)"},
		{"doubled in the base", files{"passwd": a + a}, files{"passwd": a}, files{"passwd": a}, `"/passwd": same`},
		{"doubled in the base, changed in the source", files{"passwd": a + a}, files{"passwd": "a:!:1:1::/:\n"}, files{"passwd": a}, "\"/passwd\": merged\n  \"a\": conflict password (password changed on both sides; locked, as in the source)"},
		{"doubled in the base, removed in the source", files{"passwd": a + a}, files{"passwd": "b:x:2:2::/:\n"}, files{"passwd": a + "b:x:2:2::/:\n"}, "\"/passwd\": refused\n  \"a\": refused (in the base there are two records for it)"},
		{"nothing in the source", files{"passwd": a}, files{"passwd": "\n"}, files{"passwd": a}, `"/passwd": conflict (in the source there is no record at all)`},
		{"no source", files{"passwd": a}, files{}, files{"passwd": a}, `"/passwd": skipped (not in the source)`},
		{"no target", files{}, files{"passwd": a}, files{}, `"/passwd": copied (new in the source)`},
		{"a symlink", files{"passwd": a}, files{"passwd": a}, files{"passwd": "-> /etc/passwd"}, `"/passwd": refused (it is a symlink in the target; MERGE is for files)`},
		{"a hash for a name", files{}, files{"passwd": h0 + ":x:1:1::/:\n" + h0 + ":x:1:1::/:\n"}, files{"passwd": a}, "\"/passwd\": refused\n  \"line 1\": refused (in the source there are two records for it)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.base, c.src, c.tgt)
			assert.Equal(t, c.want, find(t, l.apply("/passwd MERGE"), "/passwd").String())
		})
	}
	t.Run("too large", func(t *testing.T) {
		l := newLab(t, files{"passwd": a}, files{"passwd": strings.Repeat("#", maxRecords) + "\n"}, files{"passwd": a})
		require.NoError(t, os.WriteFile(l.path("base", "shadow"), []byte("a:*:1::::::\n"), 0o600))
		l.put("src", files{"shadow": "a:!:1::::::\n"})
		l.put("tgt", files{"shadow": "a:*:1::::::\n"})
		r := l.apply("/passwd MERGE\n/shadow MERGE")
		assert.Equal(t, `"/passwd": refused (in the source it is larger than 16 MiB; MERGE is for smaller files)`, find(t, r, "/passwd").String())
		assert.Equal(t, a, l.read("passwd"))
		assert.Equal(t, "a:!:1::::::\n", l.read("shadow"), "the rest goes on")
	})
}

func TestMergeAttributes(t *testing.T) {
	l := newLab(t, files{"shadow@640": "a:*:1::::::\n"}, files{"shadow@600": "a:!:1::::::\n"}, files{"shadow@640": "a:*:1::::::\n"})
	assert.Equal(t, Merged, find(t, l.apply("/shadow MERGE"), "/shadow").Action)
	assert.Contains(t, l.state("tgt")["shadow"], "100600")

	l = newLab(t, files{"shadow@640": "a:*:1::::::\n"}, files{"shadow@600": "a:*:1::::::\n"}, files{"shadow@640": "a:*:1::::::\n"})
	assert.Equal(t, Copied, find(t, l.apply("/shadow MERGE"), "/shadow").Action)
	assert.Contains(t, l.state("tgt")["shadow"], "100600")

	l = newLab(t, files{"shadow@640": "a:*:1::::::\n"}, files{"shadow@600": "a:!:1::::::\n"}, files{"shadow@604": "a:*:1::::::\n"})
	i := find(t, l.apply("/shadow MERGE"), "/shadow")
	assert.Equal(t, []string{"mode"}, i.Differs)
	assert.Contains(t, l.state("tgt")["shadow"], "100604")
}

func TestMergeWithoutBase(t *testing.T) {
	user := func(pw string) string { return "a:" + pw + ":1::::::\n" }
	for _, c := range []struct {
		name, old  string
		src, tgt   string // "" is not written since
		want       string
		inConflict bool
	}{
		{"source alone", user(h0), user("!" + h0), "", user("!" + h0), false},
		{"target alone", user(h0), "", user(h1), user(h1), false},
		{"both", user(h0), user(h1), user(h2), user(h2), true},
		{"both, locked in the source", user(h0), user("!" + h1), user(h2), user("!" + h2), true},
		{"each its own", user(h0), user(h0) + "b:*:1::::::\n", user(h0) + "c:*:1::::::\n", user(h0) + "c:*:1::::::\nb:*:1::::::\n", false},
		{"neither", user(h0), "", "", user(h0), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, nil, files{"shadow": c.old}, files{"shadow": c.old})
			l.sides.Base = nil
			time.Sleep(30 * time.Millisecond)
			l.sides.Since = time.Now()
			time.Sleep(30 * time.Millisecond)
			if c.src != "" {
				l.put("src", files{"shadow": c.src})
			}
			if c.tgt != "" {
				l.put("tgt", files{"shadow": c.tgt})
			}
			i := find(t, l.apply("/shadow MERGE"), "/shadow")
			assert.Equal(t, c.want, l.read("shadow"))
			assert.Equal(t, c.inConflict, i.inConflict(), i)
		})
	}
}

func TestMergeLarge(t *testing.T) {
	var base, more strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&base, "user%05d:x:%d:%d::/home/user%05d:/bin/sh\n", i, 10_000+i, 10_000+i, i)
		fmt.Fprintf(&more, "more%05d:x:%d:%d::/home/more%05d:/bin/sh\n", i, 90_000+i, 90_000+i, i)
	}
	l := newLab(t, files{"passwd": base.String()}, files{"passwd": base.String() + more.String()}, files{"passwd": base.String() + "own:x:1:1::/:\n"})
	begin := time.Now()
	_, err := Apply(t.Context(), mustParse(t, "/passwd MERGE"), l.sides, Options{})
	require.NoError(t, err)
	t.Log(time.Since(begin))
	assert.Equal(t, base.String()+"own:x:1:1::/:\n"+more.String(), l.read("passwd"))
}
