package be

import (
	"errors"
	"fmt"
)

// Code sorts errors by what a script would do about them; cmd maps them to
// exit codes.
type Code int

// The codes.
const (
	Failed Code = iota
	NotFound
	Exists
	Busy
	Pending
	Invalid
	Denied
)

// Error is what a user is told: what could not be done, why, and the way out.
type Error struct {
	Code Code
	// Text completes "cannot …": `activate "be-2": it has no kernel`.
	Text string
	// Hint is a command or an action that helps; "" where none is known.
	Hint string
	Err  error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Text + ": " + e.Err.Error()
	}
	return e.Text
}

func (e *Error) Unwrap() error { return e.Err }

// ErrDeclined is returned where the user did not confirm the plan.
var ErrDeclined = errors.New("declined; nothing was changed")

// refuse makes an Error.
func refuse(code Code, hint, format string, args ...any) *Error {
	return &Error{Code: code, Hint: hint, Text: fmt.Sprintf(format, args...)}
}
