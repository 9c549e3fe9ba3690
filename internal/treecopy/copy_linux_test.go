package treecopy

import (
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestCopyKeepsAttributes(t *testing.T) {
	from, src := newTree(t)
	to, dst := newTree(t)
	file, sub := put(t, src, "f", "x"), filepath.Join(src, "d")
	require.NoError(t, os.Mkdir(sub, 0o700))
	for _, path := range []string{file, sub} {
		setX(t, path, "user.one", "1\x00\xff")
		setX(t, path, "user.none", "")
		setX(t, path, accessACL, acl(6, 4))
	}
	setX(t, sub, defaultACL, acl(7, 0))
	if os.Getuid() == 0 {
		require.NoError(t, unix.Lchown(file, 1234, 5678))
		require.NoError(t, unix.Lchown(sub, 1234, 5678))
		setX(t, file, "trusted.x", "y")
		// VFS_CAP_REVISION_2 with cap_net_raw: a change of owner takes it away.
		setX(t, file, "security.capability", "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	}
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(src, "l")))
	for _, path := range []string{file, sub, filepath.Join(src, "l")} {
		ts := []unix.Timespec{unix.NsecToTimespec(longAgo.UnixNano()), unix.NsecToTimespec(longAgo.UnixNano())}
		require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW))
	}
	for range 2 {
		for _, name := range []string{"f", "d", "l"} {
			_, err := to.Copy(t.Context(), from, name, name)
			require.NoError(t, err)
			same, err := Same(t.Context(), from, name, to, name)
			require.NoError(t, err)
			assert.True(t, same, name)
		}
		assert.Equal(t, listing(t, src)[1:], listing(t, dst)[1:])
	}
	noTemp(t, dst)
}

// Set by hand: the kernel takes these bits away when the file is written or
// changes its owner.
func TestCopyKeepsSetuid(t *testing.T) {
	from, src := newTree(t)
	to, dst := newTree(t)
	file := put(t, src, "f", "x")
	require.NoError(t, os.Mkdir(filepath.Join(src, "d"), 0o777))
	if os.Getuid() == 0 {
		require.NoError(t, unix.Lchown(file, 1234, 5678))
	}
	require.NoError(t, unix.Chmod(file, 0o6755))
	require.NoError(t, unix.Chmod(filepath.Join(src, "d"), 0o3777))
	for _, name := range []string{"f", "d"} {
		_, err := to.Copy(t.Context(), from, name, name)
		require.NoError(t, err)
	}
	st, err := os.Stat(filepath.Join(dst, "f"))
	require.NoError(t, err)
	assert.Equal(t, 0o755|fs.ModeSetuid|fs.ModeSetgid, st.Mode())
	st, err = os.Stat(filepath.Join(dst, "d"))
	require.NoError(t, err)
	assert.Equal(t, 0o777|fs.ModeDir|fs.ModeSetgid|fs.ModeSticky, st.Mode())
}

func TestCopyDoesNotInheritACLs(t *testing.T) {
	from, src := newTree(t)
	to, dst := newTree(t)
	put(t, src, "f", "x")
	put(t, src, "d/f", "x")
	in := filepath.Join(dst, "in")
	require.NoError(t, os.Mkdir(in, 0o755))
	if !setX(t, in, defaultACL, acl(6, 4)) {
		t.Skip("no ACLs on this file system")
	}
	_, err := to.Copy(t.Context(), from, "f", "in/f")
	require.NoError(t, err)
	_, err = to.CopyTree(t.Context(), from, "d", "in/d")
	require.NoError(t, err)
	for _, name := range []string{"f", "d", "d/f"} {
		same, err := Same(t.Context(), from, name, to, "in/"+name)
		require.NoError(t, err)
		assert.True(t, same, name)
		info, err := to.Lstat("in/" + name)
		require.NoError(t, err)
		assert.Empty(t, info.Xattrs)
	}
}

