package synclist

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOverwrite has a file "f" on the three sides; "" is none.
func TestOverwrite(t *testing.T) {
	for _, c := range []struct {
		name           string
		base, src, tgt string
		line           string
		want           Action
		left           string
		why            string
	}{
		{"neither", "a", "a", "a", "/f", Same, "a", ""},
		{"source alone", "a", "b", "a", "/f", Copied, "b", "changed in the source alone: content"},
		{"target alone", "a", "a", "b", "/f", Kept, "b", "changed in the target alone: content"},
		{"both alike", "a", "b", "b", "/f", Same, "b", ""},
		{"both differently", "a", "b", "c", "/f", Conflict, "c", "changed on both sides"},
		{"new in the source", "", "b", "", "/f", Copied, "b", "new in the source"},
		{"new on both sides", "", "b", "c", "/f", Conflict, "c", ""},
		{"nowhere", "", "", "", "/f", Skipped, "", "not in the source"},
		{"target's own", "", "", "c", "/f", Skipped, "c", "not in the source"},
		{"removed in the source", "a", "", "a", "/f", Kept, "a", "does not say REMOVE"},
		{"removed in the source, REMOVE", "a", "", "a", "/f REMOVE", Removed, "", ""},
		{"removed, changed in the target, REMOVE", "a", "", "b", "/f REMOVE", Conflict, "b", "changed in the target: content"},
		{"target's own, REMOVE", "", "", "b", "/f REMOVE", Skipped, "b", ""},
		{"removed in the target", "a", "a", "", "/f", Kept, "", "removed in the target"},
		{"removed in the target, changed in the source", "a", "b", "", "/f", Copied, "b", "removed in the target, but changed"},
		{"symlink", "-> a", "-> b", "-> a", "/f", Copied, "-> b", "target"},
		{"file to symlink", "a", "-> b", "a", "/f", Copied, "-> b", "kind"},
		{"symlink to file", "-> a", "b", "-> a", "/f", Copied, "b", "kind"},
		{"symlinks both", "-> a", "-> b", "-> c", "/f", Conflict, "-> c", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, one("f", c.base), one("f", c.src), one("f", c.tgt))
			r := l.apply(c.line)
			i := find(t, r, "/f")
			assert.Equal(t, c.want, i.Action, i)
			assert.Contains(t, i.Why, c.why)
			assert.Equal(t, one("f", c.left), files(l.leftOf("f")))
			assert.Equal(t, c.want == Conflict, len(r.Conflicts()) == 1)
		})
	}
}

func one(name, content string) files {
	if content == "" {
		return files{}
	}
	return files{name: content}
}

func (l *lab) leftOf(name string) map[string]string {
	p := l.path("tgt", name)
	if to, err := os.Readlink(p); err == nil {
		return map[string]string{name: "-> " + to}
	}
	if b, err := os.ReadFile(p); err == nil {
		return map[string]string{name: string(b)}
	}
	return map[string]string{}
}

func TestOverwriteAttributes(t *testing.T) {
	for _, c := range []struct {
		name           string
		base, src, tgt string
		want           Action
		mode           os.FileMode
		differs        []string
	}{
		{"mode in the source", "f@644", "f@600", "f@644", Copied, 0o600, nil},
		{"mode in the target", "f@644", "f@644", "f@600", Kept, 0o600, nil},
		{"mode on both", "f@644", "f@640", "f@600", Conflict, 0o600, []string{"mode"}},
		{"setuid in the source", "f@755", "f@4755", "f@755", Copied, 0o755 | os.ModeSetuid, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, files{c.base: "x"}, files{c.src: "x"}, files{c.tgt: "x"})
			i := find(t, l.apply("/f"), "/f")
			assert.Equal(t, c.want, i.Action)
			assert.Equal(t, c.differs, i.Differs)
			info, err := os.Lstat(l.path("tgt", "f"))
			require.NoError(t, err)
			assert.Equal(t, c.mode, info.Mode())
		})
	}
	t.Run("owner and attribute", func(t *testing.T) {
		asRoot(t)
		l := newLab(t, files{"f": "x"}, files{"f": "x"}, files{"f": "x"})
		require.NoError(t, os.Chown(l.path("src", "f"), 33, 34))
		assert.Equal(t, "changed in the source alone: owner", find(t, l.apply("/f"), "/f").Why)
		require.NoError(t, syscall.Setxattr(l.path("src", "f"), "user.x", []byte("1"), 0))
		assert.Equal(t, Conflict, find(t, l.apply("/f"), "/f").Action, "the base is as old as ever")
	})
	t.Run("mtime alone is none", func(t *testing.T) {
		l := newLab(t, files{"f": "x"}, files{"f": "x"}, files{"f": "x"})
		l.setTime("src", "f", time.Unix(1000, 0))
		assert.Equal(t, Same, find(t, l.apply("/f"), "/f").Action)
	})
	t.Run("times go along", func(t *testing.T) {
		l := newLab(t, files{"f": "x"}, files{"f": "y"}, files{"f": "x"})
		l.setTime("src", "f", time.Unix(1000, 500))
		l.apply("/f")
		info, err := os.Lstat(l.path("tgt", "f"))
		require.NoError(t, err)
		assert.True(t, info.ModTime().Equal(time.Unix(1000, 500)))
	})
}

func asRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
}

func TestDirectory(t *testing.T) {
	l := newLab(t,
		files{"d/same": "1", "d/src": "1", "d/tgt": "1", "d/both": "1", "d/gone": "1", "d/sub/x": "1", "d/mine@755": "1"},
		files{"d/same": "1", "d/src": "2", "d/tgt": "1", "d/both": "2", "d/new": "n", "d/sub/x": "2", "d/deep/er/y": "y", "d/mine@755": "2", "d/empty/": ""},
		files{"d/same": "1", "d/src": "1", "d/tgt": "3", "d/both": "3", "d/gone": "1", "d/sub/x": "1", "d/own": "o", "d/mine@755": "1"},
	)
	require.NoError(t, os.Chmod(l.path("src", "d/deep"), 0o711))
	r := l.apply("/d\n/d/mine APPEND\n")
	assert.Equal(t, map[string]string{
		"/d": "same", "/d/src": "copied", "/d/both": "conflict", "/d/new": "copied", "/d/sub/x": "copied",
		"/d/deep": "copied", "/d/deep/er": "copied", "/d/deep/er/y": "copied", "/d/empty": "copied", "/d/mine": "conflict",
	}, actions(r))
	assert.Equal(t, 2, r.Unchanged, "same and sub")
	assert.Equal(t, 1, r.Kept, "tgt")
	assert.Equal(t, "2", l.read("d/sub/x"))
	assert.Equal(t, "1", l.read("d/mine"))
	info, err := os.Lstat(l.path("tgt", "d/deep"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o711)|os.ModeDir, info.Mode())
}

func actions(r *Report) map[string]string {
	got := map[string]string{}
	for _, i := range r.Items {
		got[i.Path] = string(i.Action)
	}
	return got
}

func TestDirectoryItself(t *testing.T) {
	t.Run("mode in the source", func(t *testing.T) {
		l := newLab(t, files{"d/": ""}, files{"d/@711": ""}, files{"d/": ""})
		assert.Equal(t, Copied, find(t, l.apply("/d"), "/d").Action)
		info, err := os.Lstat(l.path("tgt", "d"))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o711), info.Mode().Perm())
	})
	t.Run("mode on both, and a file", func(t *testing.T) {
		l := newLab(t, files{"d/f": "1"}, files{"d/@711": "", "d/f": "2"}, files{"d/@700": "", "d/f": "1"})
		assert.Equal(t, map[string]string{"/d": "conflict", "/d/f": "copied"}, actions(l.apply("/d")))
	})
	t.Run("parents as in the source", func(t *testing.T) {
		l := newLab(t, nil, files{"a/b/f": "1"}, nil)
		require.NoError(t, os.Chmod(l.path("src", "a"), 0o750))
		l.apply("/a/b/f")
		info, err := os.Lstat(l.path("tgt", "a"))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o750), info.Mode().Perm())
	})
	t.Run("removed in the target", func(t *testing.T) {
		l := newLab(t, files{"d/f": "1", "d/g": "1"}, files{"d/f": "2", "d/g": "1"}, nil)
		assert.Equal(t, map[string]string{"/d/f": "copied"}, actions(l.apply("/d")))
		l = newLab(t, files{"d/f": "1"}, files{"d/f": "1"}, nil)
		l.apply("/d")
		assert.NoDirExists(t, l.path("tgt", "d"))
	})
	t.Run("times of a new one", func(t *testing.T) {
		l := newLab(t, nil, files{"d/f": "1"}, nil)
		l.setTime("src", "d", time.Unix(1000, 0))
		l.apply("/d")
		info, err := os.Lstat(l.path("tgt", "d"))
		require.NoError(t, err)
		assert.True(t, info.ModTime().Equal(time.Unix(1000, 0)))
	})
}

