package mount

import (
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminalMode says how the command stands to the terminal.
type terminalMode int

const (
	// noTerminal: there is none, all signals come from other processes.
	noTerminal terminalMode = iota
	// sharedTerminal: the command is in the caller's process group, since
	// both may be part of a pipeline; the terminal's signals reach both.
	sharedTerminal
	// ownTerminal: the command has a process group of its own in the
	// foreground, so that the keyboard is the command's alone.
	ownTerminal
	// relayedTerminal: the command is in a session without the caller's
	// terminal. What comes from the keyboard is either copied to a terminal
	// that the command has of its own, or a signal that the caller passes on.
	relayedTerminal
)

// forwarded is the signals that are the command's business.
var forwarded = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2,
}

// passes is whether a signal that came here has to be sent on.
func (m terminalMode) passes(sig syscall.Signal) bool {
	return m != sharedTerminal || !isKey(sig)
}

// isKey is whether the keyboard sends a signal, which then is for all of the
// foreground's processes.
func isKey(sig syscall.Signal) bool {
	return slices.Contains([]syscall.Signal{unix.SIGINT, unix.SIGQUIT}, sig)
}

// terminal is the controlling terminal, if there is one.
type terminal struct {
	mode terminalMode
	// file is open only for ownTerminal.
	file *os.File
}

func openTerminal(stdin, stdout *os.File) *terminal {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &terminal{mode: noTerminal}
	}
	t := &terminal{mode: ownTerminal, file: os.NewFile(uintptr(fd), "/dev/tty")}
	if !t.isOurs() || !isTerminal(stdin) || !isTerminal(stdout) {
		t.close()
		return &terminal{mode: sharedTerminal}
	}
	return t
}

func (t *terminal) close() {
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
}

// isOurs is whether this process's group is the foreground one.
func (t *terminal) isOurs() bool {
	return t.file != nil && foreground(int(t.file.Fd())) == unix.Getpgrp()
}

// take makes this process's group the foreground one, where the command had
// the foreground.
func (t *terminal) take(had bool) {
	if had && t.file != nil {
		setForeground(int(t.file.Fd()), unix.Getpgrp())
	}
}

// foreground is the terminal's foreground process group, 0 where that is one
// of another pid namespace, or where there is no such terminal.
func foreground(fd int) int {
	pgrp, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil {
		return 0
	}
	return pgrp
}

// setForeground is tcsetpgrp(3). From the background it would be answered
// with SIGTTOU to the whole group, unless that is blocked; to ignore it would
// be handed down to every program that is started.
func setForeground(fd, pgrp int) {
	_ = ownThread(func() error { // a terminal that hung up has no foreground
		var block unix.Sigset_t
		block.Val[0] = 1 << (uint(unix.SIGTTOU) - 1)
		if err := unix.PthreadSigmask(unix.SIG_BLOCK, &block, nil); err != nil {
			return err
		}
		return unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, pgrp)
	})
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
