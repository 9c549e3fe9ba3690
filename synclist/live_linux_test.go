package synclist

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSourceAtWork has names come and go, and change their kind, while a plan
// looks at them.
func TestSourceAtWork(t *testing.T) {
	l := newLab(t, files{"d/": "", "log": "1\n"}, files{"d/stays": "2", "log": "1\n2\n"}, files{"d/": "", "log": "1\n"})
	for i := range 8 {
		for _, side := range []string{"base", "tgt", "src"} {
			l.put(side, files{fmt.Sprintf("d/%d/f", i): "xx", fmt.Sprintf("d/%d/g", i): "yy"})
		}
	}
	stop := make(chan struct{})
	var work sync.WaitGroup
	for i := range 2 {
		work.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				dir := l.path("src", fmt.Sprintf("d/%d", (2*n+i)%8))
				_ = os.RemoveAll(dir)
				switch n % 3 {
				case 0:
					_ = os.WriteFile(dir, []byte("a file"), 0o644)
					_ = os.Remove(dir)
				case 1:
					_ = os.Symlink("stays", dir)
					_ = os.Remove(dir)
				}
				_ = os.Mkdir(dir, 0o755)
				for _, f := range []string{"f", "g"} {
					_ = os.WriteFile(filepath.Join(dir, f), []byte("zz"), 0o644)
				}
				// As copytruncate of logrotate(8).
				if i == 0 {
					_ = os.Truncate(l.path("src", "log"), 0)
					_ = os.WriteFile(l.path("src", "log"), []byte("1\n2\n"), 0o644)
				}
			}
		})
	}
	list := mustParse(t, "/d REMOVE\n/log APPEND\n")
	end := time.Now().Add(time.Second)
	var err error
	for time.Now().Before(end) && err == nil {
		var r *Report
		if r, err = Plan(t.Context(), list, l.sides); err == nil {
			assert.Equal(t, Copied, find(t, r, "/d/stays").Action)
		}
	}
	close(stop)
	work.Wait()
	require.NoError(t, err)
}

// TestLogIsCut has it shorter each time than a moment ago.
func TestLogIsCut(t *testing.T) {
	w := &walk{syncer: &syncer{report: &Report{}}, line: Line{Path: "/l"}, top: "l"}
	n := 0
	require.NoError(t, w.patiently(t.Context(), "l", func() error { n++; return fmt.Errorf("read: %w", errShrunk) }))
	assert.Equal(t, looks, n)
	assert.Equal(t, map[string]string{"/l": "refused"}, actions(w.report))
	gone := errors.New("the disk is gone")
	assert.ErrorIs(t, w.patiently(t.Context(), "l", func() error { return gone }), gone)
}

// TestRotatedWhileOpened finds a file twice.
func TestRotatedWhileOpened(t *testing.T) {
	p := filepath.Join(t.TempDir(), "l")
	require.NoError(t, os.WriteFile(p, []byte("1\n2\n"), 0o644))
	section := func() section {
		f, err := os.Open(p)
		require.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		return section{f, 0, 4}
	}
	assert.NoError(t, text{section()}.settled())
	assert.ErrorIs(t, text{section(), section()}.settled(), errShrunk)
	one := text{section()}
	require.NoError(t, os.Truncate(p, 2))
	assert.ErrorIs(t, one.settled(), errShrunk)
}

// TestImmutableDirectoryIsPlanned has nothing written where a strict line meets
// a directory that is immutable.
func TestImmutableDirectoryIsPlanned(t *testing.T) {
	asRoot(t)
	make3 := func(t *testing.T) *lab {
		l := newLab(t, files{"a": "1", "d/r": "1", "d/log": "1\n"},
			files{"a": "2", "d/f": "1", "d/s/x": "1", "d/log": "1\n2\n"}, files{"a": "1", "d/r": "1", "d/log": "1\n"})
		flag(t, l.path("tgt", "d"), 0x10)
		return l
	}
	l := make3(t)
	r := l.apply("/a\n/d REMOVE\n/d/log APPEND\n/d/n/deep\n")
	assert.Equal(t, map[string]string{
		"/a": "copied", "/d": "same", "/d/f": "refused", "/d/s": "refused", "/d/r": "refused", "/d/log": "refused", "/d/n/deep": "skipped",
	}, actions(r))
	for _, list := range []string{"/a\n/d STRICT", "/a\n/d/s/x STRICT", "/a\n/d/log APPEND STRICT"} {
		l := make3(t)
		_, err := Apply(t.Context(), mustParse(t, list), l.sides, Options{})
		var conflict *ConflictError
		require.ErrorAs(t, err, &conflict, list)
		assert.False(t, conflict.Late)
		assert.Equal(t, "1", l.read("a"), "nothing was written")
	}
}

