package synclist

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// back is a lab with what the two once had in common, and what the last sync
// left in the target; nil is none.
func back(t *testing.T, base, src, tgt, origin, was files) *lab {
	t.Helper()
	l := newLab(t, base, src, tgt)
	l.sides.Origin = l.tree("origin", origin)
	if was != nil {
		l.sides.Was = l.tree("was", was)
	}
	return l
}

// TestWayBackFiles has a file "d/f", and the source as at the last sync where it
// is the base; "" is none, and a "was" of "?" is none at all.
func TestWayBackFiles(t *testing.T) {
	for _, c := range []struct {
		name                        string
		base, src, tgt, origin, was string
		want                        Action
		left                        string
	}{
		{"changed before the last sync", "n", "n", "o", "o", "o", Copied, "n"},
		{"nothing known of the last sync", "n", "n", "o", "o", "?", Copied, "n"},
		{"and since", "n", "m", "o", "o", "o", Copied, "m"},
		{"the target went back to it since", "n", "n", "o", "o", "n", Kept, "o"},
		{"the target has it back since", "n", "n", "o", "o", "", Kept, "o"},
		{"the target has another one", "n", "n", "t", "o", "o", Kept, "t"},
		{"both", "n", "m", "t", "o", "t", Conflict, "t"},
		{"none of old", "n", "n", "t", "", "t", Kept, "t"},
		{"symlink", "-> n", "-> n", "-> o", "-> o", "-> o", Copied, "-> n"},
		{"symlink now", "-> n", "-> n", "o", "o", "o", Copied, "-> n"},
		{"removed before the last sync", "", "", "o", "o", "o", Removed, ""},
		{"removed before, changed in the target", "", "", "t", "o", "t", "", "t"},
		{"removed before, perhaps back since", "", "", "o", "o", "?", "", "o"},
		{"removed before, back since", "", "", "o", "o", "", "", "o"},
		{"changed before and removed since", "n", "", "o", "o", "o", Removed, ""},
		{"gained before the last sync, and gone since or refused", "n", "n", "", "", "", Kept, ""},
		{"gained, and removed in the target since", "n", "n", "", "", "n", Kept, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			with := func(content string) files {
				f := files{"d/k": "k"}
				if content != "" {
					f["d/f"] = content
				}
				return f
			}
			was := with(c.was)
			if c.was == "?" {
				was = nil
			}
			l := back(t, with(c.base), with(c.src), with(c.tgt), with(c.origin), was)
			r := l.apply("/d REMOVE")
			if c.want == "" || c.want == Kept {
				assert.Equal(t, map[string]string{"/d": "same"}, actions(r))
			} else {
				assert.Equal(t, c.want, find(t, r, "/d/f").Action)
			}
			assert.Equal(t, one("d/f", c.left), files(l.leftOf("d/f")))
		})
	}
}

func TestWayBackAttributes(t *testing.T) {
	for _, c := range []struct {
		name, list string
		content    string
	}{{"d", "/d", ""}, {"f", "/f", "x"}, {"l", "/l APPEND", "x\n"}, {"shadow", "/shadow MERGE", "a:*:1::::::\n"}} {
		one := func(mode string) files {
			if c.content == "" {
				return files{c.name + "/@" + mode: ""}
			}
			return files{c.name + "@" + mode: c.content}
		}
		for was, want := range map[string]os.FileMode{"644": 0o600, "600": 0o644} {
			l := back(t, one("600"), one("600"), one("644"), one("644"), one(was))
			l.apply(c.list)
			info, err := os.Lstat(l.path("tgt", c.name))
			require.NoError(t, err)
			assert.Equal(t, want, info.Mode().Perm(), "%s, %s", c.list, was)
		}
	}
}

// TestOriginIsLookedAtLast: what is alike costs nothing more.
func TestOriginIsLookedAtLast(t *testing.T) {
	same := files{"d/f": "1", "d/l": "-> x", "shadow": "a:*:1::::::\n"}
	l := back(t, same, same, same, files{}, files{})
	require.NoError(t, l.sides.Origin.Close())
	require.NoError(t, l.sides.Was.Close())
	_, err := Apply(t.Context(), mustParse(t, "/d REMOVE"), l.sides, Options{})
	require.NoError(t, err)
	l.put("src", files{"d/f": "2"})
	_, err = Apply(t.Context(), mustParse(t, "/d REMOVE"), l.sides, Options{})
	require.Error(t, err)
}

