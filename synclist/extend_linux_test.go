package synclist

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAppend(t *testing.T) {
	for _, c := range []struct {
		name           string
		base, src, tgt files
		want           Action
		left           string
		why            string
	}{
		{"gain", files{"l": "1\n"}, files{"l": "1\n2\n"}, files{"l": "1\n"}, Appended, "1\n2\n", ""},
		{"gain, target grew", files{"l": "1\n"}, files{"l": "1\n2\n"}, files{"l": "1\n0\n"}, Appended, "1\n0\n2\n", ""},
		{"none", files{"l": "1\n"}, files{"l": "1\n"}, files{"l": "1\n0\n"}, Same, "1\n0\n", ""},
		{"equal", files{"l": "1\n"}, files{"l": "1\n2\n"}, files{"l": "1\n2\n"}, Same, "1\n2\n", ""},
		{"added before", files{"l": "1\n"}, files{"l": "1\n2\n"}, files{"l": "1\n0\n2\n"}, Same, "1\n0\n2\n", ""},
		{"added before, target grew since", files{"l": "1\n"}, files{"l": "1\n2\n"}, files{"l": "1\n0\n2\n9\n"}, Same, "1\n0\n2\n9\n", ""},
		{"part added before", files{"l": "1\n"}, files{"l": "1\n2\n3\n"}, files{"l": "1\n0\n2\n"}, Appended, "1\n0\n2\n3\n", ""},
		{"part added before, both grew since", files{"l": "1\n"}, files{"l": "1\n2\n3\n"}, files{"l": "1\n0\n2\n9\n"}, Appended, "1\n0\n2\n9\n3\n", ""},
		{"empty lines are no sign", files{"l": "1\n"}, files{"l": "1\n\n2\n"}, files{"l": "1\n\n0\n"}, Appended, "1\n\n0\n\n2\n", ""},
		{"line cut off", files{"l": "1\n"}, files{"l": "1\nlong line\n"}, files{"l": "1\n0\nlong"}, Appended, "1\n0\nlong line\n", ""},
		{"target's line is open", files{"l": "1\n"}, files{"l": "1\n2\n"}, files{"l": "1\n0"}, Appended, "1\n0\n2\n", ""},
		{"base's line is open", files{"l": "1"}, files{"l": "12\n"}, files{"l": "1"}, Appended, "12\n", ""},
		{"no base", files{}, files{"l": "2\n"}, files{"l": "1\n"}, Appended, "1\n2\n", ""},
		{"no target", files{}, files{"l": "2\n"}, files{}, Copied, "2\n", "new in the source"},
		{"no source", files{"l": "1\n"}, files{}, files{"l": "1\n"}, Skipped, "1\n", "not in the source"},
		{"target emptied", files{"l": "1\n"}, files{"l": "1\n2\n"}, files{"l": ""}, Appended, "2\n", ""},
		{"target unlike base", files{"l": "1\n2\n"}, files{"l": "1\n2\n3\n"}, files{"l": "1\n0\n2\n"}, Appended, "1\n0\n2\n3\n", ""},
		{"source rewritten", files{"l": "1\n2\n"}, files{"l": "8\n9\n"}, files{"l": "1\n2\n"}, Conflict, "1\n2\n", "no rotated file beside it does"},
		{"source cut off", files{"l": "1\n2\n"}, files{"l": "1\n"}, files{"l": "1\n2\n"}, Conflict, "1\n2\n", ""},

		{"rotated", files{"l": "1\n"}, files{"l.1": "1\n2\n", "l": "3\n"}, files{"l": "1\n"}, Appended, "1\n2\n3\n", ""},
		{"rotated twice", files{"l": "1\n"}, files{"l.2": "1\n2\n", "l.1": "3\n", "l": ""}, files{"l": "1\n"}, Appended, "1\n2\n3\n", ""},
		{"rotated to 0", files{"l": "1\n"}, files{"l.0": "1\n2\n", "l": "3\n"}, files{"l": "1\n"}, Appended, "1\n2\n3\n", ""},
		{"rotated by date", files{"l": "1\n"}, files{"l-20261101": "x\n", "l-20261120": "1\n2\n", "l-20261127": "3\n", "l": "4\n"}, files{"l": "1\n0\n"}, Appended, "1\n0\n2\n3\n4\n", ""},
		{"rotated, compressed", files{"l": "1\n"}, files{"l.1.gz": "?", "l": "3\n"}, files{"l": "1\n"}, Conflict, "1\n", `"l.1.gz" is compressed`},
		{"rotated, one between compressed", files{"l": "1\n"}, files{"l.2": "1\n2\n", "l.1.xz": "?", "l": "3\n"}, files{"l": "1\n"}, Conflict, "1\n", `"l.1.xz" is compressed`},
		{"others beside it", files{"l": "1\n"}, files{"l.old": "1\n", "l.1.bak": "1\n", "lx.1": "1\n", "l": "3\n"}, files{"l": "1\n"}, Conflict, "1\n", "no rotated file"},
		{"rotated in the target too", files{"l": "1\n"}, files{"l": "1\n2\n"}, files{"l.1": "1\n0\n2\n", "l": "9\n"}, Same, "9\n", ""},
		{"rotated in the target alone", files{"l": "1\n"}, files{"l": "1\n2\n"}, files{"l.1": "1\n0\n", "l": "9\n"}, Appended, "9\n2\n", ""},
		{"base empty, not rotated", files{"l": "", "l.1": "0\n"}, files{"l": "1\n", "l.1": "0\n"}, files{"l": ""}, Appended, "1\n", ""},
		{"base empty, rotated", files{"l": "", "l.1": "0\n"}, files{"l": "2\n", "l.1": "1\n", "l.2": "0\n"}, files{"l": ""}, Appended, "1\n2\n", ""},
		{"base empty, first rotation", files{"l": ""}, files{"l": "2\n", "l.1": "1\n"}, files{"l": ""}, Appended, "1\n2\n", ""},
		{"base empty, lost", files{"l": "", "l.1": "0\n"}, files{"l": "2\n", "l.1": "1\n"}, files{"l": ""}, Conflict, "", `"l.1" is gone`},

		{"records", files{"l": rec(1)}, files{"l": rec(1, 2, 3)}, files{"l": rec(1, 9, 2)}, Appended, rec(1, 9, 2, 3), ""},
		{"records, grown since", files{"l": rec(1)}, files{"l": rec(1, 2)}, files{"l": rec(1, 9, 2, 8)}, Same, rec(1, 9, 2, 8), ""},
		{"binary", files{"l": "\x001"}, files{"l": "\x001\x002"}, files{"l": "\x001"}, Appended, "\x001\x002", ""},
		{"binary, both", files{"l": "\x001"}, files{"l": "\x001\x002"}, files{"l": "\x001\x003"}, Conflict, "\x001\x003", "binary"},

		{"a directory", files{}, files{"l/x": "1"}, files{}, Refused, "", "it is a directory in the source"},
		{"a symlink", files{}, files{"l": "1\n"}, files{"l": "-> x"}, Refused, "", "it is a symlink in the target"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.base, c.src, c.tgt)
			i := find(t, l.apply("/l APPEND"), "/l")
			assert.Equal(t, c.want, i.Action, i)
			assert.Contains(t, i.Why, c.why)
			if c.want != Refused {
				assert.Equal(t, c.left, l.read("l"))
			}
		})
	}
}