// TestStrictLate has a strict line refused when it was planned already.
func TestStrictLate(t *testing.T) {
	l := newLab(t, files{"a": "1", "b": "1"}, files{"a": "2", "b": "2"}, files{"a": "1", "b": "1"})
	l.sides.Target.Before = func(what string) error {
		if strings.Contains(what, `"b"`) {
			return os.ErrPermission
		}
		return nil
	}
	r, err := Apply(t.Context(), mustParse(t, "/a\n/b STRICT"), l.sides, Options{})
	var conflict *ConflictError
	require.ErrorAs(t, err, &conflict)
	assert.True(t, conflict.Late)
	assert.ErrorContains(t, err, "only found out")
	assert.Equal(t, map[string]string{"/a": "copied", "/b": "refused"}, actions(r))
}

func gz(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.String()
}

func TestAppendRotated(t *testing.T) {
	for _, c := range []struct {
		name           string
		base, src, tgt files
		want           Action
		left           string
		why            string
	}{
		{"delaycompress, twice", files{"l": "1\n"}, files{"l": "4\n", "l.1": "3\n", "l.2.gz": gz("1\n2\n")}, files{"l": "1\n0\n"}, Appended, "1\n0\n2\n3\n4\n", ""},
		{"all compressed", files{"l": "1\n"}, files{"l": "4\n", "l.1.gz": gz("3\n"), "l.2.gz": gz("1\n2\n")}, files{"l": "1\n"}, Appended, "1\n2\n3\n4\n", ""},
		{"being compressed", files{"l": "1\n"}, files{"l": "4\n", "l.1": "3\n", "l.2": "1\n2\n", "l.2.gz": "\x1f\x8b"}, files{"l": "1\n"}, Appended, "1\n2\n3\n4\n", ""},
		{"broken off", files{"l": "1\n"}, files{"l": "3\n", "l.1.gz": gz("1\n2\n")[:15]}, files{"l": "1\n"}, Conflict, "1\n", `"l.1.gz" is compressed, and cannot be read`},
		{"zst", files{"l": "1\n"}, files{"l": "3\n", "l.1.zst": "?"}, files{"l": "1\n"}, Conflict, "1\n", `"l.1.zst" is compressed`},
		{"base empty, once, delaycompress", files{"l": "", "l.1": "0\n"}, files{"l": "2\n", "l.1": "1\n", "l.2.gz": gz("0\n")}, files{"l": ""}, Appended, "1\n2\n", ""},
		{"base empty, compressed before", files{"l": "", "l.1.xz": "0?"}, files{"l": "2\n", "l.1": "1\n", "l.2.xz": "0?"}, files{"l": ""}, Appended, "1\n2\n", ""},
		{"target rotated and compressed", files{"l": "1\n"}, files{"l": "1\n2\n"}, files{"l.1.gz": gz("1\n0\n2\n"), "l": "9\n"}, Same, "9\n", ""},
		{"target edited, a line comes again", files{"l": "a\nb\n"}, files{"l": "a\nb\na\n"}, files{"l": "a\nX\n"}, Appended, "a\nX\na\n", ""},
		{"target edited, some lines come again", files{"l": "a\nb\nc\n"}, files{"l": "a\nb\nc\na\nb\n"}, files{"l": "a\nb\nX\n"}, Appended, "a\nb\nX\na\nb\n", ""},
		{"target emptied, it begins alike", files{"l": "a\nb\n"}, files{"l": "a\nb\na\nc\n"}, files{"l": ""}, Appended, "a\nc\n", ""},
		{"records, target edited", files{"l": rec(1, 2)}, files{"l": rec(1, 2, 1)}, files{"l": rec(1, 3)}, Appended, rec(1, 3, 1), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.base, c.src, c.tgt)
			i := find(t, l.apply("/l APPEND"), "/l")
			assert.Equal(t, c.want, i.Action, i)
			assert.Contains(t, i.Why, c.why)
			assert.Equal(t, c.left, l.read("l"))
		})
	}
	for _, names := range [][2]string{{"l-20261120.log", "l-20261127.log"}, {"l-20261120.log.gz", "l-20261127.log"}, {"l.2.log", "l.1.log"}, {"l.log.2", "l.log.1"}} {
		t.Run(names[0], func(t *testing.T) {
			first := "1\n2\n"
			if strings.HasSuffix(names[0], ".gz") {
				first = gz(first)
			}
			l := newLab(t, files{"l.log": "1\n"}, files{names[0]: first, names[1]: "3\n", "l.log": "4\n"}, files{"l.log": "1\n"})
			assert.Equal(t, Appended, find(t, l.apply("/l.log APPEND"), "/l.log").Action)
			assert.Equal(t, "1\n2\n3\n4\n", l.read("l.log"))
		})
	}
	t.Run("known by its time", func(t *testing.T) {
		l := newLab(t, files{"l": "", "l.1": "0\n"}, files{"l": "2\n", "l.1": "1\n", "l.2.xz": "?"}, files{"l": ""})
		at := time.Now().Add(-time.Hour)
		l.setTime("base", "l.1", at)
		assert.Contains(t, find(t, l.apply("/l APPEND"), "/l").Why, `"l.2.xz" is compressed`)
		l.setTime("src", "l.2.xz", at)
		assert.Equal(t, Appended, find(t, l.apply("/l APPEND"), "/l").Action)
		assert.Equal(t, "1\n2\n", l.read("l"))
	})
}

