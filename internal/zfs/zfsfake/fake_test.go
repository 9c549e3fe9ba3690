package zfsfake_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/zfs"
	"snapbe/internal/zfs/zfsfake"
)

func TestContentFollowsTheDatasets(t *testing.T) {
	ctx := context.Background()
	f := zfsfake.NewIn(t.TempDir(), "p")
	require.NoError(t, f.Create(ctx, "p/a", nil))
	file := filepath.Join(f.Dir("p/a"), "file")
	require.NoError(t, os.WriteFile(file, []byte("one"), 0o640))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(f.Dir("p/a"), "link")))
	require.NoError(t, f.Snapshot(ctx, []string{"p/a@s"}, nil))
	require.NoError(t, f.Clone(ctx, []zfs.Clone{{Snapshot: "p/a@s", Target: "p/b"}}))
	require.NoError(t, os.WriteFile(file, []byte("two"), 0o640))

	read := func(ds string) string {
		b, err := os.ReadFile(filepath.Join(f.Dir(ds), "file"))
		require.NoError(t, err)
		return string(b)
	}
	assert.Equal(t, "two", read("p/a"))
	assert.Equal(t, "one", read("p/a@s"))
	assert.Equal(t, "one", read("p/b"))
	require.NoError(t, f.Rename(ctx, "p/b", "p/c"))
	assert.Equal(t, "one", read("p/c"))
	require.NoError(t, f.Rollback(ctx, []string{"p/a@s"}, nil))
	assert.Equal(t, "one", read("p/a"))
	link, err := os.Readlink(filepath.Join(f.Dir("p/a"), "link"))
	require.NoError(t, err)
	assert.Equal(t, "nowhere", link)
	dir := f.Dir("p/c")
	require.NoError(t, f.Destroy(ctx, zfs.Removal{Datasets: []string{"p/c"}}))
	assert.NoDirExists(t, dir)
}

func TestProcessesShareASavedFake(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "pool.json")
	made := zfsfake.New("p")
	defer made.Close()
	require.NoError(t, made.Create(ctx, "p/a", zfs.Props{"a:b": "line\nline"}))
	require.NoError(t, os.WriteFile(filepath.Join(made.Dir("p/a"), "file"), []byte("x"), 0o600))
	require.NoError(t, made.Save(path))

	one, err := zfsfake.Load(path)
	require.NoError(t, err)
	require.NoError(t, one.Snapshot(ctx, []string{"p/a@s"}, nil))

	two, err := zfsfake.Load(path)
	require.NoError(t, err)
	assert.Equal(t, []string{"p", "p/a", "p/a@s"}, two.Names())
	assert.Equal(t, "line\nline", two.Locals("p/a")["a:b"])
	assert.FileExists(t, filepath.Join(two.Dir("p/a@s"), "file"))
}

func TestHookStopsBeforeEachChange(t *testing.T) {
	ctx := context.Background()
	f := zfsfake.NewIn(t.TempDir(), "p")
	require.NoError(t, f.Create(ctx, "p/a", nil))
	require.NoError(t, f.Snapshot(ctx, []string{"p/a@s"}, nil))
	f.Split = true
	cut := errors.New("power cut")
	var seen []string
	f.Hook = func(verb string, n int) error {
		seen = append(seen, verb)
		if n == 5 {
			return cut
		}
		return nil
	}
	err := f.Clone(ctx, []zfs.Clone{{Snapshot: "p/a@s", Target: "p/b"}, {Snapshot: "p/a@s", Target: "p/c", Props: zfs.Props{"a:b": "c"}}})
	require.ErrorIs(t, err, cut)
	assert.Equal(t, []string{"clone", "clone", "clone properties"}, seen)
	assert.Equal(t, []string{"p", "p/a", "p/a@s", "p/b", "p/c"}, f.Names())
	assert.Empty(t, f.Locals("p/c"), "a clone that has no properties yet")

	f.Hook = func(string, int) error { panic("power cut") }
	assert.Panics(t, func() { _ = f.Create(ctx, "p/d", nil) })
	f.Hook = nil
	assert.NoError(t, f.Create(ctx, "p/d", nil), "usable after a crash")
}
