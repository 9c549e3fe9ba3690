package treecopy

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// hole makes a file of 1 TiB with nothing in it, a moment ago.
func hole(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, nil, 0o644))
	require.NoError(t, os.Truncate(path, 1<<40))
}

// TestYoungHole has files whose holes are not to be trusted, which would be read
// for an hour.
func TestYoungHole(t *testing.T) {
	tree, dir := newTree(t)
	hole(t, filepath.Join(dir, "f"))
	hole(t, filepath.Join(dir, "g"))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	hole(t, filepath.Join(dir, "d/f"))
	one := func(_ any, err error) error { return err }
	for name, do := range map[string]func(context.Context) error{
		"copy":         func(ctx context.Context) error { return one(tree.Copy(ctx, tree, "f", "new")) },
		"copy tree":    func(ctx context.Context) error { return one(tree.CopyTree(ctx, tree, "d", "e")) },
		"same":         func(ctx context.Context) error { return one(Same(ctx, tree, "f", tree, "g")) },
		"same content": func(ctx context.Context) error { return one(SameContent(ctx, tree, "f", tree, "g")) },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		begin := time.Now()
		assert.ErrorIs(t, do(ctx), context.DeadlineExceeded, name)
		assert.Less(t, time.Since(begin), 5*time.Second, name)
		cancel()
	}
	_, err := tree.Peek("new")
	assert.ErrorIs(t, err, os.ErrNotExist)
	noTemp(t, dir)
}

// TestZerosAreNotWritten has zeros that are no hole, and holes that are not told
// of.
func TestZerosAreNotWritten(t *testing.T) {
	tree, dir := newTree(t)
	content := string(make([]byte, 8<<20)) + "data" + string(make([]byte, 3*page))
	put(t, dir, "f", content)
	n, err := tree.Copy(t.Context(), tree, "f", "copied")
	require.NoError(t, err)
	assert.LessOrEqual(t, n, int64(page))
	m, err := tree.Write("written", strings.NewReader(content), like())
	require.NoError(t, err)
	assert.Equal(t, n, m)
	for _, name := range []string{"copied", "written"} {
		assert.Less(t, blocks(t, filepath.Join(dir, name)), int64(64))
		assert.True(t, content == get(t, dir, name), name)
	}
}

// TestFrozen tells a file system that is read-only from a mount that is.
func TestFrozen(t *testing.T) {
	needRoot(t)
	_, dir := newTree(t)
	fs, bind := filepath.Join(dir, "fs"), filepath.Join(dir, "bind")
	for _, d := range []string{fs, bind} {
		require.NoError(t, os.Mkdir(d, 0o755))
		t.Cleanup(func() { _ = unix.Unmount(d, unix.MNT_DETACH) })
	}
	require.NoError(t, unix.Mount("test", fs, "tmpfs", 0, ""))
	hole(t, filepath.Join(fs, "f"))
	require.NoError(t, unix.Mount(fs, bind, "", unix.MS_BIND, ""))
	is := func(at string) bool {
		root, err := os.OpenRoot(at)
		require.NoError(t, err)
		defer root.Close()
		tree, err := Open(root)
		require.NoError(t, err)
		defer tree.Close()
		f, info, err := tree.open("f")
		require.NoError(t, err)
		defer f.Close()
		assert.Equal(t, !frozen(f, info.Mount), newSparse(f, info).whole)
		return frozen(f, info.Mount)
	}
	assert.False(t, is(fs))
	require.NoError(t, unix.Mount("", bind, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	assert.False(t, is(bind), "others write to it")
	require.NoError(t, unix.Mount("", fs, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	assert.True(t, is(fs))
	assert.True(t, is(bind))

	root, err := os.OpenRoot(fs)
	require.NoError(t, err)
	defer root.Close()
	tree, err := Open(root)
	require.NoError(t, err)
	defer tree.Close()
	begin := time.Now()
	same, err := SameContent(t.Context(), tree, "f", tree, "f")
	require.NoError(t, err)
	assert.True(t, same)
	assert.Less(t, time.Since(begin), 5*time.Second)
}
