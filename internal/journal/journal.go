// Package journal makes an operation end exactly before or exactly after. What
// is going to be done is recorded before the first step; an operation that
// was interrupted is rebuilt from its record and, by what it finds to have
// happened, undone or brought to its end. The package knows steps and
// records, and nothing of what they do.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// MaxRecord is the longest record, in bytes. ZFS takes 8 KiB in a user
// property; the bound keeps far from what else lies beside it in the ZAP.
const MaxRecord = 1024

// Record is an operation on its way.
type Record struct {
	// ID is the operation's own; what it makes is marked with it.
	ID string `json:"id"`
	// Kind says how to rebuild the steps from Args.
	Kind string          `json:"op"`
	Args json.RawMessage `json:"args"`
	// Started is when, in seconds since 1970.
	Started int64 `json:"at"`
}

// Store keeps at most one record, durably.
type Store interface {
	// Load returns the record; ok is false where there is none.
	Load(ctx context.Context) (r Record, ok bool, err error)
	Save(ctx context.Context, r Record) error
	Clear(ctx context.Context) error
}

// Step is one step of an operation. Do and Undo can run again after they were
// cut off anywhere; Undo trusts nothing but the operation's own mark to tell
// what to take away.
type Step struct {
	Name string
	Do   func(context.Context) error
	// Undo takes back what Do did, wholly or in part; nil where there is
	// nothing to take back.
	Undo func(context.Context) error
	// Final is a step that cannot be taken back: once it began, the
	// operation can only go forward.
	Final bool
}

// Operation is a record with its steps.
type Operation struct {
	Record Record
	Steps  []Step
	// Committed tells from the state of the world whether an interrupted
	// run got so far that it must be brought to its end, and from which
	// step; all later steps run again. Otherwise everything is undone.
	Committed func(context.Context) (from int, ok bool, err error)
}

// PendingError tells that an operation could neither be ended nor undone; its
// record stays.
type PendingError struct {
	Kind string
	// Err is why it stopped, Undo why it could not be undone (nil where
	// that was not possible any more).
	Err, Undo error
}

func (e *PendingError) Error() string {
	if e.Undo != nil {
		return fmt.Sprintf("%v (and undoing it: %v)", e.Err, e.Undo)
	}
	return e.Err.Error()
}

func (e *PendingError) Unwrap() error { return e.Err }

// Run records the operation, does its steps and clears the record. A step
// that fails makes everything undone, as far as that is possible. Each step
// that was done is told to done, with the time that it took.
func Run(ctx context.Context, s Store, op Operation, done func(Step, time.Duration)) error {
	if err := op.Record.check(); err != nil {
		return err
	}
	if err := s.Save(ctx, op.Record); err != nil {
		return fmt.Errorf("record the operation: %w", err)
	}
	for i, step := range op.Steps {
		start := time.Now()
		err := ctx.Err()
		if err == nil {
			err = step.Do(ctx)
		}
		if err != nil {
			return giveUp(ctx, s, op, i, err)
		}
		if done != nil {
			done(step, time.Since(start))
		}
	}
	return s.Clear(ctx)
}

// giveUp undoes the steps from i down. It must not be cut short by what cut
// the operation short, so it has a context of its own.
func giveUp(ctx context.Context, s Store, op Operation, i int, cause error) error {
	ctx = context.WithoutCancel(ctx)
	for j := range i + 1 {
		if op.Steps[j].Final {
			return &PendingError{Kind: op.Record.Kind, Err: cause}
		}
	}
	if err := undo(ctx, s, op, i, nil); err != nil {
		return &PendingError{Kind: op.Record.Kind, Err: cause, Undo: err}
	}
	return cause
}

func undo(ctx context.Context, s Store, op Operation, from int, done func(Step, time.Duration)) error {
	for i := from; i >= 0; i-- {
		step := op.Steps[i]
		if step.Undo == nil {
			continue
		}
		start := time.Now()
		if err := step.Undo(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.Name, err)
		}
		if done != nil {
			done(step, time.Since(start))
		}
	}
	return s.Clear(ctx)
}

// Outcome says how an interrupted operation ended.
type Outcome string

// The outcomes.
const (
	Undone Outcome = "undone"
	Ended  Outcome = "brought to its end"
)

// Recover ends an operation that was interrupted, one way or the other. It
// can itself be interrupted and run again. Each step that was done or undone
// is told to done.
func Recover(ctx context.Context, s Store, op Operation, done func(Step, time.Duration)) (Outcome, error) {
	from, ok, err := op.Committed(ctx)
	if err != nil {
		return "", err
	}
	if !ok {
		return Undone, undo(ctx, s, op, len(op.Steps)-1, done)
	}
	for _, step := range op.Steps[from:] {
		start := time.Now()
		if err := step.Do(ctx); err != nil {
			return "", fmt.Errorf("%s: %w", step.Name, err)
		}
		if done != nil {
			done(step, time.Since(start))
		}
	}
	return Ended, s.Clear(ctx)
}

// Encode gives the record's text, as a Store keeps it.
func (r Record) Encode() (string, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	if len(b) > MaxRecord {
		return "", fmt.Errorf("record of %d bytes is longer than %d", len(b), MaxRecord)
	}
	return string(b), nil
}

func (r Record) check() error { _, err := r.Encode(); return err }

// Decode reads a record's text.
func Decode(text string) (Record, error) {
	var r Record
	if len(text) > MaxRecord {
		return r, fmt.Errorf("record of %d bytes is longer than %d", len(text), MaxRecord)
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, fmt.Errorf("record %q: %w", text, err)
	}
	if r.ID == "" || r.Kind == "" {
		return r, errors.New("record without id or kind")
	}
	return r, nil
}
