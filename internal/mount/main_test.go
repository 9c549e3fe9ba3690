//go:build linux

package mount

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestMain lets the test program stand in for snapbe: as PID 1 of Exec, and
// as the processes that a test kills. In place of ZFS, which the kernel that
// runs the tests need not have, a dataset "dir:/path" is that directory.
func TestMain(m *testing.M) {
	openDataset = openDirectory
	ChildMain()
	if role := os.Getenv("MOUNT_TEST_ROLE"); role != "" {
		os.Exit(roles[role]())
	}
	os.Exit(m.Run())
}

func openDirectory(e Entry) (int, error) {
	path, ok := strings.CutPrefix(e.Dataset, "dir:")
	if !ok {
		return openZFS(e)
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("mount dataset %q: %w", e.Dataset, err)
	}
	attr := &unix.MountAttr{Attr_set: uint64(e.attributes())}
	return fd, unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, attr)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
}

// dataset makes a directory with the given files, as a dataset. A name that
// ends in a slash is a directory, "a -> b" a symlink.
func dataset(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		link, target, isLink := strings.Cut(name, " -> ")
		path := filepath.Join(dir, link)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch {
		case isLink:
			require.NoError(t, os.Symlink(target, path))
		case strings.HasSuffix(name, "/"):
			require.NoError(t, os.MkdirAll(path, 0o755))
		default:
			require.NoError(t, os.WriteFile(path, []byte(name), 0o644))
		}
	}
	return "dir:" + dir
}

func path(dataset string, elem ...string) string {
	return filepath.Join(append([]string{strings.TrimPrefix(dataset, "dir:")}, elem...)...)
}

// mounts is the mount points of this process whose path has the prefix.
func mounts(t *testing.T, prefix string) []string {
	t.Helper()
	table, err := Table()
	require.NoError(t, err)
	var dirs []string
	for _, m := range table {
		if strings.HasPrefix(m.Dir, prefix) {
			dirs = append(dirs, m.Dir)
		}
	}
	return dirs
}
