// Package command is the process boundary: it alone starts the programs that
// snapbe needs. Programs run with LC_ALL=C, so that what they print can be
// parsed, and an error keeps the argument list and what was said on stderr.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// Cmd is one program to run.
type Cmd struct {
	// Argv is the program and its arguments; no shell is involved.
	Argv []string
	// Stdin is given to the program; nil is an empty input.
	Stdin io.Reader
	// Env holds further NAME=value pairs.
	Env []string
}

// Runner starts programs. The real one is Exec; tests put their own in its
// place.
type Runner interface {
	// Run waits for the program and returns what it wrote to stdout. A
	// program that cannot be started, or that ends with another code than
	// 0, gives an *Error.
	Run(ctx context.Context, c Cmd) ([]byte, error)
}

// Error tells of a program that could not be started or that failed.
type Error struct {
	Argv   []string
	Stderr string
	// Code is the exit code; -1 where the program did not start or was
	// ended by a signal.
	Code int
	Err  error
}

// Error leaves out most of the arguments, which can be hundreds; they are in
// Argv.
func (e *Error) Error() string {
	said := strings.TrimSpace(e.Stderr)
	if said == "" {
		said = e.Err.Error()
	}
	return fmt.Sprintf("%s: %s", strings.Join(e.Argv[:min(2, len(e.Argv))], " "), said)
}

func (e *Error) Unwrap() error { return e.Err }

// ErrNotInstalled is the error of a program that is not there.
var ErrNotInstalled = errors.New("is not installed")

// Exec runs programs of the host.
type Exec struct{}

// Run is the Runner's promise. A context that ends sends the program SIGTERM
// first, since the ZFS tools must not be cut in the middle of a change.
func (Exec) Run(ctx context.Context, c Cmd) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), c.Env...)
	cmd.Stdin = c.Stdin
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		return stdout.Bytes(), nil
	}
	code := -1
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if errors.Is(err, exec.ErrNotFound) {
		err = fmt.Errorf("%s %w", c.Argv[0], ErrNotInstalled)
	}
	return stdout.Bytes(), &Error{Argv: c.Argv, Stderr: stderr.String(), Code: code, Err: err}
}
