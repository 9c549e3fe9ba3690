package zfsfake

import (
	"context"
	"slices"
	"strings"

	"snapbe/internal/zfs"
)

// Destroy is the promise of zfs.ZFS.
func (f *Fake) Destroy(ctx context.Context, r zfs.Removal) error {
	if len(r.Promote)+len(r.Datasets)+len(r.Then) == 0 {
		return nil
	}
	return f.change(ctx, "destroy", func(t *tx) error {
		if err := r.Check(); err != nil {
			return err
		}
		for _, name := range r.Promote {
			if err := t.promote("destroy", name); err != nil {
				return err
			}
		}
		for _, name := range r.Datasets {
			if err := f.destroy(t, "destroy", name); err != nil {
				return err
			}
		}
		for _, c := range r.Then {
			if err := t.set("destroy", c); err != nil {
				return err
			}
		}
		return nil
	})
}

// destroy removes one dataset that nothing depends on any more.
func (f *Fake) destroy(t *tx, verb, name string) error {
	d := t.Datasets[name]
	switch {
	case d == nil:
		return notFound(verb, name)
	case parent(name) == "":
		return refuse(verb, name, zfs.Unknown, "is a pool")
	case d.Mounted || d.Holds > 0:
		return refuse(verb, name, zfs.Busy, "dataset is busy")
	}
	if dependents := append(t.below(name), t.clones(name)...); len(dependents) > 0 {
		return refuse(verb, name, zfs.Dependents, "%q depends on it", dependents[0])
	}
	delete(t.Datasets, name)
	for _, p := range t.Pools {
		if p.Props["bootfs"] == name {
			delete(p.Props, "bootfs")
		}
	}
	t.content = append(t.content, func() error { return f.removeDir(d.Dir) })
	return nil
}

// Rollback is the promise of zfs.ZFS.
func (f *Fake) Rollback(ctx context.Context, snapshots, destroy []string) error {
	if len(snapshots) == 0 {
		return nil
	}
	return f.change(ctx, "rollback", func(t *tx) error {
		if err := zfs.CheckRollback(snapshots, destroy); err != nil {
			return err
		}
		for _, name := range destroy {
			if !strings.Contains(name, "@") {
				return refuse("rollback", name, zfs.Unknown, "not a snapshot")
			}
			if err := f.destroy(t, "rollback", name); err != nil {
				return err
			}
		}
		for _, name := range snapshots {
			if err := f.rollback(t, name); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *Fake) rollback(t *tx, name string) error {
	snap := t.Datasets[name]
	if snap == nil || snap.Kind != zfs.Snapshot {
		return notFound("rollback", name)
	}
	own := t.snapshots(parent(name))
	if last := own[len(own)-1]; last != name {
		i := slices.Index(own, name)
		return refuse("rollback", name, zfs.Dependents, "%q is newer", own[i+1])
	}
	fs := t.Datasets[parent(name)]
	if fs.Mounted {
		return refuse("rollback", name, zfs.Busy, "dataset is busy")
	}
	delete(fs.Numbers, "written")
	from, to := snap.Dir, fs.Dir
	t.content = append(t.content, func() error { return f.restoreDir(from, to) })
	return nil
}
