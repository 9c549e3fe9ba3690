package mount

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"snapbe/internal/command"
)

// child is the running child, seen from the parent.
type child struct {
	proc     *os.Process
	orders   *gob.Encoder
	reports  chan report
	terminal *terminal
	pipes    []*os.File
	confined bool
	// escaped is closed when the user wants an end to it; nil where nobody can.
	escaped <-chan struct{}
}

// start starts the child, and the relay of a confined command, which is nil for others.
func (s spec) start(std stdio, t *terminal, r *relay) (*child, error) {
	program, err := s.program()
	if err != nil {
		return nil, err
	}
	defer program.Close()
	ordersOut, ordersIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	reportsOut, reportsIn, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, ordersOut.Close(), ordersIn.Close())
	}
	files := append(std[:], ordersOut, reportsIn, t.file) // nil is not open there
	if r != nil {
		files = append(files, r.terminals)
	}
	proc, err := command.Start(program.Name(), []string{childName}, &os.ProcAttr{
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
	if err != nil {
		return nil, errors.Join(fmt.Errorf("new namespaces: %w", err), ordersIn.Close(), reportsOut.Close())
	}
	c := &child{proc: proc, orders: gob.NewEncoder(ordersIn), reports: make(chan report), terminal: t,
		pipes: []*os.File{ordersIn, reportsOut}, confined: s.Confined}
	if r != nil {
		r.begin()
		c.escaped = r.escape.met
	}
	go c.listen(gob.NewDecoder(reportsOut))
	if err := c.orders.Encode(s); err != nil {
		_ = proc.Kill() // it may have ended already
		_, _ = proc.Wait()
		c.close()
		return nil, fmt.Errorf("set up namespaces: %w", err)
	}
	return c, nil
}

// program is what the child executes: this program, and for what is confined a
// mount of it that nothing can be written through.
func (s spec) program() (*os.File, error) {
	if !s.Confined {
		return os.Open("/proc/self/exe")
	}
	fd, err := cloneMounts(unix.AT_FDCWD, "/proc/self/exe", unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("show this program read-only: %w", err)
	}
	defer shut(fd)
	const above = 64 // the descriptors that a child gets
	if fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, above); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), fmt.Sprintf("/proc/self/fd/%d", fd)), nil
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

// order writes to the child; one that has ended meanwhile is met by wait.
func (c *child) order(o order) { _ = c.orders.Encode(o) }

func (c *child) close() {
	for _, f := range c.pipes {
		f.Close()
	}
	for range c.reports { // let listen end
	}
}

// wait follows the child until it has ended and the namespace is gone.
func (c *child) wait(ctx context.Context, signals <-chan os.Signal, grace time.Duration) (int, error) {
	if grace == 0 {
		grace = defaultGrace
	}
	var last report
	var kill <-chan time.Time
	killed, done := 0, ctx.Done() // the code where it was
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
			if kill == nil && c.mustEnd(sig) {
				kill = time.After(grace)
			}
		case <-done:
			done = nil
			c.order(order{Signal: int(unix.SIGTERM)})
			if kill == nil {
				kill = time.After(grace)
			}
		case <-kill:
			killed = c.kill(exitSignal + int(unix.SIGKILL))
		case <-c.escaped:
			c.escaped = nil
			killed = c.kill(exitSignal + int(unix.SIGINT))
		}
	}
	state, err := c.proc.Wait()
	c.terminal.take(last.Foreground || killed != 0)
	switch {
	case err != nil:
		return 0, fmt.Errorf("wait for the namespace: %w", err)
	case last.Error != "":
		return 0, errors.New(last.Error)
	case last.Ended:
		return last.Code, nil
	case killed != 0:
		return killed, nil
	}
	return 0, fmt.Errorf("the namespace ended before the command did: %s", state)
}

// mustEnd is whether a signal is not left to the command alone: what is not trusted
// does not choose whether it ends.
func (c *child) mustEnd(sig os.Signal) bool {
	return c.confined && (sig == unix.SIGTERM || sig == unix.SIGHUP)
}

// kill ends PID 1, and with it all in the namespace. The code is 0 where it has ended
// already.
func (c *child) kill(code int) int {
	if c.proc.Kill() != nil {
		return 0
	}
	return code
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
