package mount

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"snapbe/internal/command"
)

// A confined command's process is this program once more, in a user namespace
// that has the host's numbers and none of its rights: a capability in it counts
// for what belongs to it, and the file systems, the network and the kernel do
// not. It has a mount namespace of its own too. PID 1 stays outside, and cannot
// be traced from inside: so nothing that it has is within reach by /proc/1, and
// what the command's process has, it gives up before it becomes the command.
// That PID 1's root directory is another one tells ischroot(1) where it is.

// confineName is argv[0] of a process that becomes a confined command.
const confineName = "snapbe: confined command"

// Descriptors of that process beside its standard files: its orders, and where it
// tells what went wrong.
const (
	fdCommand = 3 + iota
	fdFailed
)

// confined is what that process is told.
type confined struct {
	Path, Dir string
	Argv, Env []string
}

// failure is what it tells: that it could not be confined, or why the command
// cannot be run.
type failure struct {
	Confine string
	Run     syscall.Errno
}

// startConfined starts the command; an error that is an errno is of execve(2).
func (p *pid1) startConfined(path, dir string) error {
	f, err := p.confine(confined{Path: path, Dir: dir, Argv: p.Argv, Env: p.Env})
	if err != nil {
		f.Confine = err.Error()
	}
	switch {
	case f.Confine != "":
		return errors.New("confine the command: " + f.Confine)
	case f.Run != 0:
		return f.Run
	}
	return nil
}

// confine starts the process, and lets it go on once this one cannot be used by it.
func (p *pid1) confine(c confined) (f failure, err error) {
	if err := hideMemory(); err != nil {
		return f, err
	}
	orders, ordersIn, err := os.Pipe()
	if err != nil {
		return f, err
	}
	defer ordersIn.Close()
	failed, failedIn, err := os.Pipe()
	if err != nil {
		return f, errors.Join(err, orders.Close())
	}
	defer failed.Close()
	err = p.startNamespace(orders, failedIn)
	orders.Close()
	failedIn.Close()
	if err != nil {
		return f, err
	}
	if err := dropAll(); err != nil {
		return f, err
	}
	if err := gob.NewEncoder(ordersIn).Encode(c); err != nil {
		return f, err
	}
	if err = gob.NewDecoder(failed).Decode(&f); errors.Is(err, io.EOF) {
		err = nil // it has become the command
	}
	return f, err
}

// startNamespace starts the process in new namespaces and a new session.
func (p *pid1) startNamespace(orders, failed *os.File) error {
	all := []syscall.SysProcIDMap{{Size: math.MaxUint32}} // the one that is left out is nobody's
	proc, err := command.Start("/proc/self/exe", []string{confineName}, &os.ProcAttr{
		Env: childEnv, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, orders, failed},
		Sys: &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
			UidMappings: all, GidMappings: all, GidMappingsEnableSetgroups: true,
			Setsid: true, Setctty: isTerminal(os.Stdin), // the relay's
		},
	})
	if errors.Is(err, unix.ENOSPC) {
		err = errors.New("the limit is reached (sysctl user.max_user_namespaces)")
	}
	if err != nil {
		return fmt.Errorf("new user namespace: %w", err)
	}
	p.command = proc.Pid
	return proc.Release()
}

// hideMemory keeps all other processes without the capability to trace from
// what this one has: its memory, its files, its program.
func hideMemory() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid to be traced: %w", err)
	}
	return nil
}

// confinedMain becomes the command; it returns an exit code where it cannot.
func confinedMain() int {
	runtime.LockOSThread() // what is given up is a thread's
	unix.CloseOnExec(fdCommand)
	unix.CloseOnExec(fdFailed)
	var c confined
	if gob.NewDecoder(os.NewFile(fdCommand, "command")).Decode(&c) != nil {
		return 1 // PID 1 is gone
	}
	var f failure
	if err := giveUp(); err != nil {
		f.Confine = err.Error()
	} else if err := os.Chdir(c.Dir); err != nil {
		f.Confine = err.Error()
	} else {
		errors.As(unix.Exec(c.Path, c.Argv, c.Env), &f.Run)
	}
	if gob.NewEncoder(os.NewFile(fdFailed, "failed")).Encode(f) != nil {
		return 2
	}
	return 1
}
