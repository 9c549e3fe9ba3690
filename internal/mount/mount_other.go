//go:build !linux

package mount

import (
	"context"
	"os"
)

// View is not to be had on this platform.
func View(Tree, bool, func(root *os.Root) error) error { return ErrUnsupported }

// Attach is not to be had on this platform.
func Attach(Tree, string) error { return ErrUnsupported }

// Detach is not to be had on this platform.
func Detach(string, bool) error { return ErrUnsupported }

// Exec is not to be had on this platform.
func Exec(context.Context, Tree, ExecSpec) (int, error) { return 0, ErrUnsupported }

// ChildMain does nothing on this platform.
func ChildMain() {}

// ConfinementGaps is not asked where nothing runs.
func ConfinementGaps() []string { return nil }
