package synclist

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFileOfAForeignGroup: a key that a group may read is not given to the group
// that has the number in the target.
func TestFileOfAForeignGroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	const root = "root:x:0:\n"
	for _, c := range []struct {
		mode os.FileMode
		want Action
	}{{0o640, Refused}, {0o600, Copied}} {
		l := newLab(t, files{"etc/group": root}, files{"etc/group": root + "ssl-cert:x:115:\n", "etc/key/k": "PRIVATE"}, files{"etc/group": root + "newpkg:x:115:\n"})
		require.NoError(t, os.Chown(l.path("src", "etc/key/k"), 0, 115))
		require.NoError(t, os.Chmod(l.path("src", "etc/key/k"), c.mode))
		r, err := Apply(context.Background(), mustParse(t, "/etc/group MERGE\n/etc/key\n"), l.sides, Options{})
		require.NoError(t, err)
		assert.Equal(t, c.want, find(t, r, "/etc/key/k").Action, "%o", c.mode)
	}
}

// TestTemporaryNameTaken: a directory in the place of the temporary file holds up
// that file alone.
func TestTemporaryNameTaken(t *testing.T) {
	l := newLab(t, files{"spool/a": "1"}, files{"spool/a": "2", "spool/b": "new"}, files{"spool/a": "1", "spool/.a.snapbe-new/": ""})
	r, err := Apply(context.Background(), mustParse(t, "/spool\n"), l.sides, Options{})
	require.NoError(t, err)
	assert.Equal(t, Refused, find(t, r, "/spool/a").Action)
	assert.Contains(t, find(t, r, "/spool/a").Why, ".a.snapbe-new")
	assert.Equal(t, Copied, find(t, r, "/spool/b").Action)
}