func TestSetAttributes(t *testing.T) {
	tree, dir := newTree(t)
	path := put(t, dir, "f", "x")
	hasX := setX(t, path, "user.old", "1")
	l := like()
	l.Mode, l.Modified = 0o604, longAgo
	if hasX {
		l.Xattrs = map[string]string{"user.new": "2"}
	}
	require.NoError(t, tree.SetAttributes("f", l))
	info, err := tree.Lstat("f")
	require.NoError(t, err)
	assert.True(t, SameAttributes(l, info))
	assert.True(t, longAgo.Equal(info.Modified))
	assert.Equal(t, "x", get(t, dir, "f"))
}

func TestSame(t *testing.T) {
	a, dirA := newTree(t)
	b, dirB := newTree(t)
	for name, change := range map[string]func(path string){
		"content": func(p string) { require.NoError(t, os.WriteFile(p, []byte("y"), 0o644)) },
		"size":    func(p string) { require.NoError(t, os.Truncate(p, 2)) },
		"mode":    func(p string) { require.NoError(t, os.Chmod(p, 0o640)) },
		"setuid":  func(p string) { require.NoError(t, unix.Chmod(p, 0o4644)) },
		"kind":    func(p string) { require.NoError(t, os.Remove(p)); require.NoError(t, os.Mkdir(p, 0o644)) },
		"owner": func(p string) {
			if os.Getuid() == 0 {
				require.NoError(t, os.Lchown(p, 1, -1))
			} else {
				require.NoError(t, os.Chmod(p, 0o600))
			}
		},
		"attribute": func(p string) {
			if !setX(t, p, "user.x", "y") {
				require.NoError(t, os.Chmod(p, 0o600))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			put(t, dirA, name, "x")
			path := put(t, dirB, name, "x")
			require.NoError(t, os.Chtimes(path, longAgo, longAgo))
			same, err := Same(t.Context(), a, name, b, name)
			require.NoError(t, err)
			assert.True(t, same, "times do not count")
			change(path)
			same, err = Same(t.Context(), a, name, b, name)
			require.NoError(t, err)
			assert.False(t, same)
		})
	}
}

func TestSameForSpecialFiles(t *testing.T) {
	needRoot(t)
	tree, dir := newTree(t)
	for name, dev := range map[string]uint64{"null": unix.Mkdev(1, 3), "also": unix.Mkdev(1, 3), "zero": unix.Mkdev(1, 5)} {
		require.NoError(t, unix.Mknod(filepath.Join(dir, name), unix.S_IFCHR|0o600, int(dev)))
	}
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	for name, want := range map[string]bool{"also": true, "zero": false, "fifo": false} {
		same, err := Same(t.Context(), tree, "null", tree, name)
		require.NoError(t, err)
		assert.Equal(t, want, same, name)
	}
}

// huge makes a file of 10 GB with little in it, and none where the file system
// cannot.
func huge(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.Truncate(10<<30))
	for _, at := range []int64{0, 5<<30 + 12345, 10<<30 - 3} {
		_, err := f.WriteAt([]byte("xyz"), at)
		require.NoError(t, err)
	}
}

func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	require.NoError(t, unix.Lstat(path, &st))
	return st.Blocks
}

func TestSparse(t *testing.T) {
	unsettled(t)
	tree, dir := newTree(t)
	huge(t, filepath.Join(dir, "f"))
	start := time.Now()
	n, err := tree.Copy(t.Context(), tree, "f", "g")
	require.NoError(t, err)
	assert.Less(t, n, int64(1<<20))
	report, err := tree.CopyTree(t.Context(), tree, "f", "h")
	require.NoError(t, err)
	assert.Equal(t, n, report.Bytes)
	for _, name := range []string{"g", "h"} {
		same, err := Same(t.Context(), tree, "f", tree, name)
		require.NoError(t, err)
		assert.True(t, same)
		assert.LessOrEqual(t, blocks(t, filepath.Join(dir, name)), blocks(t, filepath.Join(dir, "f")))
	}
	// What differs only in a hole of the other.
	f, err := os.OpenFile(filepath.Join(dir, "g"), os.O_WRONLY, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte{0}, 7<<30)
	require.NoError(t, err)
	same, err := Same(t.Context(), tree, "f", tree, "g")
	require.NoError(t, err)
	assert.True(t, same, "zeros are what a hole is")
	_, err = f.WriteAt([]byte{1}, 8<<30)
	require.NoError(t, err)
	for _, pair := range [][2]string{{"f", "g"}, {"g", "f"}} {
		same, err = Same(t.Context(), tree, pair[0], tree, pair[1])
		require.NoError(t, err)
		assert.False(t, same)
	}
	assert.Less(t, time.Since(start), 5*time.Second)
}