func TestWayBackRecords(t *testing.T) {
	pw := func(pw, date string) string { return "a:" + pw + ":" + date + "::::::\n" }
	none := "-"
	for _, c := range []struct {
		name, file                  string
		base, src, tgt, origin, was string
		want                        string
	}{
		{"locked before", "shadow", pw("!"+h0, "1"), pw("!"+h0, "1"), pw(h0, "1"), pw(h0, "1"), pw(h0, "1"), pw("!"+h0, "1")},
		{"locked before, nothing known of the last sync", "shadow", pw("!"+h0, "1"), pw("!"+h0, "1"), pw(h0, "1"), pw(h0, "1"), none, pw("!"+h0, "1")},
		{"locked before, opened in the target since", "shadow", pw("!"+h0, "1"), pw("!"+h0, "1"), pw(h0, "1"), pw(h0, "1"), pw("!"+h0, "1"), pw(h0, "1")},
		{"locked before, password of the target changed before", "shadow", pw("!"+h0, "1"), pw("!"+h0, "1"), pw(h1, "2"), pw(h0, "1"), pw(h1, "2"), pw("!"+h1, "2")},
		{"locked before, password of the target changed since", "shadow", pw("!"+h0, "1"), pw("!"+h0, "1"), pw(h1, "2"), pw(h0, "1"), pw(h0, "1"), pw("!"+h1, "2")},
		{"locked before, must be changed in the target", "shadow", pw("!"+h0, "1"), pw("!"+h0, "1"), pw(h0, "0"), pw(h0, "1"), pw(h0, "0"), pw("!"+h0, "1")},
		{"locked of old, the target alone opened it", "shadow", pw("!"+h0, "1"), pw("!"+h0, "1"), pw(h1, "2"), pw("!"+h0, "1"), pw(h1, "2"), pw(h1, "2")},
		{"opened before", "shadow", pw(h1, "2"), pw(h1, "2"), pw("!", "1"), pw("!", "1"), pw("!", "1"), pw(h1, "2")},
		{"opened before, perhaps locked again", "shadow", pw(h1, "2"), pw(h1, "2"), pw("!", "1"), pw("!", "1"), none, pw("!", "1")},
		{"opened before, locked again since", "shadow", pw(h1, "2"), pw(h1, "2"), pw("!", "1"), pw("!", "1"), pw(h1, "2"), pw("!", "1")},
		{"opened since, locked in the target since", "shadow", pw("!"+h0, "1"), pw(h0, "1"), pw("!"+h0, "1"), pw(h0, "1"), pw(h0, "1"), pw("!"+h0, "1")},
		{"password and date", "shadow", pw(h1, "2"), pw(h1, "2"), pw(h0, "1"), pw(h0, "1"), pw(h0, "1"), pw(h1, "2")},
		{"date alone", "shadow", pw(h0, "0"), pw(h0, "0"), pw(h0, "1"), pw(h0, "1"), pw(h0, "1"), pw(h0, "0")},
		{"password in the target, date in the source", "shadow", pw(h0, "0"), pw(h0, "0"), pw(h1, "1"), pw(h0, "1"), pw(h0, "1"), pw(h1, "1")},
		{"closed before, other day in the target before", "shadow", "a:x:1:::::5:\n", "a:x:1:::::5:\n", "a:x:1:::::9:\n", "a:x:1::::::\n", "a:x:1:::::9:\n", "a:x:1:::::5:\n"},

		{"a field each", "passwd", "a:x:1:1:n:/:/o\n", "a:x:1:1:n:/:/o\n", "a:x:1:1:o:/:/t\n", "a:x:1:1:o:/:/o\n", "a:x:1:1:o:/:/t\n", "a:x:1:1:n:/:/t\n"},
		{"not in the base", "passwd", "z:x:9:9::/:\n", "a:x:1:1:n:/:/o\n", "a:x:1:1:o:/:/t\n", "a:x:1:1:o:/:/o\n", "a:x:1:1:o:/:/t\n", "a:x:1:1:n:/:/t\n"},
		{"members", "group", "g:x:1:b,c\n", "g:x:1:b,c\n", "g:x:1:b,a\n", "g:x:1:a,b\n", "g:x:1:a,b\n", "g:x:1:b,c\n"},
		{"members back in the target", "group", "g:x:1:b,c\n", "g:x:1:b,c\n", "g:x:1:b,a\n", "g:x:1:a,b\n", "g:x:1:c\n", "g:x:1:b,a\n"},
		{"removed before", "group", "z:x:9:\n", "z:x:9:\n", "z:x:9:\na:x:1:\n", "z:x:9:\na:x:1:\n", "z:x:9:\na:x:1:\n", "z:x:9:\n"},
		{"removed before, perhaps back", "group", "z:x:9:\n", "z:x:9:\n", "z:x:9:\na:x:1:\n", "z:x:9:\na:x:1:\n", none, "z:x:9:\na:x:1:\n"},
		{"removed before, back since", "group", "z:x:9:\n", "z:x:9:\n", "z:x:9:\na:x:1:\n", "z:x:9:\na:x:1:\n", "z:x:9:\n", "z:x:9:\na:x:1:\n"},
		{"changed before and removed since", "group", "z:x:9:\na:x:1:u\n", "z:x:9:\n", "z:x:9:\na:x:1:\n", "z:x:9:\na:x:1:\n", "z:x:9:\na:x:1:\n", "z:x:9:\n"},
		{"removed since", "group", "z:x:9:\na:x:1:\n", "z:x:9:\n", "z:x:9:\na:x:1:\n", "z:x:9:\na:x:1:\n", "z:x:9:\na:x:1:\n", "z:x:9:\n"},
		{"gained, and removed in the target since", "group", "z:x:9:\na:x:1:\n", "z:x:9:\na:x:1:\n", "z:x:9:\n", "z:x:9:\n", "z:x:9:\na:x:1:\n", "z:x:9:\n"},
		{"nothing left in the source, nor in the base", "group", "", "", "z:x:9:\n", "z:x:9:\n", "z:x:9:\n", "z:x:9:\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := func(text string) files { return files{c.file: text} }
			was := is(c.was)
			if c.was == none {
				was = nil
			}
			l := back(t, is(c.base), is(c.src), is(c.tgt), is(c.origin), was)
			l.apply("/" + c.file + " MERGE")
			assert.Equal(t, c.want, l.read(c.file))
		})
	}
}

