package mount

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Exec runs a command inside a tree, which nobody else sees, and returns its
// exit code; 128+n where signal n ended it. The command cannot reach the
// host's files, processes or services: it has /proc for its own processes,
// the host's /dev and a read-only /sys, and an empty /run and /tmp that leave
// nothing in the tree. Its services are not started: systemctl and what calls
// it find themselves in a chroot. The maintainer scripts of Debian's kernels
// and of its GRUB find themselves in a container and make no new menu; to run
// update-grub works.
//
// When the command ends, so does all that it left running, and when the
// caller is killed, so does the command; then nothing is mounted any more.
// Signals that ask the caller to end are passed on to the command, and a
// context that ends sends it SIGTERM; x.Grace tells when it is killed. A confined
// one on a terminal is also ended by ^] three times within a second, and the code
// is then that of SIGINT. On a terminal the command gets the
// keyboard's signals itself, so a caller that turns those into the end of a
// context should give one that stays.
func Exec(ctx context.Context, tree Tree, x ExecSpec) (int, error) {
	s := spec{Tree: slices.Concat(tree, x.Extra), Argv: x.Argv, Env: environment(x), Dir: x.Dir, Hostname: x.Hostname, Resolver: x.Resolver, Confined: x.Confined}
	if err := s.Tree.check(); err != nil {
		return 0, err
	}
	for i := range s.Tree {
		s.Tree[i].NoDevices = s.Tree[i].NoDevices || s.Confined
	}
	if len(s.Argv) == 0 || s.Argv[0] == "" {
		return 0, errors.New("no command to run")
	}
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	s.ResolvConf = resolv
	code := 0
	// The child's parent death signal comes when the thread that started it
	// ends, so that thread waits for it.
	err = ownThread(func() (err error) {
		code, err = s.run(ctx, x)
		return err
	})
	return code, err
}

func environment(x ExecSpec) []string {
	env := x.Env
	if env == nil && !x.Confined {
		env = os.Environ()
	}
	env = append(slices.Clone(env), "SYSTEMD_OFFLINE=1")
	if !slices.ContainsFunc(env, func(s string) bool { return strings.HasPrefix(s, "PATH=") }) {
		env = append(env, "PATH="+defaultPath)
	}
	return env
}

// run runs the command on the caller's files, or on a relay's in their place.
func (s spec) run(ctx context.Context, x ExecSpec) (int, error) {
	std := stdio{or(x.Stdin, os.Stdin), or(x.Stdout, os.Stdout), or(x.Stderr, os.Stderr)}
	t := openTerminal(std[0], std[1])
	defer t.close()
	if !s.Confined {
		return s.runOn(ctx, std, t, nil, x.Grace)
	}
	r, err := newRelay(std, t)
	if err != nil {
		return 0, fmt.Errorf("copy standard input and output: %w", err)
	}
	code, err := s.runOn(ctx, r.inner, t, r, x.Grace)
	if lost := r.end(); lost != nil && err == nil && code == 0 {
		err = fmt.Errorf("copy what the command said: %w", lost)
	}
	return code, err
}

func (s spec) runOn(ctx context.Context, std stdio, t *terminal, r *relay, grace time.Duration) (int, error) {
	s.Terminal = t.mode
	// From here on the command is the one to end by these; they are caught
	// before it starts so that none is lost.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, forwarded...)
	if t.mode == ownTerminal {
		signal.Notify(signals, unix.SIGTSTP, unix.SIGCONT)
	}
	defer signal.Stop(signals)
	c, err := s.start(std, t, r)
	if err != nil {
		return 0, err
	}
	defer c.close()
	return c.wait(ctx, signals, grace)
}

func or(f, other *os.File) *os.File {
	if f != nil {
		return f
	}
	return other
}