func TestContentOfManyShapes(t *testing.T) {
	for _, hole := range []bool{true, false} {
		if hole {
			unsettled(t)
		}
		tree, dir := newTree(t)
		random := make([]byte, 3*chunk+17)
		_, _ = rand.Read(random)
		zeroed := append([]byte(nil), random...)
		clear(zeroed[page : 2*chunk+5])
		for name, content := range map[string][]byte{
			"none": nil, "one": {1}, "page": random[:page], "chunk": random[:chunk], "more": random,
			"zeros": make([]byte, chunk+1), "zeroed": zeroed,
		} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o644))
			_, err := tree.Copy(t.Context(), tree, name, name+" copy")
			require.NoError(t, err)
			assert.Equal(t, string(content), get(t, dir, name+" copy"), name)
			same, err := Same(t.Context(), tree, name, tree, name+" copy")
			require.NoError(t, err)
			assert.True(t, same)
		}
		same, err := Same(t.Context(), tree, "more", tree, "zeroed")
		require.NoError(t, err)
		assert.False(t, same)
	}
}

func TestCopyTree(t *testing.T) {
	from, src := newTree(t)
	to, dst := newTree(t)
	put(t, src, "d/a\nb", "x")
	put(t, src, "d/sub/empty/f", "y")
	require.NoError(t, os.Link(filepath.Join(src, "d/a\nb"), filepath.Join(src, "d/sub/link")))
	require.NoError(t, os.Link(filepath.Join(src, "d/a\nb"), filepath.Join(src, "elsewhere")))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(src, "d/passwd")))
	require.NoError(t, os.Link(filepath.Join(src, "d/passwd"), filepath.Join(src, "d/passwd2")))
	require.NoError(t, unix.Mkfifo(filepath.Join(src, "d/fifo"), 0o600))
	require.NoError(t, unix.Mknod(filepath.Join(src, "d/sock"), unix.S_IFSOCK|0o600, 0))
	setX(t, filepath.Join(src, "d/sub"), "user.x", "y")
	require.NoError(t, os.Chmod(filepath.Join(src, "d/sub/empty"), 0o500))
	t.Cleanup(func() {
		for _, d := range []string{src, dst} {
			_ = os.Chmod(filepath.Join(d, "d/sub/empty"), 0o700)
		}
	})
	require.NoError(t, os.Chtimes(filepath.Join(src, "d/sub"), longAgo, longAgo))
	report, err := to.CopyTree(t.Context(), from, "d", "d")
	require.NoError(t, err)
	assert.Equal(t, CopyReport{Files: 5, Bytes: 2, Refused: []string{"d/fifo", "d/sock"}}, report)

	require.NoError(t, os.Remove(filepath.Join(src, "elsewhere")))
	require.NoError(t, os.Remove(filepath.Join(src, "d/fifo")))
	require.NoError(t, os.Remove(filepath.Join(src, "d/sock")))
	drop := func(lines []string) (out []string) {
		for _, l := range lines[1:] {
			if !strings.HasPrefix(l, `"d" `) { // its time changed just now
				out = append(out, l)
			}
		}
		return out
	}
	assert.Equal(t, drop(listing(t, src)), drop(listing(t, dst)))
	_, err = to.CopyTree(t.Context(), from, "d", "d")
	assert.ErrorIs(t, err, fs.ErrExist)
	_, err = from.CopyTree(t.Context(), from, "d", "d/sub/d")
	assert.ErrorContains(t, err, "into itself")
}

