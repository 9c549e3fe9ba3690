package be

import (
	"context"
	"fmt"
	"strings"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
)

// rollbackArgs are the record of a rollback.
type rollbackArgs struct {
	// Roots are the BE's root dataset and its boot dataset.
	Roots []string `json:"roots"`
	Snap  string   `json:"snap"`
	Newer bool     `json:"newer,omitempty"`
}

func (r Rollback) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("roll back to %q", r.Name)
	name, snap, isSnap := splitName(r.Name)
	if !isSnap {
		return nil, refuse(Invalid, "name a snapshot, as in BE@SNAP", "%s: that is no snapshot", what)
	}
	st, err := m.readAdopted(ctx, what)
	if err != nil {
		return nil, err
	}
	b, err := st.usable(name, what)
	if err != nil {
		return nil, err
	}
	switch {
	case b.Running:
		return nil, refuse(Busy, fmt.Sprintf("snapbe create -e %s makes a boot environment of it", r.Name), "%s: %q is running", what, name)
	case b.Mountpoint != "":
		return nil, refuse(Busy, "snapbe unmount "+b.Name, "%s: %q is mounted at %s", what, name, b.Mountpoint)
	}
	args := rollbackArgs{Roots: b.datasets(), Snap: snap, Newer: r.Newer}
	op := m.rollbackOperation(m.sys.UUID(), args)
	op.verb = what
	op.plan = Plan{root: st.root, Title: what}
	for _, root := range args.Roots {
		_, newer, err := m.rollbackList(ctx, root, args, what)
		if err != nil {
			return nil, err
		}
		for _, n := range newer {
			op.plan.Notes = append(op.plan.Notes, "goes: "+n)
		}
	}
	op.result.Name = b.Name
	return op, nil
}

// rollbackList lists, below one root, the snapshots to go back to and the
// newer ones that go; it refuses what would lose more than was agreed to.
func (m *Manager) rollbackList(ctx context.Context, root string, args rollbackArgs, what string) (to, newer []string, err error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{root}, Depth: -1,
		Kinds: []zfs.Kind{zfs.Filesystem, zfs.Volume, zfs.Snapshot}, Props: []string{"createtxg", "clones", propOp}})
	if err != nil {
		return nil, nil, err
	}
	target := map[string]uint64{}
	for _, d := range ds {
		if name, snap, ok := splitName(d.Name); ok && snap == args.Snap {
			target[name] = number(d.Value("createtxg"))
			to = append(to, d.Name)
		}
	}
	for _, d := range ds {
		name, _, isSnap := splitName(d.Name)
		txg, ok := target[name]
		switch {
		case !ok:
			return nil, nil, refuse(NotFound, "snapbe list -s "+name[strings.LastIndex(name, "/")+1:]+" shows the snapshots",
				"%s: %s has no snapshot of that name", what, name)
		case !isSnap || number(d.Value("createtxg")) <= txg:
		case d.Value("clones") != "":
			return nil, nil, refuse(Failed, "destroy what was cloned from it first",
				"%s: the newer snapshot %s is the origin of %s", what, d.Name, d.Value("clones"))
		case !args.Newer && d.Local(propOp) == "":
			return nil, nil, refuse(Failed, "with --newer it goes", "%s: the newer snapshot %s would be lost", what, d.Name)
		default:
			newer = append(newer, d.Name)
		}
	}
	return to, newer, nil
}

// rollbackOperation: in one pool a rollback is one transaction group. With a
// boot pool there are two, and no way back from the first; the mark hides the
// BE until both are done.
func (m *Manager) rollbackOperation(id string, args rollbackArgs) *operation {
	what := fmt.Sprintf("roll back to %q", args.Roots[0]+"@"+args.Snap)
	op := &operation{kind: "rollback", id: id, args: args, verb: what}
	root := args.Roots[0]
	op.add(journal.Step{
		Name: "mark " + root + " as unfinished",
		Do: func(ctx context.Context) error {
			return m.sys.ZFS.Set(ctx, []zfs.Change{{Dataset: root, Set: zfs.Props{propOp: id}}})
		},
		// The mark may have gone at the very end, with the menu still to do.
		Undo: then(func(ctx context.Context) error { return m.dropMark(ctx, root, id) },
			func(ctx context.Context) error { return m.refreshMenu(ctx, root) }),
	})
	for i, r := range args.Roots {
		op.add(journal.Step{Name: fmt.Sprintf("roll back %s to @%s", r, args.Snap), Final: i > 0, Do: func(ctx context.Context) error {
			to, newer, err := m.rollbackList(ctx, r, args, what)
			if err != nil {
				return err
			}
			return m.sys.ZFS.Rollback(ctx, to, newer)
		}})
	}
	op.add(journal.Step{Name: "take the mark off", Final: true, Do: func(ctx context.Context) error { return m.dropMark(ctx, root, id) }})
	op.add(journal.Step{Name: "write the boot menu", Do: func(ctx context.Context) error { return m.refreshMenu(ctx, root) }})
	op.committed = func(ctx context.Context) (int, bool, error) {
		d, ok, err := m.byDataset(ctx, root)
		return 1, ok && d.Local(propOp) == id, err
	}
	return op
}

// dropMark takes an operation's mark off a dataset that is there.
func (m *Manager) dropMark(ctx context.Context, dataset, id string) error {
	d, ok, err := m.byDataset(ctx, dataset)
	if err != nil || !ok || d.Local(propOp) != id {
		return err
	}
	return m.sys.ZFS.Set(ctx, []zfs.Change{{Dataset: dataset, Inherit: []string{propOp}}})
}

// refreshMenu writes the menu after the files of one BE have changed.
func (m *Manager) refreshMenu(ctx context.Context, dataset string) error {
	st, err := m.read(ctx)
	if err != nil {
		return err
	}
	fresh := boots{}
	for _, b := range st.bes {
		if b.Dataset != dataset || b.UUID == "" {
			continue
		}
		if boot, _, err := m.inspect(ctx, b); err == nil {
			fresh[b.UUID] = boot
		}
	}
	_, err = m.updateMenu(ctx, fresh, false)
	return err
}
