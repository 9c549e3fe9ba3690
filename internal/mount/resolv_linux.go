package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

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
