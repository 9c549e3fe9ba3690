//go:build !linux

package health

import (
	"context"
	"errors"
)

// check is not to be had on this platform.
func (c Checks) check(_ context.Context, r *Result) { r.Err = errors.ErrUnsupported }
