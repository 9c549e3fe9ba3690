package sharedvar

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/treecopy"
)

func TestConfine(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	be, err := treecopy.Open(root)
	require.NoError(t, err)
	defer be.Close()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "var/mail"), 0o755))
	require.NoError(t, os.Symlink("share/log", filepath.Join(dir, "var/log")))
	require.NoError(t, os.Symlink("/elsewhere", filepath.Join(dir, "var/spool")))
	dirs := []string{"log", "mail", "spool", "tmp"}

	require.NoError(t, Confine(be, dirs))
	assert.NoDirExists(t, filepath.Join(dir, "etc"), "without AppArmor nothing is made")

	require.NoError(t, os.MkdirAll(filepath.Join(dir, tunables), 0o755))
	changes := 0
	be.Before = func(string) error { changes++; return nil }
	require.NoError(t, Confine(be, dirs))
	text, err := os.ReadFile(filepath.Join(dir, aliasFile))
	require.NoError(t, err)
	assert.Equal(t, "# Made by snapbe at boot: these directories are symlinks into /var/share.\n"+
		"alias \"/var/log/\" -> \"/var/share/log/\",\n", string(text), "what is not on the share has no alias")
	changes = 0
	require.NoError(t, Confine(be, dirs))
	assert.Zero(t, changes, "the next boot changes nothing")

	require.NoError(t, os.Remove(filepath.Join(dir, "var/log")))
	require.NoError(t, Confine(be, dirs))
	assert.NoFileExists(t, filepath.Join(dir, aliasFile))

	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, aliasFile)))
	require.NoError(t, os.Symlink("share/tmp", filepath.Join(dir, "var/tmp")))
	require.Error(t, Confine(be, dirs), "a link in its place is not followed")
}
