package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mountRun gives an empty /run, so that no socket of the host is there. The
// directory that says that systemd runs makes invoke-rc.d, service and init
// scripts go through systemctl, which then does nothing.
func (p *pid1) mountRun(root int) error {
	if err := mountNew(root, "run", "tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "mode=0755"); err != nil {
		return err
	}
	fd, err := openDir(root, "run")
	if err != nil {
		return err
	}
	defer shut(fd)
	run, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return err
	}
	defer run.Close()
	if err := errors.Join(run.Mkdir("lock", 0o755), run.Chmod("lock", 0o777|os.ModeSticky)); err != nil {
		return err
	}
	if fd, err := openBelow(root, "/usr/bin/systemctl", 0, 0); err == nil {
		shut(fd)
		if err := run.MkdirAll("systemd/system", 0o755); err != nil {
			return err
		}
	} else if err := p.standIn(run); err != nil {
		return err
	}
	if p.Confined {
		// Others ask PID 1's environment, which it does not show.
		if err := errors.Join(run.MkdirAll("systemd", 0o755), run.WriteFile("systemd/container", []byte(container+"\n"), 0o444)); err != nil {
			return err
		}
	}
	return p.resolvConf(root, run)
}

// standInDir has, in a tree without systemctl, what stands in for the programs by
// which packages start services: invoke-rc.d(8) would do so there. To forbid it
// by /usr/sbin/policy-rc.d would write into the tree.
const standInDir = "/run/snapbe"

func (p *pid1) standIn(run *os.Root) error {
	if err := run.MkdirAll(standInDir[len("/run/"):], 0o755); err != nil {
		return err
	}
	for _, name := range []string{"invoke-rc.d", "service"} {
		if err := run.WriteFile(filepath.Join(standInDir[len("/run/"):], name), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
			return err
		}
	}
	for i, v := range p.Env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			p.Env[i] = "PATH=" + standInDir + ":" + path
		}
	}
	return nil
}

// resolvConf gives the tree the host's name servers where its own
// /etc/resolv.conf is a symlink into /run, whose services do not run here.
func (p *pid1) resolvConf(root int, run *os.Root) error {
	if len(p.ResolvConf) == 0 {
		return nil
	}
	path, ok := followLink(root, "etc/resolv.conf")
	path, in := strings.CutPrefix(path, "run/")
	if !ok || !in {
		return p.coverResolvConf(root, run)
	}
	if err := run.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return run.WriteFile(path, p.ResolvConf, 0o444)
}

// followLink follows the symlinks that path itself is, as far as there are
// any, to a place that need not exist. It is false where path is none.
func followLink(root int, path string) (string, bool) {
	followed := false
	for range 8 {
		dir, err := openBelow(root, filepath.Dir(path), unix.O_DIRECTORY, 0)
		if err != nil {
			break
		}
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(dir, filepath.Base(path), buf)
		shut(dir)
		if err != nil {
			break
		}
		target := string(buf[:n])
		if !filepath.IsAbs(target) {
			target = filepath.Join("/", filepath.Dir(path), target)
		}
		path = strings.TrimPrefix(filepath.Clean(target), "/")
		if rest, ok := strings.CutPrefix(path, "var/run/"); ok {
			path = "run/" + rest
		}
		followed = true
	}
	return path, followed
}

// coverResolvConf shows the host's name servers in place of the file, which stays
// as it is.
func (p *pid1) coverResolvConf(root int, run *os.Root) error {
	if !p.Resolver {
		return nil
	}
	at, err := openBelow(root, "etc/resolv.conf", 0, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) {
		return nil // resolv.conf(5): then the host's own server is asked
	} else if err != nil {
		return fmt.Errorf("open its /etc/resolv.conf: %w", err)
	}
	defer shut(at)
	var stat unix.Stat_t
	if err := unix.Fstat(at, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return err
	}
	const name = "resolv.conf"
	if err := run.WriteFile(name, p.ResolvConf, 0o444); err != nil {
		return err
	}
	f, err := run.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	fd, err := cloneMounts(int(f.Fd()), "", unix.MOUNT_ATTR_RDONLY)
	if err == nil {
		err = moveOnto(fd, at)
		shut(fd)
	}
	if err != nil {
		return fmt.Errorf("show the host's name servers: %w", err)
	}
	return run.Remove(name)
}
