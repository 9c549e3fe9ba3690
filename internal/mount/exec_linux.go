package mount

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"snapbe/internal/command"
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
// context that ends sends it SIGTERM. On a terminal the command gets the
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

// child is the running child, seen from the parent.
type child struct {
	proc     *os.Process
	orders   *gob.Encoder
	reports  chan report
	terminal *terminal
	pipes    []*os.File
}

func (s spec) run(ctx context.Context, x ExecSpec) (code int, err error) {
	std := stdio{or(x.Stdin, os.Stdin), or(x.Stdout, os.Stdout), or(x.Stderr, os.Stderr)}
	t := openTerminal(std[0], std[1])
	defer t.close()
	var r *relay
	if s.Confined {
		if r, err = newRelay(std, t); err != nil {
			return 0, fmt.Errorf("copy standard input and output: %w", err)
		}
		defer func() {
			if lost := r.end(); lost != nil && err == nil && code == 0 {
				err = fmt.Errorf("copy what the command said: %w", lost)
			}
		}()
		std = r.inner
	}
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
	return c.wait(ctx, signals, x.Grace)
}

func (s spec) start(std stdio, t *terminal, r *relay) (*child, error) {
	ordersOut, ordersIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	reportsOut, reportsIn, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, ordersOut.Close(), ordersIn.Close())
	}
	files := append(std[:], ordersOut, reportsIn)
	program := "/proc/self/exe"
	switch {
	case r != nil:
		files, program = append(files, r.terminals), r.program.Name()
	case t.file != nil:
		files = append(files, t.file)
	}
	proc, err := command.Start(program, []string{childName}, &os.ProcAttr{
		Env:   childEnv,
		Files: files,
		Sys: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
			Pdeathsig:  syscall.SIGKILL,
			Setsid:     s.Confined, // the terminal's signals come by way of the caller
		},
	})
	ordersOut.Close()
	reportsIn.Close()
	if r != nil {
		r.begin()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("new namespaces: %w", err), ordersIn.Close(), reportsOut.Close())
	}
	c := &child{proc: proc, orders: gob.NewEncoder(ordersIn), reports: make(chan report), terminal: t,
		pipes: []*os.File{ordersIn, reportsOut}}
	go c.listen(gob.NewDecoder(reportsOut))
	if err := c.orders.Encode(s); err != nil {
		_ = proc.Kill() // it may have ended already
		_, _ = proc.Wait()
		c.close()
		return nil, fmt.Errorf("set up namespaces: %w", err)
	}
	return c, nil
}

func (c *child) listen(in *gob.Decoder) {
	defer close(c.reports)
	for {
		var r report
		if in.Decode(&r) != nil {
			return // it ended, or was killed
		}
		c.reports <- r
	}
}

// wait follows the child until it has ended and the namespace is gone.
func (c *child) wait(ctx context.Context, signals <-chan os.Signal, grace time.Duration) (int, error) {
	if grace == 0 {
		grace = defaultGrace
	}
	var last report
	var kill <-chan time.Time
	killed, done := false, ctx.Done()
	for open := true; open; {
		var r report
		select {
		case r, open = <-c.reports:
			if open && r.Stopped {
				c.suspend(r)
			} else if open {
				last = r
			}
		case sig := <-signals:
			c.pass(sig)
		case <-done:
			done, kill = nil, time.After(grace)
			c.order(order{Signal: int(unix.SIGTERM)})
		case <-kill:
			killed = c.proc.Kill() == nil
		}
	}
	state, err := c.proc.Wait()
	c.terminal.take(last.Foreground || killed)
	switch {
	case err != nil:
		return 0, fmt.Errorf("wait for the namespace: %w", err)
	case last.Error != "":
		return 0, errors.New(last.Error)
	case last.Ended:
		return last.Code, nil
	case killed:
		return exitSignal + int(unix.SIGKILL), nil
	}
	return 0, fmt.Errorf("the namespace ended before the command did: %s", state)
}

// pass hands a signal on, but for those that the terminal itself has sent to
// the command. Where a shell's fg has given the terminal to this process, it
// is given to the command first, and what came from the keyboard is for all
// of the command's processes.
func (c *child) pass(sig os.Signal) {
	keyboard := c.terminal.isOurs()
	if keyboard || sig == unix.SIGCONT {
		c.order(order{Continue: true, Foreground: keyboard})
	}
	n, ok := sig.(syscall.Signal)
	if ok && n != unix.SIGCONT && c.terminal.mode.passes(n) {
		c.order(order{Signal: int(n), Group: keyboard || c.terminal.mode == relayedTerminal && isKey(n)})
	}
}

// order writes to the child; one that has ended meanwhile is met by wait.
func (c *child) order(o order) { _ = c.orders.Encode(o) }

// suspend stops this process along with the command, as the shell that waits
// for it expects. The command goes on where this process is the session's
// leader, so that there is no such shell, and where it was stopped only for
// want of the terminal, which this process has been given meanwhile.
func (c *child) suspend(r report) {
	ours := c.terminal.isOurs()
	if sid, err := unix.Getsid(0); ours || err != nil || sid == os.Getpid() {
		c.order(order{Continue: true, Foreground: ours || r.Foreground})
		return
	}
	c.terminal.take(r.Foreground)
	_ = unix.Kill(os.Getpid(), unix.SIGSTOP) // cannot fail
}

func (c *child) close() {
	for _, f := range c.pipes {
		f.Close()
	}
	for range c.reports { // let listen end
	}
}

func or(f, other *os.File) *os.File {
	if f != nil {
		return f
	}
	return other
}
