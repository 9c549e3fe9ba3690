package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

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