// TestUnpackMemory has a log that unpacks to 64 MiB.
func TestUnpackMemory(t *testing.T) {
	old := gz("1\n" + strings.Repeat("Nov 27 17:00:00 host daemon[1]: what happened\n", 64<<20/46))
	l := newLab(t, files{"l": "1\n"}, files{"l": "2\n", "l.1.gz": old}, files{"l": "1\n"})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := Apply(t.Context(), mustParse(t, "/l APPEND"), l.sides, Options{})
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
	assert.Greater(t, r.Written, int64(63<<20))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Plan(ctx, mustParse(t, "/l APPEND"), l.sides)
	assert.ErrorIs(t, err, context.Canceled)
}

// TestLinksAreComparedOnce counts by what is remembered.
func TestLinksAreComparedOnce(t *testing.T) {
	in := func(content string) files {
		f := files{"d/000": content}
		for i := 1; i < 50; i++ {
			f[fmt.Sprintf("d/%03d", i)] = "= d/000"
		}
		return f
	}
	l := newLab(t, in("old"), in("new"), in("old"))
	s := contents{}
	a, err := look(l.sides.Source, "d/000")
	require.NoError(t, err)
	b, err := look(l.sides.Target, "d/000")
	require.NoError(t, err)
	same, err := s.same(t.Context(), "d/000", a, b)
	require.NoError(t, err)
	assert.False(t, same)
	require.Len(t, s, 1)
	// No name of another is read any more.
	same, err = s.same(t.Context(), "no such name", a, b)
	require.NoError(t, err)
	assert.False(t, same)
	l.apply("/d")
	assert.Equal(t, "new", l.read("d/049"))
}

