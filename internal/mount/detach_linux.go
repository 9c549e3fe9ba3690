package mount

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Detach unmounts the whole tree at dir, for every process. A tree that is in
// use gives a *BusyError and stays as it was. With force it is taken from
// sight at once, whoever uses it; its datasets stay busy for as long as they
// are in use.
func Detach(dir string, force bool) error {
	mounts, err := below(dir)
	if err != nil {
		return err
	}
	top := mounts[0].Dir
	if force {
		if err := unix.Unmount(top, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %q: %w", top, err)
		}
		return nil
	}
	// Ask first, so that a busy tree is not even touched for a moment.
	if busy := usedBy(mounts); busy != nil {
		return busy
	}
	return unmountAll(mounts)
}

// below is the mount at dir and all that is mounted beneath it, parents
// first.
func below(dir string) ([]Mounted, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer shut(fd)
	top, err := mountOf(fd, dir)
	if err != nil {
		return nil, err
	}
	if top == nil || top.Dir == "/" {
		return nil, fmt.Errorf("nothing is mounted at %q", dir)
	}
	table, err := Table()
	if err != nil {
		return nil, err
	}
	return subtree(table, top.ID), nil
}

// subtree is the mount id and its descendants, parents first.
func subtree(table []Mounted, id int) []Mounted {
	var tree []Mounted
	for _, m := range table {
		if m.ID == id {
			tree = append(tree, m)
		}
	}
	for i := 0; i < len(tree); i++ {
		for _, m := range table {
			if m.Parent == tree[i].ID && m.ID != m.Parent {
				tree = append(tree, m)
			}
		}
	}
	return tree
}

// unmountAll unmounts from the leaves up. The kernel has no call that does
// this for a tree as a whole and still fails where it is in use, so copies of
// the mounts are kept until all are gone, to put back what went before a busy
// one was met.
func unmountAll(mounts []Mounted) error {
	var gone []kept
	defer func() {
		for _, k := range gone {
			shut(k.fd)
		}
	}()
	for _, m := range slices.Backward(mounts) {
		fd, err := unix.OpenTree(unix.AT_FDCWD, m.Dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
		if err == nil {
			if err = unix.Unmount(m.Dir, unix.UMOUNT_NOFOLLOW); err != nil {
				shut(fd)
			}
		}
		if err != nil && !isMounted(m.ID) {
			continue // ZFS unmounts what it mounted below .zfs by itself
		}
		if err != nil {
			return errors.Join(unmountError(m, mounts, err), putBack(gone))
		}
		gone = append(gone, kept{fd, m.Dir})
	}
	return nil
}

func isMounted(id int) bool {
	table, err := Table()
	return err != nil || slices.ContainsFunc(table, func(m Mounted) bool { return m.ID == id })
}

// kept is the copy of a mount that was unmounted, and its place.
type kept struct {
	fd  int
	dir string
}

func putBack(gone []kept) error {
	var errs []error
	for _, k := range slices.Backward(gone) {
		err := unix.MoveMount(k.fd, "", unix.AT_FDCWD, k.dir, unix.MOVE_MOUNT_F_EMPTY_PATH)
		if err != nil {
			errs = append(errs, fmt.Errorf("mount %q again: %w", k.dir, err))
		}
	}
	return errors.Join(errs...)
}

func unmountError(m Mounted, mounts []Mounted, err error) error {
	if !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("unmount %q: %w", m.Dir, err)
	}
	if busy := usedBy(mounts); busy != nil {
		return busy
	}
	return &BusyError{Dir: m.Dir, Dataset: m.Dataset}
}
