package sharedvar

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/treecopy"
)

func tree(t *testing.T, files map[string]string) (*treecopy.Tree, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	tr, err := treecopy.Open(root)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tr.Close() })
	return tr, dir
}

// All goes back but what is to be kept; what is the same is not written; and a
// cut at any point is made good by doing it again.
func TestRestoreAll(t *testing.T) {
	was := map[string]string{"mail/ann": "a letter", "mail/bob": "b", "spool/q/1": "job", "spool/q/2": "job 2", "log/x": "log"}
	is := map[string]string{"mail/ann": "", "mail/bob": "b", "mail/new/x": "x", "log/x": "log", "log/y": "y", "games/score": "1"}
	keep := func(name string) bool { return name == "games" }
	changes := -1
	for cut := 0; changes < 0 || cut <= changes; cut++ {
		then, _ := tree(t, was)
		now, dir := tree(t, is)
		require.NoError(t, os.Chmod(filepath.Join(dir, "mail"), 0o700))
		same, err := os.Stat(filepath.Join(dir, "mail/bob"))
		require.NoError(t, err)
		n := 0
		now.Before = func(string) error {
			if n++; n == cut {
				return assert.AnError
			}
			return nil
		}
		written, err := RestoreAll(t.Context(), then, now, keep)
		if cut == 0 {
			require.NoError(t, err)
			assert.EqualValues(t, len("a letter")+len("job")+len("job 2"), written)
			changes = n
		} else {
			require.ErrorIs(t, err, assert.AnError)
			now.Before = nil
			_, err = RestoreAll(t.Context(), then, now, keep)
			require.NoError(t, err)
		}
		var left []Change
		require.NoError(t, Diff(t.Context(), then, now, ".", func(c Change) error { left = append(left, c); return nil }))
		var paths []string
		for _, c := range left {
			paths = append(paths, c.Path)
		}
		assert.Equal(t, []string{"games", "games/score"}, paths, "cut before change %d", cut)
		after, err := os.Stat(filepath.Join(dir, "mail/bob"))
		require.NoError(t, err)
		assert.True(t, os.SameFile(same, after), "what is the same is not written")
	}
	assert.Positive(t, changes)
}