// Hard links between what lies right below the directory stay, and the directory
// that is filled gets the attributes of the other one.
func TestCopyContents(t *testing.T) {
	from, src := newTree(t)
	to, dst := newTree(t)
	put(t, src, "m/usr/bin/x", "x")
	require.NoError(t, os.Mkdir(filepath.Join(src, "m/var"), 0o711))
	require.NoError(t, os.Link(filepath.Join(src, "m/usr/bin/x"), filepath.Join(src, "m/var/x")))
	require.NoError(t, os.Symlink("/etc", filepath.Join(src, "m/l")))
	require.NoError(t, os.Chmod(filepath.Join(src, "m"), 0o751))
	require.NoError(t, os.Chtimes(filepath.Join(src, "m"), longAgo, longAgo))
	report, err := to.CopyContents(t.Context(), from, "m", ".", WithSpecials)
	require.NoError(t, err)
	assert.Equal(t, CopyReport{Files: 3, Bytes: 1}, report)
	assert.Equal(t, listing(t, filepath.Join(src, "m")), listing(t, dst))
	a, err := os.Stat(filepath.Join(dst, "usr/bin/x"))
	require.NoError(t, err)
	b, err := os.Stat(filepath.Join(dst, "var/x"))
	require.NoError(t, err)
	assert.True(t, os.SameFile(a, b))

	_, err = to.CopyContents(t.Context(), from, "m", ".")
	assert.ErrorIs(t, err, fs.ErrExist, "nothing is overwritten")
	_, err = from.CopyContents(t.Context(), from, ".", "m/var")
	assert.ErrorContains(t, err, "into itself")
	_, err = to.CopyContents(t.Context(), from, "m/l", ".")
	assert.ErrorContains(t, err, "symlink")
}

func TestCopyTreeWithSpecials(t *testing.T) {
	needRoot(t)
	from, src := newTree(t)
	to, dst := newTree(t)
	d := filepath.Join(src, "d")
	require.NoError(t, os.Mkdir(d, 0o755))
	require.NoError(t, unix.Mkfifo(filepath.Join(d, "fifo"), 0o600))
	setX(t, filepath.Join(d, "fifo"), accessACL, acl(6, 4))
	require.NoError(t, unix.Mknod(filepath.Join(d, "sock"), unix.S_IFSOCK|0o600, 0))
	require.NoError(t, unix.Mknod(filepath.Join(d, "null"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	require.NoError(t, unix.Mknod(filepath.Join(d, "sda"), unix.S_IFBLK|0o600, int(unix.Mkdev(8, 0))))
	require.NoError(t, os.Chown(filepath.Join(d, "fifo"), 12, 34))
	require.NoError(t, unix.Chmod(filepath.Join(d, "null"), 0o666))
	require.NoError(t, os.Link(filepath.Join(d, "fifo"), filepath.Join(d, "fifo2")))
	report, err := to.CopyTree(t.Context(), from, "d", "d", WithSpecials)
	require.NoError(t, err)
	assert.Equal(t, CopyReport{Files: 5}, report)
	assert.Equal(t, listing(t, d), listing(t, filepath.Join(dst, "d")))
}

// A power cut is a Before that lets nothing happen any more.
func TestPowerCut(t *testing.T) {
	src := source(t)
	for op := range everything(nil, nil, "") {
		t.Run(op, func(t *testing.T) {
			for n := 0; ; n++ {
				tree, dir := newTree(t)
				put(t, dir, "plain", "new")
				put(t, dir, "d/f", "old")
				changes := 0
				tree.Before = func(string) error {
					if changes++; changes > n {
						return os.ErrDeadlineExceeded
					}
					return nil
				}
				err := everything(tree, src, "d/f")[op]()
				_ = src.RemoveAll("copied")
				if changes <= n {
					return
				}
				assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
				if op != "rename" && op != "remove" && op != "remove all" {
					assert.Equal(t, "old", get(t, dir, "d/f"))
				}
				require.Less(t, n, 20)
				tree.Before = nil
				if op == "rename to" {
					put(t, dir, "plain", "new")
				}
				_, err = tree.Write("d/f", strings.NewReader("again"), like())
				require.NoError(t, err)
				if op != "link of it" && op != "rename" {
					noTemp(t, dir)
				}
			}
		})
	}
}
