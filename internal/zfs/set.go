package zfs

import (
	"context"
	"maps"
	"regexp"
	"slices"
)

// Set is the promise of ZFS.
func (t *Tools) Set(ctx context.Context, changes []Change) error {
	for _, c := range changes {
		props := append(slices.Collect(maps.Keys(c.Set)), c.Inherit...)
		if err := check("set", []string{c.Dataset}, props...); err != nil {
			return err
		}
	}
	// One dataset's user properties go in one ioctl, which is all or none
	// without a channel program, and lets itself be delegated.
	plain := len(changes) == 1 && len(changes[0].Inherit) == 0
	if len(changes) > 0 && Atomic(changes) && !plain {
		var ops []string
		for _, c := range changes {
			ops = append(ops, setOps(c)...)
		}
		return t.program(ctx, "set", changes[0].Dataset, ops)
	}
	for _, c := range changes {
		if err := t.set(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// remounting are the properties that zfs acts on at once: without -u it mounts,
// unmounts or shares.
var remounting = []string{"mountpoint", "sharenfs", "sharesmb"}

// noUpdate is what "zfs set -u" says before 2.2.
var noUpdate = regexp.MustCompile(`(?m)^invalid option 'u'$`)

// set changes one dataset. OpenZFS 2.1 has no "zfs set -u": there, changing
// the mountpoint of a filesystem that is mounted moves the mount.
func (t *Tools) set(ctx context.Context, c Change) error {
	if len(c.Set) > 0 {
		var values []string
		quiet := false
		for _, prop := range slices.Sorted(maps.Keys(c.Set)) {
			values = append(values, prop+"="+c.Set[prop])
			quiet = quiet || slices.Contains(remounting, prop)
		}
		values = append(values, c.Dataset)
		argv := []string{"zfs", "set"}
		if quiet {
			argv = append(argv, "-u")
		}
		_, err := t.run(ctx, "set", c.Dataset, append(argv, values...)...)
		if quiet && complained(err, noUpdate) {
			_, err = t.run(ctx, "set", c.Dataset, append([]string{"zfs", "set"}, values...)...)
		}
		if err != nil {
			return err
		}
	}
	for _, prop := range c.Inherit {
		if _, err := t.run(ctx, "set", c.Dataset, "zfs", "inherit", "--", prop, c.Dataset); err != nil {
			return err
		}
	}
	return nil
}
