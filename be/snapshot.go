package be

import (
	"context"
	"fmt"
	"path"
	"slices"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
)

// snapshotArgs are the record of a snapshot that the user asked for.
type snapshotArgs struct {
	Roots []string `json:"roots"`
	Snap  string   `json:"snap"`
}

// planSnapshot plans create BE@SNAP: a snapshot of the user's own.
func (r Create) planSnapshot(ctx context.Context, m *Manager, st *state) (*operation, error) {
	name, snap, _ := splitName(r.Name)
	what := fmt.Sprintf("create %q", r.Name)
	b, err := st.usable(name, what)
	if err != nil {
		return nil, err
	}
	if r.From != "" || r.Description != "" || r.Activate || len(r.Props) > 0 {
		return nil, refuse(Invalid, "", "%s: a snapshot takes no source, description, properties or activation", what)
	}
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: b.datasets(), Depth: -1,
		Kinds: []zfs.Kind{zfs.Filesystem, zfs.Volume, zfs.Snapshot}, Props: []string{"type"}})
	if err != nil {
		return nil, err
	}
	for _, d := range ds {
		if _, s, ok := splitName(d.Name); ok && s == snap {
			return nil, refuse(Exists, "take another name, or snapbe destroy "+r.Name+" first", "%s: %s exists", what, d.Name)
		}
	}
	ds = slices.DeleteFunc(ds, func(d zfs.Dataset) bool { return d.Kind == zfs.Snapshot })
	if err := checkLengths(ds, snap, what, func(name string) string { return name }); err != nil {
		return nil, err
	}
	args := snapshotArgs{Roots: b.datasets(), Snap: snap}
	op := m.snapshotOperation(m.sys.UUID(), args, ds)
	op.plan.root = st.root
	op.plan.Title = what
	op.verb = what
	op.result.Name = r.Name
	return op, nil
}

// snapshotOperation: one pool's snapshots are atomic. With two pools the
// operation's mark on them tells what to take back, and comes off at the end,
// since these are the user's.
func (m *Manager) snapshotOperation(id string, args snapshotArgs, ds []zfs.Dataset) *operation {
	op := &operation{kind: "snapshot", id: id, args: args, verb: fmt.Sprintf("create %q", path.Base(args.Roots[0])+"@"+args.Snap)}
	for _, root := range args.Roots {
		var names []string
		for _, d := range ds {
			if within(d.Name, root) {
				names = append(names, d.Name+"@"+args.Snap)
			}
		}
		op.add(journal.Step{
			Name: fmt.Sprintf("snapshot %s@%s (%s)", root, args.Snap, count(len(names), "dataset")),
			Do: func(ctx context.Context) error {
				return m.sys.ZFS.Snapshot(ctx, names, zfs.Props{propOp: id})
			},
			Undo: func(ctx context.Context) error {
				return m.destroyMarked(ctx, []string{root}, id, func(string) bool { return true })
			},
		})
	}
	op.add(journal.Step{Name: "keep the snapshots", Final: true, Do: func(ctx context.Context) error { return m.unmark(ctx, args, id) }})
	op.committed = func(ctx context.Context) (int, bool, error) {
		marked, all, err := m.marked(ctx, args, id)
		// A snapshot that has lost its mark tells that all were made.
		return len(op.steps) - 1, all > len(marked), err
	}
	return op
}

// marked lists the snapshots that bear the mark, and how many there are of
// that name in all.
func (m *Manager) marked(ctx context.Context, args snapshotArgs, id string) (marked []string, all int, err error) {
	snaps, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: args.Roots, Depth: -1, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{propOp}})
	for _, s := range snaps {
		if _, snap, _ := splitName(s.Name); snap == args.Snap {
			all++
			if s.Local(propOp) == id {
				marked = append(marked, s.Name)
			}
		}
	}
	return marked, all, err
}

func (m *Manager) unmark(ctx context.Context, args snapshotArgs, id string) error {
	marked, _, err := m.marked(ctx, args, id)
	if err != nil {
		return err
	}
	changes := make([]zfs.Change, 0, len(marked))
	for _, s := range marked {
		changes = append(changes, zfs.Change{Dataset: s, Inherit: []string{propOp}})
	}
	return m.sys.ZFS.Set(ctx, changes)
}
