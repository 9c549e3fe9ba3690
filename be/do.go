package be

import (
	"context"
	"errors"
)

var errTODO = errors.New("not written yet")

// operation is filled in by its own file.
type operation struct{}

// Do carries a request out: it checks the caller's rights, takes the lock,
// refuses while an interrupted operation is pending, plans, and runs the
// steps.
func (m *Manager) Do(ctx context.Context, r Request, o Options) (Result, error) {
	return Result{}, errTODO
}

// List reads the boot environments, oldest first, in a number of processes
// that does not grow with them.
func (m *Manager) List(ctx context.Context, o ListOptions) ([]BE, error) { return nil, errTODO }

// Status reads the state of the host.
func (m *Manager) Status(ctx context.Context) (Status, error) { return Status{}, errTODO }

// Check verifies that every file which the boot menu names is there.
func (m *Manager) Check(ctx context.Context) ([]Problem, error) { return nil, errTODO }

// Exec runs a command in a BE and returns its exit code.
func (m *Manager) Exec(ctx context.Context, x Exec) (int, error) { return 0, errTODO }