func TestWayBackLogs(t *testing.T) {
	const o = "begin\n"
	for _, c := range []struct {
		name, mode             string
		base, src, tgt, origin files
		want                   string
	}{
		{"there and back", "APPEND", files{"l": o + "new 1\nold 1\nold 2\n"}, files{"l": o + "new 1\nold 1\nold 2\nnew 2\n"}, files{"l": o + "old 1\nold 2\n"}, files{"l": o}, o + "old 1\nold 2\nnew 1\nnew 2\n"},
		{"and its handover", "APPEND", files{"l": o + "new 1\nold 1\n"}, files{"l": o + "new 1\nold 1\nnew 2\n"}, files{"l": o + "old 1\nnew 1\n"}, files{"l": o}, o + "old 1\nnew 1\nnew 2\n"},
		{"forwards", "APPEND", files{"l": o + "old 1\n"}, files{"l": o + "old 1\nold 2\n"}, files{"l": o + "new 1\nold 1\n"}, files{"l": o}, o + "new 1\nold 1\nold 2\n"},
		{"repeated lines", "APPEND", files{"l": o + "-\n-\n"}, files{"l": o + "-\n-\nx\n-\n"}, files{"l": o + "-\n-\n"}, files{"l": o}, o + "-\n-\nx\n-\n"},
		{"repeated, all there", "APPEND", files{"l": o + "-\n"}, files{"l": o + "-\nx\n-\n"}, files{"l": o + "y\n-\n-\nx\n"}, files{"l": o}, o + "y\n-\n-\nx\n"},
		{"lines that say nothing go along", "APPEND", files{"l": o}, files{"l": o + "\na\n\nb\n\n"}, files{"l": o + "b\n\n"}, files{"l": o}, o + "b\n\n\na\n\n"},
		{"an open line goes on", "APPEND", files{"l": o + "lo"}, files{"l": o + "long\nmore\n"}, files{"l": o + "x\nlo"}, files{"l": o}, o + "x\nlong\nmore\n"},
		{"an open line is ended", "APPEND", files{"l": o}, files{"l": o + "a\n"}, files{"l": o + "x\nlo"}, files{"l": o}, o + "x\nlo\na\n"},
		{"an open line of both", "APPEND", files{"l": o}, files{"l": o + "lo\nlong\n"}, files{"l": o + "lo"}, files{"l": o}, o + "lo\nlong\n"},
		{"rotated", "APPEND", files{"l": o + "new 1\nold 1\n"}, files{"l.1": o + "new 1\nold 1\n", "l": "new 2\n"}, files{"l": o + "old 1\n"}, files{"l": o}, o + "old 1\nnew 1\nnew 2\n"},
		{"rotated away: from the base on", "APPEND", files{"l": "new 1\nold 1\n"}, files{"l": "new 1\nold 1\nnew 2\n"}, files{"l": o + "old 1\n"}, files{"l": o}, o + "old 1\nnew 2\n"},
		{"rotated away in the target", "APPEND", files{"l": o + "old 1\n"}, files{"l": o + "old 1\nnew 2\n"}, files{"l": "x\n"}, files{"l": o}, "x\nnew 2\n"},
		{"no such file of old", "APPEND", files{"l": "new 1\nold 1\n"}, files{"l": "new 1\nold 1\nnew 2\n"}, files{"l": "old 1\n"}, files{}, "old 1\nnew 1\nnew 2\n"},
		{"too long a line: from the base on", "APPEND", files{"l": o + strings.Repeat("x", chunk) + "\n"}, files{"l": o + strings.Repeat("x", chunk) + "\nnew 2\n"}, files{"l": o + "y\n"}, files{"l": o}, o + "y\nnew 2\n"},
		{"records", "APPEND", files{"l": rec(0, 1, 2)}, files{"l": rec(0, 1, 2, 3)}, files{"l": rec(0, 2)}, files{"l": rec(0)}, rec(0, 2, 1, 3)},
		{"binary: from the base on", "APPEND", files{"l": "\x000\x001"}, files{"l": "\x000\x001\x002"}, files{"l": "\x000\x001"}, files{"l": "\x00"}, "\x000\x001\x002"},
		{"prepended", "PREPEND", files{"l": "old 1\nnew 1\n" + o}, files{"l": "new 2\nold 1\nnew 1\n" + o}, files{"l": "old 1\n" + o}, files{"l": o}, "new 2\nnew 1\nold 1\n" + o},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := back(t, c.base, c.src, c.tgt, c.origin, nil)
			l.apply("/l " + c.mode)
			assert.Equal(t, c.want, l.read("l"))
		})
	}
}

