package synclist

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"snapbe/internal/treecopy"
)

// patiently looks again at what was another thing, or gone, a moment after it
// was looked at: a source that works is never at rest.
func (w *walk) patiently(ctx context.Context, name string, f func() error) error {
	for n := 1; ; n++ {
		err := f()
		if !passing(err) || ctx.Err() != nil {
			return err
		}
		if n == looks {
			w.note(Item{Path: "/" + name, Action: Refused, Why: fmt.Sprintf("it changes whenever it is looked at: %v", err)})
			return nil
		}
	}
}

// looks is how often a name is looked at.
const looks = 4

// passing tells of errors that come of a change since the first look.
func passing(err error) bool {
	_, link := errors.AsType[*treecopy.LinkError](err)
	_, kind := errors.AsType[*treecopy.KindError](err)
	return link || kind || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errShrunk) ||
		errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ESTALE) || errors.Is(err, syscall.ELOOP)
}
