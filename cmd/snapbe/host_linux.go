package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"snapbe/be"
	"snapbe/bootloader"
	"snapbe/internal/command"
	"snapbe/internal/mount"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// units are snapbe's systemd units that an adopted host has enabled.
var units = []string{"snapbe-recover.service", "snapbe-boot-mount.service", "snapbe-share.service", "snapbe-handover.service", "snapbe-zones.service",
	"snapbe-confirm.service", "snapbe-trial-deadline.timer", "snapbe-trial-emergency.service", "snapbe-tell.service"}

// childMain is where mount.Exec's own child turns off; see there.
func childMain() { mount.ChildMain() }

// openHost makes the life cycle of the running host.
func openHost(o options) (lifecycle, func() error, error) {
	// Other users than root have no sbin in their PATH, where Debian has
	// zfs(8): they may read.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin"); err != nil {
		return nil, nil, err
	}
	run := hostPrograms(o.Log)
	h := &host{run: run, config: o.Config}
	return be.New(be.System{
		ZFS:  zfs.NewTools(run),
		Boot: bootloader.Host(run),
		Host: h,
		Root: o.Root,

		ShareSnapshots: o.ShareSnapshots,
		Trials:         o.Trials,
		TrialCmdline:   o.TrialCmdline,
		Zones:          zones.NewNspawn(run, h.Tree),
		ZonePolicy:     o.ZonePolicy,
		Upgrades:       o.Upgrades,
		ZoneUpgrades:   o.ZoneUpgrades,
		LogDir:         "/var/log/snapbe",
		LockFile:       "/run/snapbe/lock",
		TrialOver:      "/run/snapbe/no-failback",
		Command:        o.Command,
		Now:            time.Now,
		UUID:           newUUID,
	}), func() error { return nil }, nil
}

// hostPrograms starts the host's programs and tells the log of them.
func hostPrograms(log *slog.Logger) command.Runner { return logged{command.Exec{}, log} }

// host is the running Linux system; see be.Host.
type host struct {
	run    command.Runner
	config string
}

var _ be.Host = (*host)(nil)

// Root is the dataset at /. What was mounted last hides what was before.
func (h *host) Root() (string, error) {
	table, err := mount.Table()
	if err != nil {
		return "", err
	}
	root := ""
	for _, m := range table {
		if m.Dir == "/" {
			root = ""
			if m.FSType == "zfs" {
				root = m.Dataset
			}
		}
	}
	return root, nil
}

func (h *host) Tree() (*os.Root, error) { return os.OpenRoot("/") }

func (h *host) Privileged() bool { return os.Geteuid() == 0 }

func (h *host) Mounts() ([]mount.Mounted, error) { return mount.Table() }

func (h *host) View(t mount.Tree, readOnly bool, f func(*os.Root) error) error {
	return mount.View(t, readOnly, f)
}

func (h *host) Attach(t mount.Tree, dir string) error { return mount.Attach(t, dir) }

func (h *host) Detach(dir string, force bool) error { return mount.Detach(dir, force) }

func (h *host) Exec(ctx context.Context, t mount.Tree, x mount.ExecSpec) (int, error) {
	return mount.Exec(ctx, t, x)
}

func (h *host) ConfinementGaps() []string { return mount.ConfinementGaps() }

// Units lists the units that are not enabled. is-enabled (systemctl(1)) gives a
// line for each, and ends with 0 where one of them is: only the lines count.
func (h *host) Units(ctx context.Context) ([]string, error) {
	out, _ := h.run.Run(ctx, command.Cmd{Argv: append([]string{"systemctl", "is-enabled"}, units...)})
	states := strings.Fields(string(out))
	if len(states) != len(units) {
		return units, nil // one is not installed at all: enabling it says so
	}
	var missing []string
	for i, s := range states {
		if s != "enabled" {
			missing = append(missing, units[i])
		}
	}
	return missing, nil
}

func (h *host) EnableUnits(ctx context.Context, units []string) error {
	_, err := h.run.Run(ctx, command.Cmd{Argv: append([]string{"systemctl", "enable", "--quiet"}, units...)})
	return err
}