func TestKindChanges(t *testing.T) {
	for _, c := range []struct {
		name           string
		base, src, tgt files
		want           map[string]string
	}{
		{"file to directory", files{"d/x": "1"}, files{"d/x/y": "1"}, files{"d/x": "1"}, map[string]string{"/d": "same", "/d/x": "conflict"}},
		{"directory to file", files{"d/x/y": "1"}, files{"d/x": "1"}, files{"d/x/y": "1"}, map[string]string{"/d": "same", "/d/x": "conflict"}},
		{"directory to symlink", files{"d/y": "1"}, files{"d": "-> e"}, files{"d/y": "1"}, map[string]string{"/d": "conflict"}},
		{"directory to symlink in the target", files{"d/y": "1"}, files{"d/y": "2"}, files{"d": "-> share/d"}, map[string]string{"/d": "skipped"}},
		{"target removed, source a directory", files{"d/x": "1"}, files{"d/x/y": "1"}, files{"d/": ""}, map[string]string{"/d": "same", "/d/x/y": "copied"}},
		{"parent is a file in the target", nil, files{"d": "1", "e/f": "1"}, files{"d": "1", "e": "1"}, map[string]string{"/d": "same", "/e/f": "conflict"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.base, c.src, c.tgt)
			list := "/d"
			if c.want["/e/f"] != "" {
				list += "\n/e/f"
			}
			assert.Equal(t, c.want, actions(l.apply(list)))
		})
	}
}

func TestRemove(t *testing.T) {
	l := newLab(t,
		files{"d/a": "1", "d/b": "1", "d/s/x": "1", "d/s/y": "1", "d/e/x": "1", "d/k/x": "1", "d/o/x": "1"},
		files{"d/a": "1", "d/e/": ""},
		files{"d/a": "1", "d/b": "1", "d/s/x": "1", "d/s/y": "1", "d/e/x": "1", "d/k/x": "2", "d/o/x": "1", "d/o/own": "1", "d/own": "1"},
	)
	r := l.apply("/d REMOVE\n")
	assert.Equal(t, map[string]string{
		"/d": "same", "/d/b": "removed", "/d/s": "removed", "/d/s/x": "removed", "/d/s/y": "removed", "/d/e/x": "removed",
		"/d/k/x": "conflict", "/d/o/x": "removed",
	}, actions(r))
	assert.NoFileExists(t, l.path("tgt", "d/s"))
	assert.FileExists(t, l.path("tgt", "d/o/own"))
	assert.FileExists(t, l.path("tgt", "d/own"))
	assert.DirExists(t, l.path("tgt", "d/e"))

	t.Run("not all, where the directory itself is missing", func(t *testing.T) {
		l := newLab(t, files{"d/a": "1"}, nil, files{"d/a": "1"})
		assert.Equal(t, map[string]string{"/d": "skipped"}, actions(l.apply("/d REMOVE")))
		assert.FileExists(t, l.path("tgt", "d/a"))
	})
	t.Run("a line of its own is spared", func(t *testing.T) {
		l := newLab(t, files{"d/s/a": "1"}, files{"d/": ""}, files{"d/s/a": "1"})
		l.apply("/d REMOVE\n/d/s/a")
		assert.FileExists(t, l.path("tgt", "d/s/a"))
	})
}

func TestHardLinks(t *testing.T) {
	same := func(t *testing.T, l *lab, names ...string) {
		t.Helper()
		first, err := os.Lstat(l.path("tgt", names[0]))
		require.NoError(t, err)
		for _, n := range names[1:] {
			info, err := os.Lstat(l.path("tgt", n))
			require.NoError(t, err)
			assert.True(t, os.SameFile(first, info), n)
		}
	}
	t.Run("new", func(t *testing.T) {
		l := newLab(t, nil, files{"d/a": "1", "d/b": "= d/a", "d/s/c": "= d/a"}, nil)
		l.apply("/d")
		same(t, l, "d/a", "d/b", "d/s/c")
	})
	t.Run("changed", func(t *testing.T) {
		l := newLab(t, files{"d/a": "1", "d/b": "= d/a"}, files{"d/a": "2", "d/b": "= d/a"}, files{"d/a": "1", "d/b": "= d/a"})
		l.apply("/d")
		same(t, l, "d/a", "d/b")
	})
	t.Run("a new name before an old one", func(t *testing.T) {
		l := newLab(t, files{"d/x": "1"}, files{"d/x": "1", "d/a": "= d/x"}, files{"d/x": "1"})
		l.apply("/d")
		same(t, l, "d/x", "d/a")
	})
	t.Run("not to what the target changed", func(t *testing.T) {
		l := newLab(t, files{"d/x": "1"}, files{"d/x": "1", "d/a": "= d/x"}, files{"d/x": "2"})
		l.apply("/d")
		assert.Equal(t, "1", l.read("d/a"))
		assert.Equal(t, "2", l.read("d/x"))
	})
}

