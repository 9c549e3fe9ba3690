package mount

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// confinedProc shows the processes of this pid namespace. It is made read-only
// once the command's user namespace has its numbers, see seal: what is in it of
// the kernel belongs to root, which the command is, whatever its capabilities.
func confinedProc(root int) error { return mountNew(root, "proc", "proc", plain) }

// confinedSys shows the kernel's devices, but none of the file systems that are
// mounted below them on the host: control groups, debugfs, variables of EFI.
func confinedSys(root int) error {
	return mountNew(root, "sys", "sysfs", plain|unix.MOUNT_ATTR_RDONLY)
}

// confinedDev makes the few devices that every program expects, and a place for
// terminals and shared memory.
func confinedDev(root int) error {
	if err := mountNew(root, "dev", "tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "mode=0755"); err != nil {
		return err
	}
	at, err := openDir(root, "dev")
	if err != nil {
		return err
	}
	defer shut(at)
	const memory = 1 // mem(4)
	for _, d := range []struct {
		name         string
		major, minor uint32
	}{
		{"null", memory, 3}, {"zero", memory, 5}, {"full", memory, 7}, {"random", memory, 8}, {"urandom", memory, 9}, {"tty", 5, 0},
	} {
		if err := errors.Join(unix.Mknodat(at, d.name, unix.S_IFCHR, int(unix.Mkdev(d.major, d.minor))),
			unix.Fchmodat(at, d.name, 0o666, 0)); err != nil {
			return fmt.Errorf("make device %q: %w", d.name, err)
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := unix.Symlinkat(target, at, name); err != nil {
			return &os.LinkError{Op: "symlink", Old: target, New: name, Err: err}
		}
	}
	for _, dir := range []string{"pts", "shm"} {
		if err := unix.Mkdirat(at, dir, 0o755); err != nil {
			return &os.PathError{Op: "mkdir", Path: dir, Err: err}
		}
	}
	pts, err := openDir(at, "pts")
	if err != nil {
		return err
	}
	defer shut(pts)
	if err := moveOnto(fdTerminals, pts); err != nil {
		return fmt.Errorf("show its terminals: %w", err)
	}
	return mountFresh(root, "dev/shm", "1777")
}

// hidden is what root can read of the host's kernel that is no business of a
// tree's programs: memory, keys, credentials from the firmware. What the kernel
// itself guards by a capability is among it, for when it does so no more.
var hidden = []string{
	"proc/acpi", "proc/kallsyms", "proc/kcore", "proc/key-users", "proc/keys", "proc/kmsg", "proc/latency_stats", "proc/sched_debug",
	"proc/scsi", "proc/sysrq-trigger", "proc/timer_list", "proc/vmallocinfo", "sys/firmware", "sys/kernel/vmcoreinfo",
}

// hide covers files by /dev/null and directories by empty ones.
func hide(root int) error {
	for _, path := range hidden {
		at, err := openBelow(root, path, 0, unix.RESOLVE_NO_SYMLINKS)
		if errors.Is(err, unix.ENOENT) {
			continue // a kernel without it
		} else if err != nil {
			return fmt.Errorf("open %q: %w", path, err)
		}
		err = cover(root, at)
		shut(at)
		if err != nil {
			return fmt.Errorf("hide %q: %w", path, err)
		}
	}
	return nil
}

func cover(root, at int) error {
	var stat unix.Stat_t
	if err := unix.Fstat(at, &stat); err != nil {
		return err
	}
	var fd int
	var err error
	if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		fd, err = newFS("tmpfs", plain|unix.MOUNT_ATTR_RDONLY, "mode=0555")
	} else {
		fd, err = cloneMounts(root, "dev/null", unix.MOUNT_ATTR_RDONLY)
	}
	if err != nil {
		return err
	}
	defer shut(fd)
	return moveOnto(fd, at)
}

// leaveAll makes the tree itself the root directory, above which there is
// nothing, and takes all else from this namespace: who leaves a chroot inside
// is in the tree.
func leaveAll(tree string) error {
	if err := os.Chdir(tree); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root directory: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil { // what was the root lies on top
		return fmt.Errorf("let go of the host's file systems: %w", err)
	}
	return os.Chdir("/")
}

// seal makes /proc read-only, for good: nobody inside has the capability to
// undo it.
func seal() error {
	err := unix.MountSetattr(unix.AT_FDCWD, "/proc", 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if err != nil {
		return fmt.Errorf("make /proc read-only: %w", err)
	}
	return nil
}
