package be

import (
	"context"
	"slices"

	"snapbe/internal/journal"
	"snapbe/internal/mount"
	"snapbe/internal/treecopy"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// readZonesToChange is readToChange with the zones, for what is about the boot
// environment that runs.
func (m *Manager) readZonesToChange(ctx context.Context, what string) (*state, BE, error) {
	st, err := m.readAllToChange(ctx, what)
	if err != nil {
		return nil, BE{}, err
	}
	b, ok := st.running()
	if !ok || b.UUID == "" {
		return nil, BE{}, refuse(Invalid, "this is for the host that runs: leave -r out", "%s: no boot environment of %s is running", what, st.root)
	}
	return st, b, nil
}

// refuseUp refuses a machine whose files are in use.
func (m *Manager) refuseUp(ctx context.Context, name, what string) error {
	machines, err := m.sys.Zones.List(ctx)
	if err != nil {
		return &Error{Code: Failed, Text: what, Err: err}
	}
	for _, x := range machines {
		if x.Name == name && x.State.Up() {
			return refuse(Busy, "machinectl poweroff "+name, "%s: it is %s", what, x.State)
		}
	}
	return nil
}

// refuseOther refuses a zone at whose directory something else shows than one of
// its roots.
func (m *Manager) refuseOther(ctx context.Context, st *state, b BE, z zones.Zone, what string) error {
	dir := m.sys.Zones.RootDir(z.Name)
	at := lastAt(st.mounts, dir)
	if at.Dataset == "" {
		return m.withZoneDir(ctx, b, dir[1:], true, func(t *treecopy.Tree) error {
			names, err := t.Names(dir[1:])
			if absent(err) || err == nil && len(names) == 0 {
				return nil
			} else if err != nil {
				return err
			}
			return refuse(Failed, "move away what is in it, such as the machine as it was before it became a zone", "%s: %s is not empty", what, dir)
		})
	}
	if slices.ContainsFunc(z.BEs, func(b zones.BE) bool { return b.Dataset == at.Dataset }) {
		return nil
	}
	return refuse(Busy, "umount "+dir, "%s: %s is mounted at %s", what, at.Dataset, dir)
}

// showStep puts a zone's root in place where the zone boots, in that of another one
// of its roots, which is "" where none was. What is not in place yet when an
// operation is ended early at boot, is put there by ZoneMount.
func (m *Manager) showStep(op *operation, zone, root, old string, recovering bool) journal.Step {
	put := func(from, to string) func(context.Context) error {
		return func(ctx context.Context) error {
			return m.exchange(ctx, op, zone, from, to, recovering)
		}
	}
	return journal.Step{Name: "mount " + root + " at " + m.sys.Zones.RootDir(zone), Do: put(old, root), Undo: put(root, old)}
}

// exchange mounts a zone's root in the place of another one.
func (m *Manager) exchange(ctx context.Context, op *operation, zone, from, to string, recovering bool) error {
	st, err := m.readAll(ctx)
	if err != nil {
		return err
	}
	b, ok := st.running()
	if !ok {
		return nil
	}
	dir := m.sys.Zones.RootDir(zone)
	at := lastAt(st.mounts, dir).Dataset
	if at != "" && at == from {
		if err := m.sys.Host.Detach(dir, false); err != nil {
			return err
		}
		if st.mounts, err = m.sys.Host.Mounts(); err != nil {
			return err
		}
	}
	if to != "" && at != to {
		if err := m.mountOne(ctx, op, st, b, zone, to, recovering); err != nil {
			return err
		}
	}
	return m.withholdZones(ctx, st, to)
}

func (m *Manager) mountOne(ctx context.Context, op *operation, st *state, b BE, zone, root string, recovering bool) error {
	if recovering {
		if there, err := m.reachable(ctx, st, b, m.sys.Zones.RootDir(zone)); err != nil || !there {
			return err
		}
	}
	for _, z := range st.zones {
		for _, x := range z.BEs {
			if x.Dataset == root {
				m.placeAll(ctx, op, st, []zones.BE{x})
				return m.mountZones(ctx, st, b, []zones.BE{x})
			}
		}
	}
	return nil
}

// reachable tells whether all that is to be mounted above a directory is: early at
// boot the running boot environment's own datasets, and what its fstab has, may not
// be yet.
func (m *Manager) reachable(ctx context.Context, st *state, b BE, dir string) (bool, error) {
	t, err := m.tree(ctx, BE{Dataset: b.Dataset})
	if err != nil || slices.ContainsFunc(t, func(e mount.Entry) bool {
		return e.Dir != "." && within(dir[1:], e.Dir) && lastAt(st.mounts, "/"+e.Dir).Dataset != e.Dataset
	}) {
		return false, err
	}
	there := true
	err = m.withZoneDir(ctx, b, "etc", true, func(root *treecopy.Tree) error {
		told, err := mountPoints(root)
		there = !slices.ContainsFunc(told, func(at string) bool { return at != "/" && within(dir, at) && lastAt(st.mounts, at).Dataset == "" })
		return err
	})
	return there, err
}

// newDataset is a filesystem to be made.
type newDataset struct {
	name  string
	props zfs.Props
}

// bare are the properties of a dataset that holds others.
func bare() zfs.Props { return zfs.Props{"canmount": "off", "mountpoint": "none"} }

// makeStep makes datasets, each before what lies below it, with the operation's
// mark.
func (m *Manager) makeStep(id string, of []newDataset) journal.Step {
	last := of[len(of)-1].name
	return journal.Step{
		Name: "make the dataset " + last,
		Do: func(ctx context.Context) error {
			for _, d := range of {
				d.props[propOp] = id
				if err := m.sys.ZFS.Create(ctx, d.name, d.props); err != nil {
					return err
				}
			}
			return nil
		},
		Undo: func(ctx context.Context) error {
			for _, d := range slices.Backward(of) {
				if err := m.unmake(ctx, d.name, id); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// unmake destroys a dataset that the operation made. Snapshots that another tool
// has made of it meanwhile, as of everything, go along.
func (m *Manager) unmake(ctx context.Context, name, id string) error {
	d, ok, err := m.byDataset(ctx, name)
	if err != nil || !ok {
		return err
	}
	if d.Local(propOp) == id {
		snaps, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{name}, Depth: 1, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{"type"}})
		if err != nil {
			return err
		}
		var own []string
		for _, s := range snaps {
			if parent(s.Name) == name {
				own = append(own, s.Name)
			}
		}
		if err := m.sys.ZFS.Destroy(ctx, zfs.Removal{Datasets: own}); err != nil {
			return err
		}
	}
	return m.destroyMade(ctx, name, id)
}

// zoneDatasets are those to make for a zone, without its root; the container too
// where it is new.
func zoneDatasets(container, zone string, newContainer bool) []newDataset {
	path := container + "/" + zone
	of := []newDataset{{path, bare()}, {path + "/ROOT", bare()}}
	if newContainer {
		of = append([]newDataset{{container, bare()}}, of...)
	}
	return of
}

// zoneBE reads the marks of a zone's root; ok is false where it is not there.
func (m *Manager) zoneBE(ctx context.Context, dataset string) (d zfs.Dataset, ok bool, err error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{dataset}, Props: []string{propOp, zones.PropParent, zones.PropActive}})
	if zfs.Is(err, zfs.NotFound) {
		return d, false, nil
	} else if err != nil {
		return d, false, err
	}
	return ds[0], true, nil
}

// keptZone tells whether a zone's root is whole, and the active one of a boot
// environment.
func (m *Manager) keptZone(ctx context.Context, dataset, uuid string) (bool, error) {
	d, ok, err := m.zoneBE(ctx, dataset)
	return ok && d.Local(propOp) == "" && d.Local(zones.PropParent) == uuid && d.Local(zones.PropActive) == "on", err
}
