package mount

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// openDataset gives a mount of an entry's dataset that is not attached
// anywhere yet, as a file descriptor. Tests without ZFS put their own in its
// place.
var openDataset = openZFS

// openZFS asks the kernel itself and not mount.zfs(8), which refuses a
// dataset whose mountpoint is not "legacy" and cannot be told to mount
// nothing but what it is given. A dataset that is mounted elsewhere shares
// that file system. Whether it can be written to is then up to each mount;
// only where the file system as a whole is read-only (readonly=on, a pool
// imported so, a snapshot) must the request say so too, or ZFS gives EBUSY
// or EROFS.
func openZFS(e Entry) (int, error) {
	fd, err := newMount("zfs", e, false)
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EROFS) {
		fd, err = newMount("zfs", e, true)
	}
	if err == nil {
		return fd, nil
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		err = errors.New("no such dataset")
	case errors.Is(err, unix.EACCES):
		err = errors.New("its encryption key is not loaded")
	case errors.Is(err, unix.ENODEV):
		err = errors.New("the kernel has no ZFS; is the zfs module loaded?")
	}
	return -1, fmt.Errorf("mount dataset %q: %w", e.Dataset, err)
}

// nowhere is what ZFS is told of where a file system is mounted, as mount.zfs(8) tells
// it. There, in the host's mount namespace, the kernel mounts a snapshot that
// someone looks at by .zfs/snapshot; without it, it would do so at / of the host,
// over the same of the BE that runs. Nothing can be made in /proc, so to look at a
// snapshot is an error. All of OpenZFS from 0.8 to 2.4 take the option.
const nowhere = "/proc/snapbe"

func newMount(fstype string, e Entry, readOnlyFS bool) (int, error) {
	fs, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer shut(fs)
	if err := unix.FsconfigSetString(fs, "source", e.Dataset); err != nil {
		return -1, err
	}
	if fstype == "zfs" {
		if err := unix.FsconfigSetString(fs, "mntpoint", nowhere); err != nil {
			return -1, err
		}
	}
	if readOnlyFS {
		if err := unix.FsconfigSetFlag(fs, "ro"); err != nil {
			return -1, err
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, e.attributes())
}

// attributes is the entry's MOUNT_ATTR_* flags.
func (e Entry) attributes() int {
	var attr int
	for _, a := range []struct {
		on   bool
		attr int
	}{
		{e.ReadOnly, unix.MOUNT_ATTR_RDONLY},
		{e.NoExec, unix.MOUNT_ATTR_NOEXEC},
		{e.NoSetuid, unix.MOUNT_ATTR_NOSUID},
		{e.NoDevices, unix.MOUNT_ATTR_NODEV},
	} {
		if a.on {
			attr |= a.attr
		}
	}
	return attr
}