// rec is records as of wtmp.
func rec(ids ...byte) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString("\x00" + strings.Repeat(string([]byte{id, '\n', 'x'}), 127) + "\x00\x00")
	}
	return b.String()
}

func TestPrepend(t *testing.T) {
	for _, c := range []struct {
		name           string
		base, src, tgt string
		want           Action
		left           string
	}{
		{"gain", "1\n", "2\n1\n", "1\n", Prepended, "2\n1\n"},
		{"gain, target grew", "1\n", "2\n1\n", "0\n1\n", Prepended, "2\n0\n1\n"},
		{"added before", "1\n", "2\n1\n", "2\n0\n1\n", Same, "2\n0\n1\n"},
		{"added before, target grew since", "1\n", "2\n1\n", "9\n2\n0\n1\n", Same, "9\n2\n0\n1\n"},
		{"part added before", "1\n", "3\n2\n1\n", "2\n0\n1\n", Prepended, "3\n2\n0\n1\n"},
		{"open gain", "\n1\n", "2\n1\n", "0\n1\n", Prepended, "2\n0\n1\n"},
		{"none", "1\n", "1\n", "0\n1\n", Same, "0\n1\n"},
		{"rewritten", "1\n", "2\n", "1\n", Conflict, "1\n"},
		{"target unlike base", "1\n2\n", "3\n1\n2\n", "2\n", Prepended, "3\n2\n"},
		{"binary, both", "1", "\x0031", "\x0021", Conflict, "\x0021"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, files{"l": c.base}, files{"l": c.src}, files{"l": c.tgt})
			assert.Equal(t, c.want, find(t, l.apply("/l PREPEND"), "/l").Action)
			assert.Equal(t, c.left, l.read("l"))
		})
	}
}

