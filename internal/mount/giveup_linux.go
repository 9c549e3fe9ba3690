package mount

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// giveUp takes from this thread, and so from the program that it executes, what
// a confined command is not to have. It takes the capabilities to do so, which go
// last.
func giveUp() error {
	for _, f := range []func() error{noUserNamespaces, noShare, enterTree, leaveKeyring, keepApart, forbidCalls, keepCapabilities, closeInherited} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// noUserNamespaces forbids further user namespaces below this one. In a new one
// the command would have all capabilities again: for nothing that is there
// already, but the kernel would have more code to be attacked.
func noUserNamespaces() error {
	return os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
}

// noShare sets to 0 what the host's root would have less of otherwise: watches of
// files are counted for the host's users too, and a limit above 0 would be one for
// each user that the command becomes.
func noShare() error {
	for _, name := range []string{"max_inotify_instances", "max_inotify_watches", "max_fanotify_groups", "max_fanotify_marks"} {
		err := os.WriteFile("/proc/sys/user/"+name, []byte("0"), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without it
			return err
		}
	}
	return nil
}

// enterTree makes the tree the root directory, above which there is nothing, of a
// mount namespace that has nothing else: who leaves a chroot inside is in the tree
// still. What is in /proc of the kernel belongs to root, which the command is
// whatever its capabilities, so it is made read-only; to undo that takes one that
// it does not have.
func enterTree() error {
	// A mount that another user namespace has made cannot be the root, a copy can.
	if err := unix.Mount(treeDir, treeDir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("copy its mounts: %w", err)
	}
	if err := os.Chdir(treeDir); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root directory: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil { // the old root lies on the new one
		return fmt.Errorf("let go of the root directory: %w", err)
	}
	err := unix.MountSetattr(unix.AT_FDCWD, "/proc", 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if err != nil {
		return fmt.Errorf("make /proc read-only: %w", err)
	}
	return nil
}

// leaveKeyring leaves the caller's session keyring for an empty one.
func leaveKeyring() error {
	_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	if errors.Is(err, unix.ENOSYS) {
		return nil // a kernel without keyrings
	} else if err != nil {
		return fmt.Errorf("new session keyring: %w", err)
	}
	return nil
}

// closeInherited closes, at the next execve, what the caller of snapbe has left
// open.
func closeInherited() error {
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close what is open: %w", err)
	}
	return nil
}
