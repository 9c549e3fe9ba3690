//go:build linux

package sharedvar

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"snapbe/internal/treecopy"
)

var longAgo = time.Unix(1_000_000_000, 123_456_789)

// files makes what lines tell in a directory: "name/" a directory, "name =
// content" a file, "name -> target" a symlink, "name == old" a hard link, "name
// |" a FIFO. All get an old time.
func files(t *testing.T, dir string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		path := func(name string) string { return filepath.Join(dir, name) }
		name, rest, _ := strings.Cut(line, " ")
		require.NoError(t, os.MkdirAll(filepath.Dir(path(name)), 0o755))
		kind, rest, _ := strings.Cut(rest, " ")
		switch kind {
		case "":
			require.NoError(t, os.MkdirAll(path(name), 0o755))
		case "=":
			require.NoError(t, os.WriteFile(path(name), []byte(rest), 0o640))
		case "->":
			require.NoError(t, os.Symlink(rest, path(name)))
		case "==":
			require.NoError(t, os.Link(path(rest), path(name)))
		case "|":
			require.NoError(t, unix.Mkfifo(path(name), 0o600))
		default:
			t.Fatalf("layout %q", line)
		}
	}
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		ts := []unix.Timespec{unix.NsecToTimespec(longAgo.UnixNano()), unix.NsecToTimespec(longAgo.UnixNano())}
		return errors.Join(err, unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW))
	}))
}

// listing tells all there is below a directory, as files has it; times where
// they are the old ones.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	links := map[uint64]string{}
	var lines []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		require.NoError(t, err)
		var st unix.Stat_t
		require.NoError(t, unix.Lstat(path, &st))
		name, _ := filepath.Rel(dir, path)
		line := fmt.Sprintf("%s %o %d:%d", name, st.Mode, st.Uid, st.Gid)
		if time.Unix(st.Mtim.Unix()).Equal(longAgo) {
			line += " old"
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			line += " = " + string(b)
			if first, ok := links[st.Ino]; ok {
				line += " == " + first
			} else {
				links[st.Ino] = name
			}
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			require.NoError(t, err)
			line += " -> " + target
		}
		buf := make([]byte, 4096)
		if n, err := unix.Llistxattr(path, buf); err == nil && n > 0 {
			line += fmt.Sprintf(" %q", buf[:n])
		}
		lines = append(lines, line)
		return nil
	}))
	return lines
}

// names is the listing's names, for short.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	for _, line := range listing(t, dir)[1:] {
		name, _, _ := strings.Cut(line, " ")
		all = append(all, name)
	}
	return all
}

func open(t *testing.T, dir string) *treecopy.Tree {
	t.Helper()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	tree, err := treecopy.Open(root)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, tree.Close()) })
	return tree
}

var errCut = errors.New("power cut")

// cut lets n changes of trees happen, and none after that; it tells how many
// were asked for.
func cut(n int, trees ...*treecopy.Tree) *int {
	asked := new(int)
	for _, t := range trees {
		t.Before = func(string) error {
			*asked++
			if *asked > n {
				return errCut
			}
			return nil
		}
	}
	return asked
}

func powered(trees ...*treecopy.Tree) {
	for _, t := range trees {
		t.Before = nil
	}
}

// contents is the contents of all files below directories.
func contents(t *testing.T, dirs ...string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, dir := range dirs {
		for _, line := range listing(t, dir) {
			if _, content, ok := strings.Cut(line, " = "); ok {
				content, _, _ = strings.Cut(content, " == ")
				all[content] = true
			}
		}
	}
	return all
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}
