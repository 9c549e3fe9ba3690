package mount

import (
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// openTerminal makes a terminal in the place of those that std has.
func (r *relay) openTerminal(std stdio) error {
	at := int(r.terminals.Fd())
	fd, err := unix.Openat(at, "ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	r.keyboard, r.ptmx = std[0], os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return err
	}
	if fd, err = unix.Openat(at, fmt.Sprint(n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	tty := os.NewFile(uintptr(fd), "tty")
	r.ours = append(r.ours, tty)
	for i, f := range std {
		if isTerminal(f) {
			r.inner[i] = tty
		}
	}
	r.copies = append(r.copies, func() error { return r.feed(r.ptmx, std[0]) },
		func() error { return r.drain(std[1], r.ptmx) })
	return nil
}

// beginTerminal copies sizes, and hands the keyboard on key by key.
func (r *relay) beginTerminal() {
	r.winch = make(chan os.Signal, 1)
	signal.Notify(r.winch, unix.SIGWINCH)
	r.winch <- unix.SIGWINCH
	r.running.Go(r.resize)
	r.before, _ = term.MakeRaw(int(r.keyboard.Fd())) // without it, lines are copied
}

// resize gives the command's terminal the size of the caller's.
func (r *relay) resize() error {
	for range r.winch {
		size, err := unix.IoctlGetWinsize(int(r.keyboard.Fd()), unix.TIOCGWINSZ)
		if err == nil {
			_ = unix.IoctlSetWinsize(int(r.ptmx.Fd()), unix.TIOCSWINSZ, size) // a size is not worth an error
		}
	}
	return nil
}
