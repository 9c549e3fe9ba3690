package bootloader

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDistributions(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []string
	}{
		{"ID=debian\n", []string{"debian"}},
		{"# x\nID_LIKE=\"rhel fedora\"\nID='centos'\n", []string{"centos", "rhel", "fedora"}},
		{"ID=\"$(reboot)\"\nID_LIKE=debian\n", []string{"debian"}},
		{"ID=Debian\n", nil},
		{"NAME=x\n", nil},
		{"", nil},
		{"ID=" + strings.Repeat("x", 65) + "\n", nil},
		{"ID_LIKE=\"" + strings.Repeat("x ", 100) + "\"\n", strings.Fields(strings.Repeat("x ", 16))},
	} {
		dir := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "usr/lib"), 0o755))
		require.NoError(t, os.Mkdir(filepath.Join(dir, "etc"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "usr/lib/os-release"), []byte(tc.text), 0o644))
		root, err := os.OpenRoot(dir)
		require.NoError(t, err)
		defer root.Close()
		assert.Equal(t, tc.want, Distributions(root), tc.text)
		require.NoError(t, os.Symlink("../usr/lib/os-release", filepath.Join(dir, "etc/os-release")))
		assert.Equal(t, tc.want, Distributions(root), tc.text)
	}
}

// TestDistributionsOutside: nothing is read out of the tree.
func TestDistributionsOutside(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "etc"), 0o755))
	outside := filepath.Join(t.TempDir(), "os-release")
	require.NoError(t, os.WriteFile(outside, []byte("ID=debian\n"), 0o644))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "etc/os-release")))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	assert.Empty(t, Distributions(root))
}
