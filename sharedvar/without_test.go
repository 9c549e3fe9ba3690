//go:build linux

package sharedvar

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWithout: what a share had is an empty directory where there is no share, and
// nothing else is touched.
func TestWithout(t *testing.T) {
	h := newHost(t, "log -> share/log", "mail -> share/mail", "tmp -> share/tmp", "spool -> share/other", "own -> share/own", "share/", "lib -> share/lib", "crash/f = x")
	files(t, h.beDir, "var/share/own/f = mine", "etc/group = root:x:0:\nmail:x:8:\n")
	dirs, err := Without(h.be)
	require.NoError(t, err)
	assert.Equal(t, []string{"log", "mail", "tmp"}, dirs)
	for name, mode := range map[string]os.FileMode{"log": 0o755, "tmp": 0o777 | os.ModeSticky, "mail": 0o775 | os.ModeSetgid} {
		info, err := os.Lstat(filepath.Join(h.beDir, "var", name))
		require.NoError(t, err)
		assert.Equal(t, mode|os.ModeDir, info.Mode(), name)
	}
	for name, to := range map[string]string{"spool": "share/other", "own": "share/own", "lib": "share/lib"} {
		is, err := os.Readlink(filepath.Join(h.beDir, "var", name))
		require.NoError(t, err)
		assert.Equal(t, to, is)
	}
	dirs, err = Without(h.be)
	require.NoError(t, err)
	assert.Empty(t, dirs, "the second time there is nothing to do")

	t.Run("no /var", func(t *testing.T) {
		h := newHost(t)
		require.NoError(t, os.Remove(filepath.Join(h.beDir, "var")))
		dirs, err := Without(h.be)
		require.NoError(t, err)
		assert.Empty(t, dirs)
	})
}
