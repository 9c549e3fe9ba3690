package zfsfake

import (
	"context"
	"strings"

	"snapbe/internal/zfs"
)

// Set is the promise of zfs.ZFS.
func (f *Fake) Set(ctx context.Context, changes []zfs.Change) error {
	if len(changes) == 0 {
		return nil
	}
	if zfs.Atomic(changes) {
		return f.change(ctx, "set", func(t *tx) error {
			for _, c := range changes {
				if err := t.set("set", c); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, c := range changes {
		if err := f.change(ctx, "set", func(t *tx) error { return t.set("set", c) }); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) set(verb string, c zfs.Change) error {
	d := t.Datasets[c.Dataset]
	if d == nil {
		return notFound(verb, c.Dataset)
	}
	if d.Local == nil {
		d.Local = map[string]string{}
	}
	for prop, value := range c.Set {
		if err := checkSet(d.Kind, prop, value); err != nil {
			return refuse(verb, c.Dataset, zfs.Unknown, "%w", err)
		}
		d.Local[prop] = value
	}
	for _, prop := range c.Inherit {
		if n, ok := natives[prop]; !isUser(prop) && (!ok || !n.inherited) {
			return refuse(verb, c.Dataset, zfs.Unknown, "%q cannot be inherited", prop)
		}
		delete(d.Local, prop)
		delete(d.Received, prop)
	}
	return nil
}

// Promote is the promise of zfs.ZFS.
func (f *Fake) Promote(ctx context.Context, name string) error {
	return f.change(ctx, "promote", func(t *tx) error { return t.promote("promote", name) })
}

func (t *tx) promote(verb, name string) error {
	d := t.Datasets[name]
	switch {
	case d == nil:
		return notFound(verb, name)
	case d.Origin == "":
		return refuse(verb, name, zfs.Unknown, "not a cloned filesystem")
	}
	origin := d.Origin
	former := parent(origin)
	var moved []string
	for _, snap := range t.snapshots(former) {
		if t.Datasets[snap].TXG <= t.Datasets[origin].TXG {
			moved = append(moved, snap)
		}
	}
	to := func(snap string) string { return name + strings.TrimPrefix(snap, former) }
	for _, snap := range moved {
		if t.Datasets[to(snap)] != nil {
			return refuse(verb, name, zfs.Exists, "snapshot %q is there already", to(snap))
		}
	}
	p := t.Datasets[former]
	d.Origin, p.Origin = p.Origin, to(origin)
	p.Numbers, d.Numbers = forget(p.Numbers), forget(d.Numbers)
	for _, snap := range moved {
		t.move(snap, to(snap))
	}
	return nil
}

// forget drops a space that a promotion shifts.
func forget(numbers map[string]int64) map[string]int64 {
	delete(numbers, "used")
	delete(numbers, "usedbydataset")
	return numbers
}

// move renames one dataset, and the origins that name it.
func (t *tx) move(from, to string) {
	t.Datasets[to] = t.Datasets[from]
	delete(t.Datasets, from)
	for _, d := range t.Datasets {
		if d.Origin == from {
			d.Origin = to
		}
	}
	for _, p := range t.Pools {
		if p.Props["bootfs"] == from {
			p.Props["bootfs"] = to
		}
	}
}

// Rename is the promise of zfs.ZFS.
func (f *Fake) Rename(ctx context.Context, from, to string) error {
	return f.change(ctx, "rename", func(t *tx) error {
		if t.Datasets[from] == nil {
			return notFound("rename", from)
		}
		if strings.Contains(from, "@") {
			return t.renameSnapshot(from, to)
		}
		switch {
		case t.Pools[zfs.PoolOf(to)] == nil:
			return refuse("rename", from, zfs.NotFound, "no such pool %q", zfs.PoolOf(to))
		case zfs.PoolOf(from) != zfs.PoolOf(to), strings.HasPrefix(to, from+"/"), parent(from) == "":
			return refuse("rename", from, zfs.Unknown, "cannot become %q", to)
		}
		if err := t.free("rename", to); err != nil {
			return err
		}
		for _, name := range append(t.below(from), from) {
			t.move(name, to+strings.TrimPrefix(name, from))
		}
		return nil
	})
}

func (t *tx) renameSnapshot(from, to string) error {
	fs, snap, _ := strings.Cut(to, "@")
	switch {
	case fs != parent(from) || !component.MatchString(snap):
		return refuse("rename", from, zfs.Unknown, "cannot become %q", to)
	case t.Datasets[to] != nil:
		return refuse("rename", from, zfs.Exists, "%q is there already", to)
	}
	t.move(from, to)
	return nil
}
