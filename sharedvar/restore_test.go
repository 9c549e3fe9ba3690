//go:build linux

package sharedvar

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"snapbe/internal/treecopy"
)

var restores = map[string]struct {
	then, now []string
	path      string
	bytes     int64
	// want is the names in now in the end.
	want []string
}{
	"file": {
		[]string{"mail/root = letter"}, []string{"mail/root = spoiled", "mail/new = n"}, "mail/root", 6, []string{"mail", "mail/new", "mail/root"},
	},
	"file that is gone, and its directories": {
		[]string{"a/b/c/f = x", "a/b/other = y"}, []string{"z = z"}, "a/b/c/f", 1, []string{"a", "a/b", "a/b/c", "a/b/c/f", "z"},
	},
	"symlink for a file": {
		[]string{"mail/l -> /etc/passwd"}, []string{"mail/l = x"}, "mail/l", 0, []string{"mail", "mail/l"},
	},
	"file for a symlink": {
		[]string{"f = x"}, []string{"f -> /etc/passwd"}, "f", 1, []string{"f"},
	},
	"FIFO for a file": {
		[]string{"f |"}, []string{"f = x"}, "f", 0, []string{"f"},
	},
	"directory": {
		[]string{"mail/a/x = 1", "mail/a/y == mail/a/x", "mail/a/fifo |"}, []string{"mail/a/x = 2", "mail/a/new/f = n", "mail/b = b"}, "mail/a", 1,
		[]string{"mail", "mail/a", "mail/a/fifo", "mail/a/x", "mail/a/y", "mail/b"},
	},
	"directory that is gone": {
		[]string{"mail/a/x = 1"}, []string{"log/"}, "mail", 1, []string{"log", "mail", "mail/a", "mail/a/x"},
	},
	"directory for a file": {
		[]string{"a/x = 1"}, []string{"a = f"}, "a", 1, []string{"a", "a/x"},
	},
	"directory for a symlink": {
		[]string{"a/x = 1"}, []string{"a -> /etc"}, "a", 1, []string{"a", "a/x"},
	},
	"file for a directory": {
		[]string{"a = f"}, []string{"a/x = 1"}, "a", 1, []string{"a"},
	},
	"FIFO for a directory": {
		[]string{"a |"}, []string{"a/x = 1"}, "a", 0, []string{"a"},
	},
	"nothing for a file": {
		[]string{"x = 1"}, []string{"a/f = f", "a/g = g"}, "a/f", 0, []string{"a", "a/g"},
	},
	"nothing for a directory": {
		[]string{"x = 1"}, []string{"a/b/c/d = f", "a/g = g"}, "a/b", 0, []string{"a", "a/g"},
	},
	"nothing for nothing": {
		[]string{"x = 1"}, []string{"a = g"}, "b/c", 0, []string{"a"},
	},
	"nothing beneath a file": {
		[]string{"a = 1"}, []string{"a/b = g"}, "a/b", 0, []string{"a"},
	},
	"left over": {
		[]string{"a/x = 1"}, []string{"a/x = 2", ".a.snapbe-new/y = half", ".a.snapbe-old/x = 3"}, "a", 1, []string{"a", "a/x"},
	},
}

// sameThere tells whether path is the same in both, times included.
func sameThere(t *testing.T, dirA, dirB, path string) {
	t.Helper()
	a, b := filepath.Join(dirA, path), filepath.Join(dirB, path)
	if _, err := os.Lstat(a); err != nil {
		assert.NoFileExists(t, b)
		return
	}
	assert.Equal(t, listing(t, a), listing(t, b))
}

func TestRestore(t *testing.T) {
	for name, r := range restores {
		t.Run(name, func(t *testing.T) {
			then, now, dirA, dirB := two(t, r.then, r.now)
			before := listing(t, dirA)
			for range 2 {
				n, err := Restore(t.Context(), then, now, r.path)
				require.NoError(t, err)
				assert.Equal(t, r.bytes, n)
				assert.Equal(t, r.want, names(t, dirB))
				sameThere(t, dirA, dirB, r.path)
				assert.Empty(t, diff(t, then, now, r.path))
			}
			assert.Equal(t, before, listing(t, dirA))
		})
	}
}

