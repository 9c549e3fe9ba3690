//go:build linux

package sharedvar

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"snapbe/internal/treecopy"
)

// two is a tree as it was and as it is.
func two(t *testing.T, then, now []string) (a, b *treecopy.Tree, dirA, dirB string) {
	t.Helper()
	dirA, dirB = t.TempDir(), t.TempDir()
	files(t, dirA, then...)
	files(t, dirB, now...)
	return open(t, dirA), open(t, dirB), dirA, dirB
}

func diff(t *testing.T, then, now *treecopy.Tree, path string) (all []Change) {
	t.Helper()
	require.NoError(t, Diff(t.Context(), then, now, path, func(c Change) error {
		all = append(all, c)
		return nil
	}))
	return all
}

const (
	file    = treecopy.File
	dir     = treecopy.Dir
	symlink = treecopy.Symlink
	special = treecopy.Special
)

func TestDiff(t *testing.T) {
	same := []string{"same/a\nb = x", "same/l -> y", "same/fifo |"}
	then, now, dirA, dirB := two(t,
		append(same, "a.b = x", "a/gone/f = abc", "a/size = abc", "a/text = abc", "a/link -> x", "kind/f = x", "mode = x", "x/ = "),
		append(same, "a.b = x", "a/new/f = abcd", "a/size = abcd", "a/text = abd", "a/link -> y", "kind = xy", "mode = x"))
	require.NoError(t, os.Remove(filepath.Join(dirA, "x")))
	require.NoError(t, os.Chmod(filepath.Join(dirB, "mode"), 0o600))
	require.NoError(t, os.Chmod(filepath.Join(dirB, "a"), 0o700))
	all := []Change{
		{"a", Attributes, dir, 0, 0},
		{"a/gone", Removed, dir, 0, 0},
		{"a/gone/f", Removed, file, 3, 0},
		{"a/link", Changed, symlink, 0, 0},
		{"a/new", Added, dir, 0, 0},
		{"a/new/f", Added, file, 0, 4},
		{"a/size", Changed, file, 3, 4},
		{"a/text", Changed, file, 3, 3},
		{"kind", Removed, dir, 0, 0},
		{"kind/f", Removed, file, 1, 0},
		{"kind", Added, file, 0, 2},
		{"mode", Attributes, file, 1, 1},
	}
	assert.Equal(t, all, diff(t, then, now, "."))
	assert.Equal(t, all[:8], diff(t, then, now, "a"))
	assert.Equal(t, all[4:6], diff(t, then, now, "a/new"))
	assert.Equal(t, all[9:10], diff(t, then, now, "kind/f"), "kind is a file now")
	assert.Empty(t, diff(t, then, now, "same"))
	assert.Empty(t, diff(t, then, now, "nowhere/at/all"))
	assert.Empty(t, diff(t, then, then, "."))

	full := errors.New("no more")
	assert.ErrorIs(t, Diff(t.Context(), then, now, ".", func(Change) error { return full }), full)
}

func TestDiffOfSpecialFiles(t *testing.T) {
	needRoot(t)
	then, now, dirA, dirB := two(t, nil, nil)
	require.NoError(t, unix.Mknod(filepath.Join(dirA, "dev"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	require.NoError(t, unix.Mknod(filepath.Join(dirB, "dev"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))))
	require.NoError(t, unix.Mkfifo(filepath.Join(dirA, "kind"), 0o600))
	require.NoError(t, unix.Mknod(filepath.Join(dirB, "kind"), unix.S_IFSOCK|0o600, 0))
	assert.Equal(t, []Change{{"dev", Changed, special, 0, 0}, {"kind", Changed, special, 0, 0}}, diff(t, then, now, "."))
}

// What is known not to have changed is not even opened.
func TestDiffDoesNotReadTheSame(t *testing.T) {
	_, now, _, dirB := two(t, nil, []string{"f = x"})
	path := filepath.Join(dirB, "f")
	require.NoError(t, os.Chtimes(path, longAgo, longAgo.AddDate(1, 0, 0)))
	assert.Empty(t, diff(t, now, now, "."))
	var st unix.Stat_t
	require.NoError(t, unix.Stat(path, &st))
	assert.Equal(t, longAgo.Unix(), st.Atim.Sec)
}