func TestSpecialFiles(t *testing.T) {
	l := newLab(t, files{"d/": ""}, files{"d/a": "1"}, files{"d/": ""})
	require.NoError(t, syscall.Mkfifo(l.path("src", "d/fifo"), 0o600))
	assert.Equal(t, map[string]string{"/d": "same", "/d/a": "copied", "/d/fifo": "refused"}, actions(l.apply("/d")))

	t.Run("everywhere it is no matter", func(t *testing.T) {
		l := newLab(t, files{"d/": ""}, files{"d/": ""}, files{"d/": ""})
		for side := range l.dirs {
			require.NoError(t, syscall.Mkfifo(l.path(side, "d/fifo"), 0o600))
		}
		assert.Equal(t, map[string]string{"/d": "same"}, actions(l.apply("/d")))
	})
	t.Run("is not replaced", func(t *testing.T) {
		l := newLab(t, nil, files{"f": "1"}, nil)
		for _, side := range []string{"base", "tgt"} {
			require.NoError(t, syscall.Mkfifo(l.path(side, "f"), 0o600))
		}
		assert.Equal(t, map[string]string{"/f": "refused"}, actions(l.apply("/f")))
	})
}

func TestIntermediateSymlinks(t *testing.T) {
	for _, side := range []string{"base", "src", "tgt"} {
		t.Run(side, func(t *testing.T) {
			l := newLab(t, files{"x/f": "1", "o/f": "1"}, files{"x/f": "2", "o/f": "2"}, files{"x/f": "1", "o/f": "1"})
			require.NoError(t, os.Rename(l.path(side, "x"), l.path(side, "y")))
			require.NoError(t, os.Symlink("y", l.path(side, "x")))
			for _, mode := range []string{"OVERWRITE", "APPEND"} {
				i := find(t, l.apply("/x/f "+mode), "/x/f")
				assert.Equal(t, Skipped, i.Action)
				assert.Contains(t, i.Why, `"x" is a symlink to "y"`)
			}
		})
	}
}

func TestShared(t *testing.T) {
	l := newLab(t, nil, files{"d/a": "1", "d/mail/x": "1", "f": "1"}, nil)
	l.sides.Shared = func(path string) (string, bool) { return "on the share", path == "/d/mail" || path == "/f" }
	assert.Equal(t, map[string]string{"/d": "copied", "/d/a": "copied", "/d/mail": "shared", "/f": "shared"},
		actions(l.apply("/d\n/f APPEND")))
}

func TestOriginForFiles(t *testing.T) {
	l := newLab(t, files{"d/f": "1", "d/g": "1"}, files{"d/f": "1", "d/g": "1"}, files{"d/": ""})
	l.sides.Origin = l.tree("origin", files{"d/g": "1"})
	assert.Equal(t, map[string]string{"/d": "same", "/d/f": "copied"}, actions(l.apply("/d")), "g was removed in the target, f never was there")
}

func TestByTime(t *testing.T) {
	// A ctime cannot be set, so that a side can only be made old by waiting.
	l := newLab(t, nil, files{"src": "1", "tgt": "1", "both": "1", "neither": "1", "newsrc": "1", "oldsrc": "1"},
		files{"src": "2", "tgt": "2", "both": "2", "neither": "2"})
	l.sides.Base = nil
	time.Sleep(30 * time.Millisecond)
	l.sides.Since = time.Now()
	time.Sleep(30 * time.Millisecond)
	l.put("src", files{"src": "s", "both": "s", "newsrc": "s"})
	l.put("tgt", files{"tgt": "t", "both": "t"})
	assert.Equal(t, map[string]string{
		"/src": "copied", "/tgt": "kept", "/both": "conflict", "/neither": "kept", "/newsrc": "copied", "/oldsrc": "kept",
	}, actions(l.apply("/src\n/tgt\n/both\n/neither\n/newsrc\n/oldsrc\n")))
}

