package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// ownThread runs f on an operating system thread that ends with it, so that
// f may leave the thread in any state. It is never the process's first
// thread: that one would stay, and /proc/self shows its namespaces.
func ownThread(f func() error) error {
	err := errors.New("ended by runtime.Goexit")
	done := make(chan struct{})
	var run func()
	run = func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			next := make(chan struct{})
			go func() { defer close(next); run() }()
			<-next
			return
		}
		defer close(done)
		err = f()
	}
	go run()
	<-done
	return err
}

// privately runs f on a thread with a mount namespace of its own. Mounts made
// there are not seen elsewhere; what the host unmounts goes away there too,
// so that the copy keeps nothing busy.
func privately(f func() error) error {
	return ownThread(func() error {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("new mount namespace: %w", err)
		}
		if err := enslave(); err != nil {
			return err
		}
		return f()
	})
}

// enslave cuts the propagation of mounts from this namespace to others.
func enslave() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return nil
}

// stage mounts an empty tmpfs in a private namespace and returns its place.
// It covers a directory that is always there and that nobody needs in the
// meantime, since a directory made for it would stay behind.
func stage() (string, error) {
	for _, dir := range []string{"/sys/fs", "/media", "/mnt", "/tmp"} {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() {
			continue
		}
		if err := unix.Mount("snapbe", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
			return "", fmt.Errorf("mount staging directory at %q: %w", dir, err)
		}
		return dir, nil
	}
	return "", errors.New("no directory to stage mounts in")
}

// staged is a tree put together in a private namespace.
type staged struct {
	// base is the tmpfs, dir the tree's root in it.
	base, dir string
	// mounted is what to unmount, in the order of mounting.
	mounted []string
}

// assemble mounts a tree below a new staging directory. On an error nothing
// stays mounted.
func assemble(t Tree, readOnly bool) (*staged, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	base, err := stage()
	if err != nil {
		return nil, err
	}
	s := &staged{base: base, dir: filepath.Join(base, "tree"), mounted: []string{base}}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return nil, errors.Join(err, s.unmount())
	}
	if err := s.mountAll(t, readOnly); err != nil {
		return nil, errors.Join(err, s.unmount())
	}
	return s, nil
}

func (s *staged) mountAll(t Tree, readOnly bool) error {
	root := -1
	defer func() {
		if root >= 0 {
			shut(root)
		}
	}()
	for i, e := range t {
		e.ReadOnly = e.ReadOnly || readOnly
		fd, err := openDataset(e)
		if err != nil {
			return err
		}
		if i == 0 {
			root = fd
			err = unix.MoveMount(fd, "", unix.AT_FDCWD, s.dir, unix.MOVE_MOUNT_F_EMPTY_PATH)
			if err != nil {
				err = fmt.Errorf("mount dataset %q: %w", e.Dataset, err)
			}
		} else {
			err = attachBelow(root, e, fd, readOnly)
			shut(fd)
		}
		if err != nil {
			return err
		}
		s.mounted = append(s.mounted, filepath.Join(s.dir, e.Dir))
	}
	return nil
}

// attachBelow puts the mount fd at the entry's place below root. A mount
// point that is missing is made, unless the tree is only to be read.
func attachBelow(root int, e Entry, fd int, readOnly bool) error {
	at, err := openDir(root, e.Dir)
	if errors.Is(err, unix.ENOENT) && !readOnly {
		if err = makeDir(root, e.Dir); err == nil {
			at, err = openDir(root, e.Dir)
		}
	}
	if err != nil {
		return fmt.Errorf("mount point %q of dataset %q: %w", e.Dir, e.Dataset, explain(err))
	}
	defer shut(at)
	if err := moveOnto(fd, at); err != nil {
		return fmt.Errorf("mount dataset %q at %q: %w", e.Dataset, e.Dir, err)
	}
	return nil
}

func moveOnto(fd, at int) error {
	return unix.MoveMount(fd, "", at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// openDir opens a directory below root; a symlink on the way is an error.
func openDir(root int, path string) (int, error) {
	return openBelow(root, path, unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
}

func openBelow(root int, path string, flags, resolve uint64) (int, error) {
	return unix.Openat2(root, path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC | flags,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve,
	})
}

// makeDir makes the directories that are missing on the way to path.
func makeDir(root int, path string) error {
	if parent := filepath.Dir(path); parent != "." {
		if err := makeDir(root, parent); err != nil {
			return err
		}
	}
	parent, err := openDir(root, filepath.Dir(path))
	if err != nil {
		return err
	}
	defer shut(parent)
	err = unix.Mkdirat(parent, filepath.Base(path), 0o755)
	if errors.Is(err, unix.EEXIST) {
		return nil
	} else if err != nil {
		return err
	}
	return unix.Fchmodat(parent, filepath.Base(path), 0o755, 0) // whatever the umask is
}

// shut closes a descriptor that was not written to, which cannot fail in a way
// that matters.
func shut(fd int) { _ = unix.Close(fd) }

func explain(err error) error {
	switch {
	case errors.Is(err, unix.ELOOP):
		return errors.New("a symlink is on the way to it")
	case errors.Is(err, unix.ENOENT):
		return errors.New("no such directory")
	}
	return err
}

// unmount takes everything away again, the last one first. What turns out to
// be busy is an error, and is taken from sight all the same.
func (s *staged) unmount() error {
	var errs []error
	for len(s.mounted) > 0 {
		dir := s.mounted[len(s.mounted)-1]
		s.mounted = s.mounted[:len(s.mounted)-1]
		if err := unix.Unmount(dir, unix.UMOUNT_NOFOLLOW); err != nil {
			errs = append(errs, fmt.Errorf("unmount %q: %w", dir, err))
		}
	}
	if len(errs) > 0 {
		_ = unix.Unmount(s.base, unix.MNT_DETACH) // the first error tells
	}
	return errors.Join(errs...)
}
