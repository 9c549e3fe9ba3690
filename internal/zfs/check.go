package zfs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Check finds what is wrong with a removal whatever the pool holds.
func (r Removal) Check() error {
	var names []string
	names = append(append(names, r.Promote...), r.Datasets...)
	for _, c := range r.Then {
		names = append(names, c.Dataset)
		if !c.UserOnly() {
			return &Error{Verb: "destroy", Name: c.Dataset, Err: errors.New("only user properties change together with it")}
		}
	}
	return onePool("destroy", names)
}

// CheckRollback finds what is wrong with a rollback whatever the pool holds.
func CheckRollback(snapshots, destroy []string) error {
	names := slices.Concat(snapshots, destroy)
	for _, name := range names {
		if !strings.Contains(name, "@") {
			return &Error{Verb: "rollback", Name: name, Err: errors.New("not a snapshot")}
		}
	}
	return onePool("rollback", names)
}

func onePool(verb string, names []string) error {
	for _, name := range names {
		if PoolOf(name) != PoolOf(names[0]) {
			return &Error{Verb: verb, Name: name, Err: fmt.Errorf("lies in another pool than %q", names[0])}
		}
	}
	return nil
}

// Atomic tells whether Set makes the changes all or none: they touch user
// properties only and lie in one pool.
func Atomic(changes []Change) bool {
	return !slices.ContainsFunc(changes, func(c Change) bool {
		return !c.UserOnly() || PoolOf(c.Dataset) != PoolOf(changes[0].Dataset)
	})
}

// UserOnly tells whether a change touches user properties only, which are
// those with a colon in their names (zfsprops(7)).
func (c Change) UserOnly() bool {
	for prop := range c.Set {
		if !strings.Contains(prop, ":") {
			return false
		}
	}
	return !slices.ContainsFunc(c.Inherit, func(p string) bool { return !strings.Contains(p, ":") })
}
