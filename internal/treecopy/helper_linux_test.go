package treecopy

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// newTree is an empty tree, and the directory where it is.
func newTree(t *testing.T) (*Tree, string) {
	t.Helper()
	// The umask of whoever runs the tests must not matter.
	defer unix.Umask(unix.Umask(0o077))
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	tree, err := Open(root)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, tree.Close()) })
	return tree, dir
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

// put makes a file, with the directories above it.
func put(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

func get(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return string(b)
}

// like is a plain file of the caller's.
func like() Info { return Info{Kind: File, Mode: 0o644, UID: os.Getuid(), GID: os.Getgid()} }

func likeDir() Info {
	l := like()
	l.Kind, l.Mode = Dir, 0o755
	return l
}

// listing tells all there is below a directory, read without this package.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	var lines []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		require.NoError(t, err)
		var st unix.Stat_t
		require.NoError(t, unix.Lstat(path, &st))
		rel, _ := filepath.Rel(dir, path)
		line := fmt.Sprintf("%q %o %d:%d %d", rel, st.Mode, st.Uid, st.Gid, st.Nlink)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			line += fmt.Sprintf(" %d.%09d %q", st.Mtim.Sec, st.Mtim.Nsec, get(t, dir, rel))
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			require.NoError(t, err)
			line += fmt.Sprintf(" -> %q", target)
		case unix.S_IFDIR:
			line += fmt.Sprintf(" %d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
		default:
			line += fmt.Sprintf(" device %d", st.Rdev)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			line += xattrText(t, path)
		}
		lines = append(lines, line)
		return nil
	}))
	return lines
}

func xattrText(t *testing.T, path string) string {
	buf := make([]byte, 1<<16)
	n, err := unix.Llistxattr(path, buf)
	if err == unix.ENOTSUP {
		return ""
	}
	require.NoError(t, err)
	names := strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
	slices.Sort(names)
	text := ""
	for _, x := range names {
		if x == "" {
			continue
		}
		value := make([]byte, 1<<16)
		n, err := unix.Lgetxattr(path, x, value)
		require.NoError(t, err)
		text += fmt.Sprintf(" %s=%q", x, value[:n])
	}
	return text
}

// acl is a POSIX ACL as the kernel has it: the owner all, user 4711 rw, the
// group nothing, and what a mask and others may.
func acl(mask, other uint16) string {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 7, ^uint32(0)}, {2, 6, 4711}, {4, 0, ^uint32(0)}, {0x10, mask, ^uint32(0)}, {0x20, other, ^uint32(0)}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return string(b)
}

// setX sets an attribute, and tells whether this file system has such.
func setX(t *testing.T, path, name, value string) bool {
	t.Helper()
	err := unix.Lsetxattr(path, name, []byte(value), 0)
	if err == unix.ENOTSUP {
		return false
	}
	require.NoError(t, err)
	return true
}

// setFlags gives a file flags as chattr(1) does, until the test ends, and tells
// whether that can be.
func setFlags(t *testing.T, path string, flags int) bool {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	old, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return false
	}
	if unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, old|flags) != nil {
		return false
	}
	t.Cleanup(func() {
		if f, err := os.Open(path); err == nil {
			defer f.Close()
			_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, old)
		}
	})
	return true
}

// unsettled has files that were just made be looked at like any others.
func unsettled(t *testing.T) {
	old := settled
	settled = 0
	t.Cleanup(func() { settled = old })
}

func noTemp(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		assert.NotContains(t, filepath.Base(path), "snapbe-new")
		return err
	}))
}

var longAgo = time.Unix(1_000_000_000, 123_456_789)
