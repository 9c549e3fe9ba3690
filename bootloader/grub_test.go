package bootloader

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWriteAndRead(t *testing.T) {
	g, run := testHost(t)
	g.Dir = t.TempDir()
	_, err := g.Read()
	require.ErrorIs(t, err, fs.ErrNotExist)

	m := menus()["two"]
	changed, err := g.Write(m)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, []string{"zpool sync"}, run.ran, "GRUB reads no intent log")
	back, err := g.Read()
	require.NoError(t, err)
	require.Equal(t, m.Canonical(), back)

	path := filepath.Join(g.Dir, "snapbe.cfg")
	before, err := os.Stat(path)
	require.NoError(t, err)
	changed, err = g.Write(m)
	require.NoError(t, err)
	require.False(t, changed)
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "an unchanged fragment is not written")

	m.Default, m.Previous = m.Previous, m.Default
	changed, err = g.Write(m)
	require.NoError(t, err)
	require.True(t, changed)
	names, err := os.ReadDir(g.Dir)
	require.NoError(t, err)
	require.Len(t, names, 1, "nothing is left beside the fragment")
}

func TestWriteRefuses(t *testing.T) {
	g := &GRUB{Dir: t.TempDir()}
	m := menus()["two"]
	m.Default = "x"
	_, err := g.Write(m)
	require.ErrorContains(t, err, "is no BE of the menu")
	_, err = g.Read()
	require.ErrorIs(t, err, fs.ErrNotExist)

	g.Dir = filepath.Join(g.Dir, "missing")
	_, err = g.Write(menus()["two"])
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestReadForeign(t *testing.T) {
	g := &GRUB{Dir: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(g.Dir, "snapbe.cfg"), []byte("menuentry 'x' {\n}\n"), 0o644))
	_, err := g.Read()
	require.ErrorIs(t, err, ErrFragment)
}