// TestPathTooLong has names so deep that they cannot be walked to.
func TestPathTooLong(t *testing.T) {
	l := newLab(t, nil, files{"z": "1"}, nil)
	at, err := os.Open(l.path("src", "."))
	require.NoError(t, err)
	name := strings.Repeat("n", 250)
	require.NoError(t, os.Mkdir(l.path("src", "d"), 0o755))
	dir, err := syscall.Open(l.path("src", "d"), syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	require.NoError(t, err)
	at.Close()
	for range 140 {
		require.NoError(t, syscall.Mkdirat(dir, name, 0o755))
		next, err := syscall.Openat(dir, name, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
		require.NoError(t, err)
		syscall.Close(dir)
		dir = next
	}
	syscall.Close(dir)
	list := mustParse(t, "/d\n/z\n")
	plan, err := Plan(t.Context(), list, l.sides)
	require.NoError(t, err)
	r, err := Apply(t.Context(), list, l.sides, Options{})
	require.NoError(t, err)
	assert.Equal(t, plan, r)
	assert.Equal(t, Copied, find(t, r, "/z").Action)
	var refused []Item
	for _, i := range r.Items {
		if i.Action == Refused {
			refused = append(refused, i)
		}
	}
	require.Len(t, refused, 1)
	assert.Less(t, len(refused[0].Path), 200)
	// What cannot be walked to cannot be removed by the test's end either.
	for _, side := range []string{"src", "tgt"} {
		require.NoError(t, os.RemoveAll(l.path(side, "d")))
	}
}

func TestManyRefused(t *testing.T) {
	l := newLab(t, files{"d/s/": ""}, files{"d/z": "1", "d/s/": ""}, files{"d/": "", "d/s/": ""})
	for i := range 300 {
		require.NoError(t, syscall.Mkfifo(l.path("src", fmt.Sprintf("d/s/%04d", i)), 0o600))
	}
	r := l.apply("/d REMOVE\n")
	assert.Len(t, r.Items, mostRefused+3)
	i := find(t, r, "/d/s")
	assert.Equal(t, Refused, i.Action)
	assert.Equal(t, "and 280 more in it", i.Why)
	assert.Equal(t, Copied, find(t, r, "/d/z").Action)
	_, err := Apply(t.Context(), mustParse(t, "/d STRICT"), l.sides, Options{})
	var conflict *ConflictError
	assert.ErrorAs(t, err, &conflict)
}

// TestRejectedOwner has a number mean one user in the source and another one in
// the target.
func TestRejectedOwner(t *testing.T) {
	asRoot(t)
	const root = "root:x:0:0::/:\n"
	l := newLab(t, files{"passwd": root, "mail/b": "b"},
		files{"passwd": root + "a:x:1001:0::/:\n", "mail/a": "secret", "mail/b": "b", "mail/new": "1", "home/a/f": "1", "home/root": "1"},
		files{"passwd": root + "toor:x:0:0::/:\nb:x:1001:0::/:\n", "mail/b": "b"})
	for side, names := range map[string][]string{"src": {"mail/a", "mail/b", "home/a", "home/a/f"}, "tgt": {"mail/b"}, "base": {"mail/b"}} {
		for _, n := range names {
			require.NoError(t, os.Lchown(l.path(side, n), 1001, 0))
		}
	}
	l.put("src", files{"mail/b": "b2"})
	require.NoError(t, os.Lchown(l.path("src", "mail/b"), 1001, 0))
	r := l.apply("/mail\n/home/a/f\n/home\n/passwd MERGE\n")
	assert.Equal(t, map[string]string{
		"/passwd": "conflict", "/mail": "same", "/mail/a": "refused", "/mail/b": "copied", "/mail/new": "copied",
		"/home": "copied", "/home/a": "refused", "/home/a/f": "refused", "/home/root": "copied",
	}, actions(r))
	assert.Contains(t, find(t, r, "/mail/a").Why, `it belongs to uid 1001, and that is "a" in the source and "b" in the target`)
	assert.NoFileExists(t, l.path("tgt", "mail/a"))
	assert.NoDirExists(t, l.path("tgt", "home/a"))
}

// TestYoungHole has a mailbox of 1 TiB with nothing in it, and its owner at it.
func TestYoungHole(t *testing.T) {
	l := newLab(t, files{"f": ""}, files{"f": ""}, files{"f": ""})
	for _, side := range []string{"src", "tgt"} {
		require.NoError(t, os.Truncate(l.path(side, "f"), 1<<40))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := Apply(ctx, mustParse(t, "/f"), l.sides, Options{})
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Less(t, time.Since(begin), 5*time.Second)
}

// TestRotationRandom has a log live on for a while, with all the ways that
// logrotate(8) has to call and to pack its files: the target gets each line that
// came since the base, once and in order.
func TestRotationRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 150 {
		h := &logHost{rand: r, dated: r.IntN(2) == 0, last: r.IntN(2) == 0, delay: r.IntN(2), pack: r.IntN(3) > 0, dir: files{"l.log": ""}}
		for range r.IntN(12) {
			h.step()
		}
		base, since := maps.Clone(h.dir), len(h.lines)
		for range r.IntN(12) {
			h.step()
		}
		gain := strings.Join(h.lines[since:], "")
		tgt := maps.Clone(base)
		own := []string{"", "own\n", "own\nown 2\n"}[r.IntN(3)]
		tgt["l.log"] += own
		l := newLab(t, base, h.dir, tgt)
		what := fmt.Sprintf("base %q, source %q", base, h.dir)
		for range 2 {
			_, err := Apply(t.Context(), mustParse(t, "/l.log APPEND"), l.sides, Options{})
			require.NoError(t, err)
			require.Equal(t, tgt["l.log"]+gain, l.read("l.log"), what)
		}
	}
}

// logHost is a directory with a log.
type logHost struct {
	rand  *rand.Rand
	dir   files
	lines []string
	day   int
	// dated, last, delay and pack are dateext, extension, delaycompress and
	// compress of logrotate.conf(5).
	dated, last, pack bool
	delay             int
}

func (h *logHost) step() {
	if h.rand.IntN(3) > 0 {
		line := fmt.Sprintf("line %d\n", len(h.lines))
		h.lines, h.dir["l.log"] = append(h.lines, line), h.dir["l.log"]+line
		return
	}
	// Without lines there would be nothing to tell two rotated files apart by.
	if h.dir["l.log"] == "" {
		return
	}
	h.day++
	name := func(n int) string {
		at := fmt.Sprintf(".%d", n)
		if h.dated {
			at = fmt.Sprintf("-202611%02d", 1+h.day-n)
		}
		if h.last {
			return "l" + at + ".log"
		}
		return "l.log" + at
	}
	for n := h.day; n > 0; n-- {
		from, to := name(n-1), name(n)
		if h.dated {
			from = to
		}
		if n == 1 {
			from = "l.log"
		}
		for _, gone := range []string{"", ".gz"} {
			content, is := h.dir[from+gone]
			if !is {
				continue
			}
			delete(h.dir, from+gone)
			h.dir[to+gone] = content
			if h.pack && gone == "" && n > h.delay {
				delete(h.dir, to)
				h.dir[to+".gz"] = gz(content)
			}
		}
	}
	h.dir["l.log"] = ""
}

// checkEdited holds what APPEND promises where the target has another line than
// the base, and nothing after it but its own: what it has from the base is no
// sign of the source's gain.
func checkEdited(t testing.TB, kept, lost, gain []string, own string) {
	t.Helper()
	base := strings.Join(kept, "") + "lost\n" + strings.Join(lost, "")
	tgt := strings.Join(kept, "") + "edited\n" + own
	l := newLab(t, files{"l": base}, files{"l": base + strings.Join(gain, "")}, files{"l": tgt})
	for range 2 {
		_, err := Apply(context.Background(), mustParse(t, "/l APPEND"), l.sides, Options{})
		require.NoError(t, err)
		require.Equal(t, tgt+strings.Join(gain, ""), l.read("l"), "base %q, target %q, gain %q", base, tgt, gain)
	}
}

func TestAppendEdited(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	words := func(n int) (s []string) {
		for range r.IntN(n) {
			s = append(s, []string{"a\n", "b\n", "ab\n"}[r.IntN(3)])
		}
		return s
	}
	for range 200 {
		checkEdited(t, words(6), words(4), words(6), []string{"", "own\n"}[r.IntN(2)])
	}
}

func FuzzAppendEdited(f *testing.F) {
	f.Add([]byte{1, 2}, []byte{1}, []byte{1, 2}, true)
	f.Fuzz(func(t *testing.T, kept, lost, gain []byte, own bool) {
		if len(kept)+len(lost)+len(gain) > 100 {
			t.Skip()
		}
		lines := func(b []byte) (s []string) {
			for _, c := range b {
				s = append(s, fmt.Sprintf("%d\n", c%8))
			}
			return s
		}
		checkEdited(t, lines(kept), lines(lost), lines(gain), map[bool]string{true: "own\n"}[own])
	})
}