// Power is cut before each change in turn: until the end, what was there or
// what is to be there is there, if under another name.
func TestRestorePowerCut(t *testing.T) {
	for name, r := range restores {
		t.Run(name, func(t *testing.T) {
			then, now, _, want := two(t, r.then, r.now)
			_, err := Restore(t.Context(), then, now, r.path)
			require.NoError(t, err)
			for n := 0; ; n++ {
				then, now, dirA, dirB := two(t, r.then, r.now)
				// What is not at the path stays.
				var others []string
				for _, l := range listing(t, dirB) {
					if !strings.HasPrefix(l, r.path) && !strings.Contains(l, ".snapbe-") && strings.Contains(l, " = ") {
						others = append(others, l)
					}
				}
				asked := cut(n, now)
				_, err := Restore(t.Context(), then, now, r.path)
				if *asked <= n {
					break
				}
				assert.ErrorIs(t, err, errCut)
				for _, l := range others {
					assert.Contains(t, listing(t, dirB), l)
				}
				if slices.Contains([]string{"file", "file for a symlink", "symlink for a file", "FIFO for a file"}, name) {
					_, err := os.Lstat(filepath.Join(dirB, r.path))
					assert.NoError(t, err, "a file is never missing")
				}
				cut(1, now)
				_, _ = Restore(t.Context(), then, now, r.path)
				powered(now)
				_, err = Restore(t.Context(), then, now, r.path)
				require.NoError(t, err)
				require.Equal(t, withoutTimes(listing(t, want)), withoutTimes(listing(t, dirB)), "after %d changes", n)
				sameThere(t, dirA, dirB, r.path)
			}
		})
	}
}

// withoutTimes is a listing without the times of directories, which change
// with what is beside a restored name.
func withoutTimes(lines []string) (all []string) {
	for _, l := range lines {
		if !strings.Contains(l, " = ") {
			l = strings.Replace(l, " old", "", 1)
		}
		all = append(all, l)
	}
	return all
}

func TestRestoreKeepsAttributes(t *testing.T) {
	needRoot(t)
	then, now, dirA, dirB := two(t, []string{"mail/a/root = letter"}, nil)
	require.NoError(t, os.Lchown(filepath.Join(dirA, "mail/a/root"), 1000, 8))
	require.NoError(t, unix.Chmod(filepath.Join(dirA, "mail"), 0o2775))
	require.NoError(t, unix.Chmod(filepath.Join(dirA, "mail/a"), 0o1700))
	_, err := Restore(t.Context(), then, now, "mail/a/root")
	require.NoError(t, err)
	assert.Equal(t, withoutTimes(listing(t, dirA)[1:]), withoutTimes(listing(t, dirB)[1:]))
}

func TestRestoreHostile(t *testing.T) {
	out := t.TempDir()
	files(t, out, "root = outside")
	before := listing(t, out)
	then, now, _, dirB := two(t, []string{"mail/root = letter", "then -> " + out}, []string{"mail -> " + out, "then/root = x"})
	link := &treecopy.LinkError{}
	_, err := Restore(t.Context(), then, now, "mail/root")
	assert.ErrorAs(t, err, &link)
	assert.EqualError(t, err, `restore "mail/root": "mail" is a symlink to "`+out+`", which is not followed`)
	_, err = Restore(t.Context(), then, now, "then/root")
	assert.ErrorAs(t, err, &link)
	for _, path := range []string{".", "", "..", "/etc", "../x", "a/../../x"} {
		_, err = Restore(t.Context(), then, now, path)
		assert.Error(t, err, path)
	}
	assert.Equal(t, before, listing(t, out))
	assert.Equal(t, []string{"mail", "then", "then/root"}, names(t, dirB))
}

func TestRestoreWhatCannotBeMoved(t *testing.T) {
	needRoot(t)
	then, now, _, dirB := two(t, []string{"log/x = 1"}, []string{"log/x = 2", "log/audit/y = 3"})
	at := filepath.Join(dirB, "log/audit")
	require.NoError(t, unix.Mount(at, at, "", unix.MS_BIND, ""))
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	want := listing(t, dirB)
	_, err := Restore(t.Context(), then, now, "log")
	assert.EqualError(t, err, `restore "log": a file system is mounted at "log/audit"`)
	assert.Equal(t, want, listing(t, dirB))
}