func TestAppendAttributes(t *testing.T) {
	for _, c := range []struct {
		name           string
		base, src, tgt files
		want           Action
		mode           os.FileMode
		differs        []string
	}{
		{"source alone", files{"l@644": "1\n"}, files{"l@600": "1\n2\n"}, files{"l@644": "1\n"}, Appended, 0o600, nil},
		{"source alone, no gain", files{"l@644": "1\n"}, files{"l@600": "1\n"}, files{"l@644": "1\n0\n"}, Copied, 0o600, nil},
		{"target alone", files{"l@644": "1\n"}, files{"l@644": "1\n2\n"}, files{"l@600": "1\n"}, Appended, 0o600, nil},
		{"both", files{"l@644": "1\n"}, files{"l@640": "1\n2\n"}, files{"l@600": "1\n"}, Appended, 0o600, []string{"mode"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.base, c.src, c.tgt)
			r := l.apply("/l APPEND")
			i := find(t, r, "/l")
			assert.Equal(t, c.want, i.Action)
			assert.Equal(t, c.differs, i.Differs)
			assert.Len(t, r.Conflicts(), min(1, len(c.differs)))
			info, err := os.Lstat(l.path("tgt", "l"))
			require.NoError(t, err)
			assert.Equal(t, c.mode, info.Mode())
		})
	}
}

func TestAppendWithoutBase(t *testing.T) {
	for _, c := range []struct {
		name, src, tgt string
		want           Action
		left           string
	}{
		{"source grew", "1\n2\n", "1\n", Appended, "1\n2\n"},
		{"both grew", "1\n2\n", "1\n0\n", Appended, "1\n0\n2\n"},
		{"both grew, alike at first", "1\n22\n", "1\n23\n", Appended, "1\n23\n22\n"},
		{"target grew", "1\n", "1\n0\n", Same, "1\n0\n"},
		{"target emptied", "1\n", "", Appended, "1\n"},
		{"nothing in common", "1\n", "2\n", Conflict, "2\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, nil, files{"l": c.src}, files{"l": c.tgt})
			l.sides.Base = nil
			assert.Equal(t, c.want, find(t, l.apply("/l APPEND"), "/l").Action)
			assert.Equal(t, c.left, l.read("l"))
			l.sides.Since = time.Now().Add(time.Hour)
			assert.Equal(t, Same, find(t, l.apply("/l APPEND"), "/l").Action, "the source is old")
		})
	}
}

// TestAppendHandover goes on with a newer base: what the source had when it was
// synced before.
func TestAppendHandover(t *testing.T) {
	l := newLab(t, files{"l": "1\n"}, files{"l": "1\n2\n"}, files{"l": "1\n0\n"})
	l.apply("/l APPEND")
	l.put("base", files{"l": "1\n2\n"})
	l.put("src", files{"l": "1\n2\n3\n"})
	l.apply("/l APPEND")
	assert.Equal(t, "1\n0\n2\n3\n", l.read("l"))
}

// TestAppendMemory has 64 MiB on all sides.
func TestAppendMemory(t *testing.T) {
	for _, mode := range []string{"APPEND", "PREPEND"} {
		t.Run(mode, func(t *testing.T) {
			l := large(t, 64<<20, mode == "PREPEND")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r, err := Apply(t.Context(), mustParse(t, "/l "+mode), l.sides, Options{})
			require.NoError(t, err)
			_, err = Apply(t.Context(), mustParse(t, "/l "+mode), l.sides, Options{})
			require.NoError(t, err)
			runtime.ReadMemStats(&after)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
			assert.Greater(t, r.Written, int64(66<<20))
		})
	}
}

func BenchmarkAppend1GB(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		l := large(b, 1<<30, false)
		b.StartTimer()
		_, err := Apply(b.Context(), mustParse(b, "/l APPEND"), l.sides, Options{})
		require.NoError(b, err)
	}
}

