package be

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// snapshotArgs are the record of a snapshot that the user asked for.
type snapshotArgs struct {
	Roots []string `json:"roots"`
	Snap  string   `json:"snap"`
	withZonesArgs
}

// names are what a step is about, in words: a root, or the zones of another pool.
func (a snapshotArgs) names() []string {
	names := make([]string, 0, len(a.Roots)+len(a.Pools))
	for _, r := range a.Roots {
		names = append(names, r+"@"+a.Snap)
	}
	for _, p := range a.Pools {
		names = append(names, "the zones in "+p)
	}
	return names
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
	args := snapshotArgs{Roots: b.datasets(), Snap: snap}
	of, notes, err := m.snapshotZones(ctx, st, b, r.Zones, what)
	if err != nil {
		return nil, err
	}
	if len(of) > 0 {
		args.UUID, args.Only, args.Pools, args.Spare = b.UUID, r.Zones.Names, zonePools(args.Roots, of), m.spared(st, r.Zones.Names)
	}
	parts := args.together(args.Roots, of)
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: slices.Concat(parts...), Depth: -1,
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
	made := make([][]string, len(parts))
	for i, part := range parts {
		for _, d := range ds {
			if slices.ContainsFunc(part, func(root string) bool { return within(d.Name, root) }) {
				made[i] = append(made[i], d.Name+"@"+snap)
			}
		}
	}
	op := m.snapshotOperation(m.sys.UUID(), args, made)
	op.plan = Plan{root: st.root, Title: what, Notes: notes}
	op.verb = what
	op.result.Name = r.Name
	return op, nil
}

// snapshotZones are the zones that go along with a snapshot.
func (m *Manager) snapshotZones(ctx context.Context, st *state, b BE, choice ZoneChoice, what string) (of []zones.BE, notes []string, err error) {
	if choice.None {
		return nil, nil, nil
	}
	if err := m.readZones(ctx, st); err != nil {
		return nil, nil, err
	}
	for _, name := range choice.Names {
		if _, err := st.zone(name, what); err != nil {
			return nil, nil, err
		}
	}
	if len(strings.Join(choice.Names, `","`)) > journal.MaxRecord/2 {
		return nil, nil, refuse(Invalid, "without --zone all zones go along", "%s: more zones are named than can be recorded", what)
	}
	of, notes = m.followers(st, b.UUID, b.Name, choice.Names, nil)
	return of, notes, nil
}

// snapshotOperation: one pool's snapshots are atomic. With two pools the
// operation's mark on them tells what to take back, and comes off at the end,
// since these are the user's. A recovery only takes back, and has no made.
func (m *Manager) snapshotOperation(id string, args snapshotArgs, made [][]string) *operation {
	op := &operation{kind: "snapshot", id: id, args: args, verb: fmt.Sprintf("create %q", path.Base(args.Roots[0])+"@"+args.Snap)}
	for i, name := range args.names() {
		var names []string
		if made != nil {
			names = made[i]
		}
		op.add(journal.Step{
			Name: fmt.Sprintf("snapshot %s (%s)", name, count(len(names), "dataset")),
			Do: func(ctx context.Context) error {
				return m.sys.ZFS.Snapshot(ctx, names, zfs.Props{propOp: id})
			},
			Undo: func(ctx context.Context) error {
				parts, err := m.parts(ctx, args.Roots, args.withZonesArgs)
				if err != nil {
					return err
				}
				return m.destroyMarked(ctx, parts[i], id, func(string) bool { return true })
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
	parts, err := m.parts(ctx, args.Roots, args.withZonesArgs)
	if err != nil {
		return nil, 0, err
	}
	snaps, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: slices.Concat(parts...), Depth: -1, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{propOp}})
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
	had, err := m.factsByRoot(ctx)
	if err != nil {
		return err
	}
	changes := make([]zfs.Change, 0, len(marked))
	for _, s := range marked {
		changes = append(changes, zfs.Change{Dataset: s, Set: had[parent(s)].props(), Inherit: []string{propOp}})
	}
	return m.setAll(ctx, changes)
}