func TestStrict(t *testing.T) {
	sides := func() *lab {
		return newLab(t, files{"a": "1", "b": "1"}, files{"a": "2", "b": "2"}, files{"a": "1", "b": "3"})
	}
	l := sides()
	r, err := Apply(t.Context(), mustParse(t, "/a\n/b STRICT"), l.sides, Options{})
	var conflict *ConflictError
	require.ErrorAs(t, err, &conflict)
	assert.Len(t, conflict.Items, 1)
	assert.ErrorContains(t, err, `"/b": conflict (changed on both sides)`)
	assert.Equal(t, "1", l.read("a"), "nothing was written")
	assert.Len(t, r.Items, 2)

	l = sides()
	_, err = Apply(t.Context(), mustParse(t, "/a STRICT\n/b"), l.sides, Options{})
	require.NoError(t, err)
	assert.Equal(t, "2", l.read("a"))

	l = sides()
	_, err = Apply(t.Context(), mustParse(t, "/a\n/b"), l.sides, Options{Strict: true})
	require.ErrorAs(t, err, &conflict)
	assert.Equal(t, "1", l.read("a"))
}

// TestCutOff stops at every change of the tree: what is there then is old or
// new, and the next run brings it to the same end.
func TestCutOff(t *testing.T) {
	make3 := func() *lab {
		return newLab(t, files{"d/a": "1", "d/b": "= d/a", "d/r": "1", "log": "1\n"},
			files{"d/a": "2", "d/b": "= d/a", "d/n/x": "1", "log": "1\n2\n"},
			files{"d/a": "1", "d/b": "= d/a", "d/r": "1", "log": "1\n0\n"})
	}
	const list = "/d REMOVE\n/log APPEND\n"
	l := make3()
	l.apply(list)
	end := l.state("tgt")
	cut := errors.New("power cut")
	for n := 0; ; n++ {
		require.Less(t, n, 100)
		l := make3()
		left := n
		l.sides.Target.Before = func(string) error {
			if left--; left < 0 {
				return cut
			}
			return nil
		}
		_, err := Apply(t.Context(), mustParse(t, list), l.sides, Options{})
		l.sides.Target.Before = nil
		if err == nil {
			assert.Greater(t, n, 8)
			break
		}
		require.ErrorIs(t, err, cut)
		assert.Contains(t, []string{"1\n0\n", "1\n0\n2\n"}, l.read("log"))
		assert.Contains(t, []string{"1", "2"}, l.read("d/a"))
		l.apply(list)
		require.Equal(t, end, l.state("tgt"), n)
	}
}

func TestManyFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	l := newLab(t, files{"d/": ""}, files{"d/": ""}, files{"d/": ""})
	for side := range l.dirs {
		for i := range 10_000 {
			require.NoError(t, os.WriteFile(l.path(side, fmt.Sprintf("d/%05d", i)), []byte("x"), 0o644))
		}
	}
	l.put("src", files{"d/05000": "y"})
	begin := time.Now()
	r, err := Apply(t.Context(), mustParse(t, "/d REMOVE"), l.sides, Options{})
	require.NoError(t, err)
	t.Log(time.Since(begin))
	assert.Equal(t, map[string]string{"/d": "same", "/d/05000": "copied"}, actions(r))
	assert.Equal(t, 9_999, r.Unchanged)
}

func TestDefaultListApplies(t *testing.T) {
	l := newLab(t, files{"etc/passwd": "root:x:0:0::/:\n", "etc/shadow": "root:*:1::::::\n", "var/mail": "-> share/mail", "var/spool": "-> share/spool", "var/log/syslog": "1\n"},
		files{"etc/passwd": "root:x:0:0::/:\n", "etc/shadow": "root:" + h1 + ":2::::::\n", "var/mail": "-> share/mail", "var/spool": "-> share/spool", "var/log/syslog": "1\n2\n", "etc/sudoers.d/x": "1"},
		files{"etc/passwd": "root:x:0:0::/:\n", "etc/shadow": "root:*:1::::::\n", "var/mail": "-> share/mail", "var/spool": "-> share/spool", "var/log/syslog": "1\n"})
	got := actions(l.apply(DefaultText()))
	for path, want := range map[string]string{
		"/etc/passwd": "same", "/etc/shadow": "merged", "/var/mail": "same", "/var/spool/cron/crontabs": "skipped",
		"/var/log/syslog": "appended", "/etc/sudoers.d/x": "copied", "/etc/machine-id": "skipped",
	} {
		assert.Equal(t, want, got[path], path)
	}
}
