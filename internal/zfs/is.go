package zfs

import "errors"

// Is tells whether an error is ZFS's refusal for that reason.
func Is(err error, r Reason) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Reason == r
}
