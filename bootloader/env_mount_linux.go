package bootloader

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// withMount shows f the top directory of the file system on a device, by a
// mount that is attached nowhere: it needs no mount point, no process sees it,
// and it is gone with the process that made it. Where the file system is
// mounted elsewhere it is the same one.
func withMount(fstype, device string, write bool, f func(dir int) error) error {
	// Not to be written to, where that will do: a FAT is marked as in use
	// for as long as it can be. Where it is mounted to be written to elsewhere
	// there is only that one.
	fd, err := detachedMount(fstype, device, !write, !write)
	if !write && errors.Is(err, unix.EBUSY) {
		fd, err = detachedMount(fstype, device, false, true)
	}
	if err != nil {
		return err
	}
	err = f(fd)
	return errors.Join(envError(err), unix.Close(fd))
}

// detachedMount mounts a device; frozen is for the file system, readOnly for
// this mount of it.
func detachedMount(fstype, device string, frozen, readOnly bool) (int, error) {
	fsfd, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.ENODEV) {
		return -1, ErrNoVFAT
	} else if err != nil {
		return -1, fmt.Errorf("mount: %w", err)
	}
	defer unix.Close(fsfd)
	err = unix.FsconfigSetString(fsfd, "source", device)
	if err == nil && frozen {
		err = unix.FsconfigSetFlag(fsfd, "ro")
	}
	if err == nil {
		err = unix.FsconfigCreate(fsfd)
	}
	switch {
	case !frozen && (errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES)):
		return -1, ErrEnvReadOnly // mounted so elsewhere, or the device is
	case err != nil:
		return -1, fmt.Errorf("mount: %w%s", err, mountLog(fsfd))
	}
	attributes := unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC
	if readOnly {
		attributes |= unix.MOUNT_ATTR_RDONLY
	}
	fd, err := unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return -1, fmt.Errorf("mount: %w", err)
	}
	return fd, nil
}

// mountLog is what the kernel says of a mount that failed.
func mountLog(fsfd int) string {
	var said strings.Builder
	buf := make([]byte, 1024)
	for {
		n, err := unix.Read(fsfd, buf)
		if err != nil || n <= 0 {
			return said.String()
		}
		said.WriteString(": " + strings.TrimSpace(clean(string(buf[:n]))))
	}
}

// envError puts what the administrator can do to what the kernel says.
func envError(err error) error {
	for errno, known := range map[unix.Errno]error{
		unix.EROFS: ErrEnvReadOnly, unix.ENOSPC: ErrEnvFull,
		unix.ENOTDIR: ErrEnvInWay, unix.EISDIR: ErrEnvInWay, unix.ELOOP: ErrEnvInWay, unix.EXDEV: ErrEnvInWay,
	} {
		if errors.Is(err, errno) {
			return fmt.Errorf("%w: %w", err, known)
		}
	}
	return err
}