func (h *host) ConfigMissing() bool {
	_, err := os.Lstat(h.config)
	return errors.Is(err, fs.ErrNotExist)
}

// WriteConfig writes the commented configuration where there is none.
func (h *host) WriteConfig() error {
	if !h.ConfigMissing() {
		return nil
	}
	dir := filepath.Dir(h.config)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// Nothing depends on it after a power cut, so its name needs no fsync.
	return renameio.WriteFile(h.config, defaultConfig, 0o644, renameio.WithTempDir(dir))
}

// HasGRUB looks for the two tools that Debian's grub2-common brings.
func (h *host) HasGRUB() bool {
	for _, tool := range []string{"grub-install", "grub-mkconfig"} {
		if _, err := os.Stat("/usr/sbin/" + tool); err != nil {
			return false
		}
	}
	return true
}

// Reboot does not wait: without logind, as in rescue.target, systemctl would
// until the shutdown kills it, and that would be taken for an error.
func (h *host) Reboot(ctx context.Context) error {
	_, err := h.run.Run(ctx, command.Cmd{Argv: []string{"systemctl", "--no-block", "reboot"}})
	return err
}

// Quiesce isolates rescue.target (systemctl(1)). This process is not ended by
// that: outlive has seen to it. The connection that it was called over may be.
func (h *host) Quiesce(ctx context.Context) error {
	signal.Ignore(syscall.SIGHUP)
	_, err := h.run.Run(ctx, command.Cmd{Argv: []string{"systemctl", "isolate", "rescue.target"}})
	return err
}

func (h *host) Resume(ctx context.Context) error {
	_, err := h.run.Run(ctx, command.Cmd{Argv: []string{"systemctl", "--no-block", "default"}})
	return err
}

// outlive makes sure that ending all services does not end this process: one
// that is part of a service starts again as one of its own, which isolate leaves
// alone (systemd.unit(5), IgnoreOnIsolate). A scope would not do: the main
// process of a service is ended wherever it is.
func outlive(needed bool) error {
	cgroup, err := os.ReadFile("/proc/self/cgroup")
	if !needed || err != nil || os.Getenv(outliving) != "" || !inService(string(cgroup)) {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	argv := append([]string{"systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--setenv=" + outliving + "=1",
		"-p", "IgnoreOnIsolate=yes", "-p", "DefaultDependencies=no", "--", self}, os.Args[1:]...)
	err = syscall.Exec("/usr/bin/systemd-run", argv, os.Environ())
	return fmt.Errorf("cannot leave the service that snapbe was started by: systemd-run: %w", err)
}

// outliving is set for a process that outlive has started.
const outliving = "SNAPBE_OUTLIVING"

// inService tells by /proc/self/cgroup (cgroups(7)) whether a process is part of
// a service that isolate ends; that is not so of users' own.
func inService(cgroup string) bool {
	for part := range strings.FieldsFuncSeq(cgroup, func(r rune) bool { return r == '/' || r == '\n' }) {
		if strings.HasPrefix(part, "user@") {
			return false
		}
		if strings.HasSuffix(part, ".service") {
			return true
		}
	}
	return false
}

// logged tells the log of every program that is run.
type logged struct {
	command.Runner
	log *slog.Logger
}

func (l logged) Run(ctx context.Context, c command.Cmd) ([]byte, error) {
	began := time.Now()
	out, err := l.Runner.Run(ctx, c)
	attrs := []any{"argv", c.Argv, "took", time.Since(began).Round(time.Millisecond)}
	if failed, ok := errors.AsType[*command.Error](err); ok {
		attrs = append(attrs, "code", failed.Code, "stderr", strings.TrimSpace(failed.Stderr))
	}
	l.log.DebugContext(ctx, "run", attrs...)
	return out, err
}

// Unwrap lets package zfs see that these are the host's own programs.
func (l logged) Unwrap() command.Runner { return l.Runner }

// newUUID is a random UUID (RFC 9562, version 4).
func newUUID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // it ends the program rather than to fail
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