func TestInconsistencyIsToldOnce(t *testing.T) {
	one := files{"passwd": "root:x:0:0::/:\n_apt:x:42:42::/:\n", "shadow": "root:*:1::::::\n"}
	two := files{"passwd": "root:x:0:0::/:\n", "shadow": "root:*:1::::::\n"}
	const list = "/passwd MERGE\n/shadow MERGE\n"
	told := func(l *lab) bool { return strings.Contains(l.apply(list).String(), "_apt") }
	assert.False(t, told(newLab(t, one, one, one)), "nothing new")
	assert.True(t, told(newLab(t, two, two, one)), "new in the target")
	assert.True(t, told(newLab(t, two, one, two)), "brought")
	assert.False(t, told(back(t, two, two, one, two, one)), "known at the last sync")
}

// TestSinceOriginRandom has few lines, so that they are repeated: the target has
// each as often as the side that has it more often, and its own are in front.
func TestSinceOriginRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	lines := func(n int) (s string) {
		for range r.IntN(n) {
			s += []string{"a\n", "b\n", "c\n", "\n", "ab\n"}[r.IntN(5)]
		}
		return s
	}
	count := func(s string) map[string]int {
		n := map[string]int{}
		for line := range strings.Lines(s) {
			if n[line]++; line == "\n" {
				delete(n, line)
			}
		}
		return n
	}
	for range 200 {
		o := "begin\n" + lines(3)
		base := o + lines(5)
		src, tgt := base+lines(4), o+lines(6)
		t.Run("", func(t *testing.T) {
			l := back(t, files{"l": base}, files{"l": src}, files{"l": tgt}, files{"l": o}, nil)
			l.apply("/l APPEND")
			got := l.read("l")
			require.True(t, strings.HasPrefix(got, tgt))
			want := count(src[len(o):])
			for line, n := range count(tgt[len(o):]) {
				want[line] = max(n, want[line])
			}
			require.Equal(t, want, count(got[len(o):]), "origin %q, source %q, target %q, got %q", o, src, tgt, got)
		})
	}
}
