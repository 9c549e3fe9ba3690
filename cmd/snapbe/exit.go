package main

import (
	"errors"
	"fmt"

	"snapbe/be"
	"snapbe/internal/command"
)

// The exit codes, as snapbe(8) documents them. exec alone gives its command's
// own code, and the last three for what env(1) and the shells use them for.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNotFound = 3
	exitExists   = 4
	exitBusy     = 5
	exitPending  = 6

	// exitExecFailed: snapbe failed before the command could run.
	exitExecFailed = 125
)

// exitCode is the one place where errors become exit codes.
func exitCode(err error) int {
	var (
		own       *be.Error
		bad       *usage
		inBE      *execError
		commanded commandCode
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &commanded):
		return int(commanded)
	case errors.As(err, &inBE):
		return exitExecFailed
	case errors.As(err, &bad):
		return exitUsage
	case !errors.As(err, &own):
		return exitFailed
	}
	switch own.Code {
	case be.NotFound:
		return exitNotFound
	case be.Exists:
		return exitExists
	case be.Busy:
		return exitBusy
	case be.Pending:
		return exitPending
	case be.Invalid:
		return exitUsage
	}
	return exitFailed
}

// describe is what the user is told of an error; nil where it was told or
// needs no words.
func describe(err error) error {
	var (
		own       *be.Error
		commanded commandCode
	)
	switch {
	case err == nil, errors.As(err, &commanded), errors.Is(err, errTold):
		return nil
	case errors.As(err, &own):
		return fmt.Errorf("cannot %w", err)
	}
	return err
}

// hintOf is the way out that an error knows, or "".
func hintOf(err error) string {
	if errors.Is(err, command.ErrNotInstalled) {
		return "apt-get install zfsutils-linux zfs-initramfs grub2-common grub-pc-bin, whichever is missing"
	}
	if own, ok := errors.AsType[*be.Error](err); ok {
		return own.Hint
	}
	if bad, ok := errors.AsType[*usage](err); ok {
		return bad.hint
	}
	return ""
}

// errTold ends a command that has already said what is wrong.
var errTold = errors.New("told already")

// usage is a mistake in how snapbe was called.
type usage struct{ text, hint string }

func (u *usage) Error() string { return u.text }

// execError is snapbe's own failure where a command was to run.
type execError struct{ err error }

func (e *execError) Error() string { return e.err.Error() }

func (e *execError) Unwrap() error { return e.err }

// commandCode is the exit code of a command that ran in a BE.
type commandCode int

func (c commandCode) Error() string { return fmt.Sprintf("the command ended with %d", int(c)) }

// reading names what could not be read, for errors that do not say so.
func reading(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*be.Error](err); ok {
		return err
	}
	return &be.Error{Text: what, Err: err}
}
