package sharedvar

import (
	"context"
	"strings"

	"snapbe/internal/treecopy"
)

// RestoreAll puts all that differs in now back to what it is in then, name by
// name; what is the same is not written. What keep says stays, though then has
// not got it. Nothing may work in now meanwhile: a directory comes back one file
// after the other. Run again after a cut, it does the rest. It returns the bytes
// written.
func RestoreAll(ctx context.Context, then, now *treecopy.Tree, keep func(name string) bool) (int64, error) {
	var changes []Change
	err := Diff(ctx, then, now, ".", func(c Change) error {
		changes = append(changes, c)
		return ctx.Err()
	})
	if err != nil {
		return 0, err
	}
	var written int64
	done := ""
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return written, err
		}
		if done != "" && strings.HasPrefix(c.Path, done+"/") {
			continue
		}
		if c.Kind == Added && keep(c.Path) {
			done = c.Path
			continue
		}
		n, err := putBack(ctx, then, now, c)
		written += n
		if err != nil {
			return written, err
		}
		if c.Kind == Removed || c.Kind == Added {
			done = c.Path // with all beneath it
		}
	}
	return written, nil
}

func putBack(ctx context.Context, then, now *treecopy.Tree, c Change) (int64, error) {
	if c.Is != treecopy.Dir || c.Kind == Added || c.Kind == Removed {
		return Restore(ctx, then, now, c.Path)
	}
	like, err := then.Lstat(c.Path)
	if err != nil {
		return 0, err
	}
	return 0, now.SetAttributes(c.Path, like)
}
