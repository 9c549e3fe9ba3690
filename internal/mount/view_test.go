//go:build linux

package mount

import (
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestView(t *testing.T) {
	needRoot(t)
	root, boot, grub := dataset(t, "boot/", "file"), dataset(t, "grub/", "vmlinuz"), dataset(t, "grub.cfg")
	tree := Tree{{Dataset: root, Dir: "."}, {Dataset: boot, Dir: "boot"}, {Dataset: grub, Dir: "boot/grub"}}
	before := mounts(t, "/")
	var kept *os.Root
	err := View(tree, false, func(r *os.Root) error {
		kept = r
		for _, name := range []string{"file", "boot/vmlinuz", "boot/grub/grub.cfg"} {
			_, err := r.ReadFile(name)
			require.NoError(t, err)
		}
		require.Equal(t, before, mounts(t, "/"), "the process as a whole sees nothing of it")
		return r.WriteFile("boot/grub/new", []byte("x"), 0o600)
	})
	require.NoError(t, err)
	require.FileExists(t, path(grub, "new"))
	require.Equal(t, before, mounts(t, "/"))
	_, err = kept.Stat(".")
	require.Error(t, err, "the tree is closed")
}

func TestViewReadOnly(t *testing.T) {
	needRoot(t)
	root, boot := dataset(t, "boot/"), dataset(t)
	tree := Tree{{Dataset: root, Dir: "."}, {Dataset: boot, Dir: "boot"}}
	err := View(tree, true, func(r *os.Root) error {
		require.ErrorIs(t, r.WriteFile("boot/new", nil, 0o600), unix.EROFS)
		require.ErrorIs(t, r.WriteFile("new", nil, 0o600), unix.EROFS)
		return nil
	})
	require.NoError(t, err)
}

func TestViewMissingMountPoint(t *testing.T) {
	needRoot(t)
	root, deep := dataset(t), dataset(t, "file")
	tree := Tree{{Dataset: root, Dir: "."}, {Dataset: deep, Dir: "a/b/c"}}
	err := View(tree, true, func(*os.Root) error { panic("not to be called") })
	require.EqualError(t, err, `mount point "a/b/c" of dataset "`+deep+`": no such directory`)
	require.NoDirExists(t, path(root, "a"))
	require.NoError(t, View(tree, false, func(r *os.Root) error {
		_, err := r.Stat("a/b/c/file")
		return err
	}))
	info, err := os.Stat(path(root, "a/b/c"))
	require.NoError(t, err)
	require.Equal(t, os.ModeDir|0o755, info.Mode())
}

// A boot environment must not be able to have datasets mounted elsewhere.
func TestViewSymlinks(t *testing.T) {
	needRoot(t)
	outside := t.TempDir()
	for _, tc := range []struct{ name, file, dir string }{
		{"absolute", "opt -> /", "opt"},
		{"absolute, deeper", "opt -> /", "opt/mnt"},
		{"dot dot", "opt -> ../../../../../../..", "opt"},
		{"out by name", "opt -> " + outside, "opt"},
		{"inside too", "opt -> usr", "opt"},
		{"in the middle", "a/b -> /", "a/b/mnt"},
		{"in the middle, dot dot", "a/b -> ../../../../../../../..", "a/b/tmp"},
		{"of another dataset", "var/x -> /mnt", "var/x"},
		{"dangling", "opt -> nowhere", "opt"},
		{"magic", "opt -> /proc/self/root", "opt"},
		{"itself", "opt -> opt", "opt"},
	} {
		for _, readOnly := range []bool{true, false} {
			t.Run(tc.name, func(t *testing.T) {
				root, inner := dataset(t, tc.file, "usr/"), dataset(t)
				before := mounts(t, "/")
				err := View(Tree{{Dataset: root, Dir: "."}, {Dataset: inner, Dir: tc.dir}}, readOnly, func(*os.Root) error {
					panic("not to be called")
				})
				require.EqualError(t, err, `mount point "`+tc.dir+`" of dataset "`+inner+`": a symlink is on the way to it`)
				require.Equal(t, before, mounts(t, "/"))
			})
		}
	}
	t.Run("file", func(t *testing.T) {
		root, inner := dataset(t, "opt"), dataset(t)
		err := View(Tree{{Dataset: root, Dir: "."}, {Dataset: inner, Dir: "opt"}}, false, nil)
		require.ErrorIs(t, err, unix.ENOTDIR)
	})
}

func TestViewBusy(t *testing.T) {
	needRoot(t)
	var kept *os.File
	err := View(Tree{{Dataset: dataset(t, "file"), Dir: "."}}, true, func(r *os.Root) (err error) {
		kept, err = r.Open("file")
		return err
	})
	require.ErrorIs(t, err, unix.EBUSY, "a file that was left open does not go unnoticed")
	require.NoError(t, kept.Close())
}

func TestViewSideBySide(t *testing.T) {
	needRoot(t)
	tree := Tree{{Dataset: dataset(t, "file", "a/"), Dir: "."}, {Dataset: dataset(t), Dir: "a"}}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			require.NoError(t, View(tree, true, func(r *os.Root) error {
				_, err := r.ReadFile("file")
				return err
			}))
		})
	}
	all.Wait()
}

func TestOwnThread(t *testing.T) {
	for range 64 {
		require.NoError(t, ownThread(func() error {
			require.NotEqual(t, unix.Getpid(), unix.Gettid())
			return nil
		}))
	}
	require.Error(t, ownThread(func() error { runtime.Goexit(); return nil }))
	// Also while the process's first thread is the only one that is free.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	require.NoError(t, ownThread(func() error { return nil }))
}
