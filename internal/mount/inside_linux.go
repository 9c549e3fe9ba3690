package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// treeDir is the place of the tree, as PID 1 sees it. PID 1's root is the
// directory above, on a tmpfs with nothing else in it, and the command is
// chrooted into the tree. So systemd's tools, which compare /proc/1/root with
// their own, know that they are in a chroot and leave services alone, even
// where SYSTEMD_OFFLINE was dropped from the environment by sudo or env -i
// (systemd 252 and 257: running_in_chroot). A confined command cannot look there:
// without that variable, its systemctl finds no manager and fails.
const treeDir = "/tree"

// setUp makes the tree and what belongs to a running system around it, and
// lets go of the host's file systems.
func (p *pid1) setUp() error {
	if err := enslave(); err != nil {
		return err
	}
	if p.Hostname != "" {
		if err := unix.Sethostname([]byte(p.Hostname)); err != nil {
			return fmt.Errorf("set host name %q: %w", p.Hostname, err)
		}
	}
	// The command keeps the caller's umask.
	defer unix.Umask(unix.Umask(0o022))
	var host hostMounts
	var err error
	if !p.Confined {
		if host, err = cloneHost(); err != nil {
			return err
		}
	}
	s, err := assemble(p.Tree, false)
	if err != nil {
		return err
	}
	root, err := unix.Open(s.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open dataset %q: %w", p.Tree[0].Dataset, err)
	}
	defer shut(root)
	parts := []func(root int) error{p.mountProc, host.mount, p.mountRun, p.mountTmp}
	if p.Confined {
		parts = []func(root int) error{confinedProc, confinedSys, confinedDev, p.mountRun, p.mountTmp, hide}
	}
	for _, f := range parts {
		if err := f(root); err != nil {
			return fmt.Errorf("set up dataset %q to run in: %w", p.Tree[0].Dataset, err)
		}
	}
	if p.Confined {
		if err := ownProc(s.base); err != nil {
			return err
		}
	}
	return leaveHost(s.base)
}

// leaveHost makes base the root directory and takes the host's file systems
// from this namespace.
func leaveHost(base string) error {
	old := filepath.Join(base, "host")
	if err := os.Mkdir(old, 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(base, old); err != nil {
		return fmt.Errorf("change the root directory: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/host", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the host's file systems: %w", err)
	}
	return os.Remove("/host")
}

// ownProc gives PID 1 a /proc that is no part of the tree, and can be written to.
func ownProc(base string) error {
	dir := filepath.Join(base, "proc")
	if err := os.Mkdir(dir, 0o555); err != nil {
		return err
	}
	if err := unix.Mount("proc", dir, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount %q: %w", dir, err)
	}
	return nil
}

// mountProc shows the processes of this pid namespace. The switches of the
// host's kernel can only be read.
func (p *pid1) mountProc(root int) error {
	if err := mountNew(root, "proc", "proc", plain); err != nil {
		return err
	}
	for _, path := range []string{"proc/sys", "proc/sysrq-trigger"} {
		fd, err := openBelow(root, path, 0, unix.RESOLVE_NO_SYMLINKS)
		if errors.Is(err, unix.ENOENT) {
			continue // a kernel without it
		} else if err != nil {
			return fmt.Errorf("open %q: %w", path, err)
		}
		err = readOnly(fd)
		shut(fd)
		if err != nil {
			return fmt.Errorf("make %q read-only: %w", path, err)
		}
	}
	return nil
}

// hostMounts is what of the host shows in a tree: its devices, which
// update-grub looks for the boot disks in, and its kernel's view of them,
// which can only be read. They are copied before the tree is put together,
// which may happen right there.
type hostMounts struct{ sys, dev int }

func cloneHost() (hostMounts, error) {
	sys, err := cloneMounts(unix.AT_FDCWD, "/sys", unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return hostMounts{}, fmt.Errorf("show the host's /sys: %w", err)
	}
	dev, err := cloneMounts(unix.AT_FDCWD, "/dev", 0)
	if err != nil {
		shut(sys)
		return hostMounts{}, fmt.Errorf("show the host's /dev: %w", err)
	}
	return hostMounts{sys, dev}, nil
}

// mount shows them below root. Shared memory is not shared.
func (h hostMounts) mount(root int) error {
	for _, m := range []struct {
		dir string
		fd  int
	}{{"sys", h.sys}, {"dev", h.dev}} {
		defer shut(m.fd)
		at, err := openDir(root, m.dir)
		if err != nil {
			return fmt.Errorf("mount point %q: %w", m.dir, explain(err))
		}
		err = moveOnto(m.fd, at)
		shut(at)
		if err != nil {
			return fmt.Errorf("show the host's %q: %w", "/"+m.dir, err)
		}
	}
	return mountFresh(root, "dev/shm", "1777")
}

// mountTmp gives an empty /tmp, unless the tree brings its own or has none.
func (p *pid1) mountTmp(root int) error {
	for _, e := range p.Tree {
		if e.Dir == "tmp" {
			return nil
		}
	}
	return mountFresh(root, "tmp", "1777")
}
