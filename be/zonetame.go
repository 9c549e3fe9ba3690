package be

import (
	"cmp"
	"context"
	"slices"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// tame is what a dataset that becomes a zone's root was like: local values, ""
// where a property was not set.
type tame struct {
	Parent     string `json:"parent,omitempty"`
	Active     string `json:"active,omitempty"`
	Mountpoint string `json:"mountpoint,omitempty"`
	Canmount   string `json:"canmount,omitempty"`
}

var tameProps = []string{"mountpoint", "canmount", propOp, zones.PropParent, zones.PropActive}

// tameOf reads a dataset with those below it.
func (m *Manager) tameOf(ctx context.Context, root string) (tame, []zfs.Dataset, error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{root}, Depth: -1, Kinds: []zfs.Kind{zfs.Filesystem}, Props: tameProps})
	if err != nil {
		return tame{}, nil, err
	}
	d := ds[0]
	return tame{d.Local(zones.PropParent), d.Local(zones.PropActive), d.Local("mountpoint"), d.Value("canmount")}, ds, nil
}

// tameStep marks a dataset that becomes a zone's root, and keeps it, and what lies
// below, from mounting by itself: at its mount point of / that would be over the
// host. What is changed below the root is found by its mark.
func (m *Manager) tameStep(root, id string, was tame) journal.Step {
	return journal.Step{
		Name: "keep " + root + " from mounting by itself",
		Do: func(ctx context.Context) error {
			_, ds, err := m.tameOf(ctx, root)
			if err != nil {
				return err
			}
			mark, change := marks(id, root), []zfs.Change{}
			for _, d := range ds[1:] {
				if d.Value("canmount") == "on" {
					mark = append(mark, marks(id, d.Name)...)
					change = append(change, zfs.Change{Dataset: d.Name, Set: zfs.Props{"canmount": "noauto"}})
				}
			}
			// The mount point last: until then nothing shows elsewhere.
			if was.Canmount != "noauto" {
				change = append(change, zfs.Change{Dataset: root, Set: zfs.Props{"canmount": "noauto"}})
			}
			if was.Mountpoint != "/" {
				change = append(change, zfs.Change{Dataset: root, Set: zfs.Props{"mountpoint": "/"}})
			}
			if err := m.sys.ZFS.Set(ctx, mark); err != nil {
				return err
			}
			return m.sys.ZFS.Set(ctx, change)
		},
		Undo: func(ctx context.Context) error { return m.untame(ctx, root, id, was) },
	}
}

// untame gives a dataset back what it had, where it bears the operation's mark.
func (m *Manager) untame(ctx context.Context, root, id string, was tame) error {
	_, ds, err := m.tameOf(ctx, root)
	if zfs.Is(err, zfs.NotFound) {
		return nil
	}
	if err != nil || ds[0].Local(propOp) != id {
		return err
	}
	var change []zfs.Change
	switch {
	case was.Mountpoint == "":
		change = append(change, zfs.Change{Dataset: root, Inherit: []string{"mountpoint"}})
	case was.Mountpoint != "/":
		change = append(change, zfs.Change{Dataset: root, Set: zfs.Props{"mountpoint": was.Mountpoint}})
	}
	if was.Canmount != "noauto" {
		change = append(change, zfs.Change{Dataset: root, Set: zfs.Props{"canmount": cmp.Or(was.Canmount, "on")}})
	}
	mine := slices.DeleteFunc(ds, func(d zfs.Dataset) bool { return d.Local(propOp) != id })
	var off []zfs.Change
	for _, d := range mine {
		off = append(off, marks("", d.Name)...)
		if d.Name != root {
			change = append(change, zfs.Change{Dataset: d.Name, Set: zfs.Props{"canmount": "on"}})
		}
	}
	if err := m.sys.ZFS.Set(ctx, change); err != nil {
		return err
	}
	return m.sys.ZFS.Set(ctx, off)
}

// giveChanges make a tamed root the active one of a boot environment, in place of
// another one of the zone's where off names that.
func (m *Manager) giveChanges(ctx context.Context, root, uuid, off, id string) ([]zfs.Change, error) {
	_, ds, err := m.tameOf(ctx, root)
	if err != nil {
		return nil, err
	}
	changes := []zfs.Change{{Dataset: root, Set: zfs.Props{zones.PropParent: uuid, zones.PropActive: "on"}, Inherit: []string{propOp}}}
	for _, d := range ds[1:] {
		if d.Local(propOp) == id {
			changes = append(changes, marks("", d.Name)...)
		}
	}
	return append(changes, activeChange(off, "off")...), nil
}

// takeBackChanges undo giveChanges; also are the datasets below that lost their
// mark by it.
func takeBackChanges(root, off, id string, was tame, also []string) []zfs.Change {
	c := zfs.Change{Dataset: root, Set: zfs.Props{propOp: id}}
	for prop, value := range map[string]string{zones.PropParent: was.Parent, zones.PropActive: was.Active} {
		if value == "" {
			c.Inherit = append(c.Inherit, prop)
		} else {
			c.Set[prop] = value
		}
	}
	return append(append([]zfs.Change{c}, marks(id, also...)...), activeChange(off, "on")...)
}

// activeChange turns a zone's root on or off; none is none.
func activeChange(dataset, to string) []zfs.Change {
	if dataset == "" {
		return nil
	}
	return []zfs.Change{{Dataset: dataset, Set: zfs.Props{zones.PropActive: to}}}
}