// large is a log of that size, and about 2 MiB more on each of two sides.
func large(t testing.TB, size int, front bool) *lab {
	l := newLab(t, nil, nil, nil)
	for side, own := range map[string]string{"base": "", "src": "source", "tgt": "target"} {
		f, err := os.Create(l.path(side, "l"))
		require.NoError(t, err)
		more := func() {
			var lines bytes.Buffer
			for i := range 64 << 10 {
				if own != "" {
					fmt.Fprintf(&lines, "%s line %020d\n", own, i)
				}
			}
			_, err := lines.WriteTo(f)
			require.NoError(t, err)
		}
		if front {
			more()
		}
		block := []byte(strings.Repeat("Nov 27 17:00:00 host daemon[1]: what happened\n", 23)[:1023] + "\n")
		block = bytes.Repeat(block, 1024)
		for n := 0; n < size; n += len(block) {
			_, err := f.Write(block)
			require.NoError(t, err)
		}
		if !front {
			more()
		}
		require.NoError(t, f.Close())
	}
	return l
}

// appendTo appends once, and once more.
func appendTo(t testing.TB, base, gain, own string) (string, string) {
	t.Helper()
	l := newLab(t, files{"l": base}, files{"l": base + gain}, files{"l": base + own})
	lines := mustParse(t, "/l APPEND")
	_, err := Apply(context.Background(), lines, l.sides, Options{})
	require.NoError(t, err)
	once := l.read("l")
	_, err = Apply(context.Background(), lines, l.sides, Options{})
	require.NoError(t, err)
	return once, l.read("l")
}

// checkAppend holds what APPEND promises: the target's own stays in front, every
// line of the gain is there in order after the base, twice does no more than
// once, and what the target had nothing of is added whole.
func checkAppend(t testing.TB, base, gain, own string) {
	t.Helper()
	once, twice := appendTo(t, base, gain, own)
	require.Equal(t, once, twice, "twice")
	require.True(t, strings.HasPrefix(once, base+own), "the target's own: %q", once)
	rest := strings.SplitAfter(once[len(base):], "\n")
	for _, line := range strings.SplitAfter(gain, "\n") {
		i := slices.IndexFunc(rest, func(r string) bool { return strings.TrimSuffix(r, "\n") == strings.TrimSuffix(line, "\n") })
		if line != "" {
			require.GreaterOrEqual(t, i, 0, "line %q is lost in %q", line, once)
			rest = rest[i+1:]
		}
	}
	if own == "" {
		require.Equal(t, base+gain, once)
	}
	require.LessOrEqual(t, len(once), len(base+own)+1+len(gain))
	if ended(base) && ended(own) && !shareLines(gain, own) {
		require.Equal(t, base+own+gain, once, "nothing of it was there")
	}
}

func ended(s string) bool { return s == "" || strings.HasSuffix(s, "\n") }

func shareLines(a, b string) bool {
	for line := range strings.SplitAfterSeq(a, "\n") {
		line = strings.TrimSuffix(line, "\n")
		for other := range strings.SplitAfterSeq(b, "\n") {
			if strings.TrimSuffix(other, "\n") == line {
				return true
			}
		}
	}
	return false
}

func TestAppendRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	words := []string{"a\n", "b\n", "\n", "ab\n", "a", " \n"}
	text := func(n int) (s string) {
		for range r.IntN(n) {
			s += words[r.IntN(len(words))]
		}
		return s
	}
	for range 200 {
		base := "base\n" + text(3)
		checkAppend(t, base, text(6), text(6))
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("1\n", "2\n3\n", "0\n")
	f.Add("1", "2\n3", "0")
	f.Add("1\n", "a\nb\na\n", "a\n\nb")
	f.Fuzz(func(t *testing.T, base, gain, own string) {
		link := strings.HasPrefix(base, "= ") || strings.HasPrefix(base, "-> ") // see files
		if base == "" || link || strings.ContainsRune(base+gain+own, 0) || len(base+gain+own) > 4096 {
			t.Skip()
		}
		checkAppend(t, base, gain, own)
	})
}

// TestLinesBack compares reading backwards with reading forwards, around the
// sizes of what is read at a time.
func TestLinesBack(t *testing.T) {
	for _, width := range []int{0, 40, 1000, chunk - 1, chunk} {
		for _, size := range []int{0, 1, 10, chunk - 1, chunk + 1, 5*chunk - 1, 5 * chunk, 12*chunk + 3} {
			content := strings.Repeat(strings.Repeat("x", max(0, width-1))+"\n", size/max(1, width)+1)[:size]
			next := text{{strings.NewReader(content), 0, int64(size)}}.lines(backwards, 0)
			var got []string
			for {
				line, err := next()
				if err != nil {
					break
				}
				got = append(got, string(line))
			}
			slices.Reverse(got)
			require.Equal(t, content, strings.Join(got, ""))
			for _, g := range got {
				require.LessOrEqual(t, strings.Count(g, "\n"), 1)
			}
		}
	}
}
