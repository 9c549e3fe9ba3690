package mount

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// confinedProc shows the processes of this pid namespace; enterTree makes it
// read-only.
func confinedProc(root int) error { return mountNew(root, "proc", "proc", plain) }

// shownSys is what programs ask /sys for: the processors and the memory. The rest
// tells of the machine's devices, of their serial numbers and of the kernel's memory,
// and has the devices' own memory in it.
var shownSys = []string{"devices/system/cpu", "devices/system/node", "kernel/mm"}

// confinedSys shows a small part of /sys.
func confinedSys(root int) error {
	// The host's: of one that is mounted nowhere, no part can be shown before Linux 6.15.
	all, err := unix.Open("/sys", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /sys: %w", err)
	}
	defer shut(all)
	if err := mountNew(root, "sys", "tmpfs", plain, "mode=0755"); err != nil {
		return err
	}
	at, err := openDir(root, "sys")
	if err != nil {
		return err
	}
	defer shut(at)
	for _, dir := range append(shownSys, "class", "fs") { // these are empty
		if err := makeDir(at, dir); err != nil {
			return fmt.Errorf("make %q in /sys: %w", dir, err)
		}
	}
	for _, dir := range shownSys {
		if err := showBelow(all, at, dir); err != nil {
			return fmt.Errorf("show %q of /sys: %w", dir, err)
		}
	}
	return unix.MountSetattr(at, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}

// showBelow shows a directory of one file system at the same place of another.
func showBelow(from, to int, dir string) error {
	fd, err := cloneMounts(from, dir, plain|unix.MOUNT_ATTR_RDONLY)
	if errors.Is(err, unix.ENOENT) {
		return nil // a kernel without it
	} else if err != nil {
		return err
	}
	defer shut(fd)
	at, err := openDir(to, dir)
	if err != nil {
		return err
	}
	defer shut(at)
	return moveOnto(fd, at)
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
// tree's programs: memory, keys, the host's datasets. What the kernel
// itself guards by a capability is among it, for when it does so no more.
var hidden = []string{
	"proc/acpi", "proc/kallsyms", "proc/kcore", "proc/key-users", "proc/keys", "proc/kmsg", "proc/kpagecgroup", "proc/kpagecount",
	"proc/kpageflags", "proc/latency_stats", "proc/pagetypeinfo", "proc/sched_debug", "proc/scsi", "proc/slabinfo", "proc/spl",
	"proc/sysrq-trigger", "proc/timer_list", "proc/vmallocinfo",
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
