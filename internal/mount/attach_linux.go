package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Attach shows a tree at dir, for every process. It is all or nothing: the
// tree is put together out of sight and then moved onto dir whole, in one
// system call. dir must exist and must not be a mount point already.
func Attach(tree Tree, dir string) error {
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer shut(at)
	if m, err := mountOf(at, dir); err != nil {
		return err
	} else if m != nil {
		return fmt.Errorf("%q is a mount point already, of %q", dir, m.Dataset)
	}
	fd, err := detached(tree)
	if err != nil {
		return err
	}
	defer shut(fd)
	// Up to here a process that is killed leaves nothing, from here on all.
	if err := moveOnto(fd, at); err != nil {
		return fmt.Errorf("attach dataset %q at %q: %w", tree[0].Dataset, dir, err)
	}
	return nil
}

// detached is a copy of the tree that is attached nowhere; closing the
// descriptor dissolves it.
func detached(tree Tree) (int, error) {
	fd := -1
	err := privately(func() (err error) {
		s, err := assemble(tree, false)
		if err != nil {
			return err
		}
		fd, err = unix.OpenTree(unix.AT_FDCWD, s.dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		return errors.Join(err, s.unmount())
	})
	if err != nil && fd >= 0 {
		shut(fd)
	}
	return fd, err
}

// mountOf is the topmost mount whose root is what fd has open, nil where fd
// is inside a mount. dir says where that is.
func mountOf(fd int, dir string) (*Mounted, error) {
	var stat unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &stat); err != nil {
		return nil, &os.PathError{Op: "statx", Path: dir, Err: err}
	}
	if stat.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 || stat.Mask&unix.STATX_MNT_ID == 0 {
		return nil, errors.New("the kernel does not tell mount points (needs Linux 5.8)")
	}
	if stat.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return nil, nil
	}
	table, err := Table()
	if err != nil {
		return nil, err
	}
	for _, m := range table {
		if m.ID == int(stat.Mnt_id) {
			return &m, nil
		}
	}
	abs, err := filepath.Abs(dir)
	return &Mounted{ID: int(stat.Mnt_id), Dir: abs}, err
}
