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
