package mount

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

const plain = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC

// newFS is a mount of a new file system that is not attached anywhere yet. Its
// options are NAME=VALUE.
func newFS(fstype string, attr int, options ...string) (int, error) {
	fs, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer shut(fs)
	for _, o := range append(options, "source="+fstype) {
		name, value, _ := strings.Cut(o, "=")
		if err := unix.FsconfigSetString(fs, name, value); err != nil {
			return -1, err
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attr)
}

// mountNew mounts a new file system that has no device below root.
func mountNew(root int, path, fstype string, attr int, options ...string) error {
	fd, err := newFS(fstype, attr, options...)
	if err != nil {
		return fmt.Errorf("mount %q at %q: %w", fstype, path, err)
	}
	defer shut(fd)
	at, err := openDir(root, path)
	if err != nil {
		return fmt.Errorf("mount point %q: %w", path, explain(err))
	}
	defer shut(at)
	if err := moveOnto(fd, at); err != nil {
		return fmt.Errorf("mount %q at %q: %w", fstype, path, err)
	}
	return nil
}

// mountFresh mounts a tmpfs on a directory, where there is one.
func mountFresh(root int, path, mode string) error {
	fd, err := openDir(root, path)
	if err != nil {
		return nil //nolint:nilerr // missing, or a symlink to elsewhere
	}
	shut(fd)
	return mountNew(root, path, "tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "mode="+mode)
}

// cloneMounts copies a file or a directory with all that is mounted beneath
// it. Later mounts and unmounts of the original reach the copy, but not the
// other way.
func cloneMounts(dir int, path string, attr uint64) (int, error) {
	fd, err := unix.OpenTree(dir, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_EMPTY_PATH)
	if err != nil {
		return -1, err
	}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attr, Propagation: unix.MS_SLAVE})
	if err != nil {
		shut(fd)
		return -1, err
	}
	return fd, nil
}

// readOnly covers a directory or a file with itself.
func readOnly(at int) error {
	fd, err := cloneMounts(at, "", unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return err
	}
	defer shut(fd)
	return moveOnto(fd, at)
}

func moveOnto(fd, at int) error {
	return unix.MoveMount(fd, "", at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}
