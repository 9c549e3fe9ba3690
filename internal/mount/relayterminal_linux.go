package mount

import (
	"fmt"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// copiedTerminal is the caller's terminal, and the other side of the command's that
// stands in its place.
type copiedTerminal struct {
	callers, ptmx *os.File
	before        *term.State
	winch         chan os.Signal
	resizing      sync.WaitGroup
}

// openTerminal makes a terminal in the place of those that std has.
func (r *relay) openTerminal(std stdio) error {
	ptmx, tty, err := newTerminal(int(r.terminals.Fd()))
	if err != nil {
		return err
	}
	r.kept, r.given = append(r.kept, ptmx), append(r.given, tty)
	for i, f := range std {
		if isTerminal(f) {
			r.inner[i] = tty
		}
	}
	r.terminal = &copiedTerminal{callers: std[0], ptmx: ptmx, winch: make(chan os.Signal, 1)}
	r.copies = append(r.copies, func() error { return r.feed(ptmx, std[0], r.escape) },
		func() error { return r.drain(std[1], ptmx) })
	return nil
}

// newTerminal makes one in a mount of terminals.
func newTerminal(at int) (ptmx, tty *os.File, err error) {
	fd, err := unix.Openat(at, "ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ptmx = os.NewFile(uintptr(fd), "ptmx")
	defer func() {
		if err != nil {
			ptmx.Close()
		}
	}()
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	if fd, err = unix.Openat(at, fmt.Sprint(n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != nil {
		return nil, nil, err
	}
	return ptmx, os.NewFile(uintptr(fd), "tty"), nil
}

// begin copies sizes, and hands the keyboard on key by key.
func (t *copiedTerminal) begin() {
	signal.Notify(t.winch, unix.SIGWINCH)
	t.winch <- unix.SIGWINCH
	t.resizing.Go(t.resize)
	t.before, _ = term.MakeRaw(int(t.callers.Fd())) // without it, lines are copied
}

// end gives the caller's terminal back as it was.
func (t *copiedTerminal) end() {
	signal.Stop(t.winch)
	close(t.winch)
	t.resizing.Wait()
	if t.before != nil {
		_ = term.Restore(int(t.callers.Fd()), t.before) // a terminal that hung up has no mode
	}
}

// resize gives the command's terminal the size of the caller's.
func (t *copiedTerminal) resize() {
	for range t.winch {
		size, err := unix.IoctlGetWinsize(int(t.callers.Fd()), unix.TIOCGWINSZ)
		if err == nil {
			_ = unix.IoctlSetWinsize(int(t.ptmx.Fd()), unix.TIOCSWINSZ, size) // a size is not worth an error
		}
	}
}
