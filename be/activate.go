package be

import (
	"context"
	"fmt"
	"path"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
)

// activateArgs are the record of an activation: what is to boot, and what was
// to boot before.
type activateArgs struct {
	UUID     string `json:"uuid"`
	Dataset  string `json:"dataset"`
	Previous string `json:"previous,omitempty"`
	// Roots are the BE's root dataset and its boot dataset.
	Roots []string `json:"roots"`

	OldDefault  string `json:"oldDefault"`
	OldPrevious string `json:"oldPrevious,omitempty"`
	OldBootfs   string `json:"oldBootfs,omitempty"`
	// NewUUID tells that the BE is given this one; OldUUID is another BE's,
	// which it came with.
	NewUUID bool   `json:"newUUID,omitempty"`
	OldUUID string `json:"oldUUID,omitempty"`
}

func (r Activate) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("activate %q", r.Name)
	st, err := m.readToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	b, err := st.usable(r.Name, what)
	if err != nil {
		return nil, err
	}
	return m.planActivate(ctx, st, b, st.previousFor(b), activation{"activate", what, r.Reboot})
}

func (r Failback) plan(ctx context.Context, m *Manager) (*operation, error) {
	st, err := m.readToChange(ctx, "fail back")
	if err != nil {
		return nil, err
	}
	b, ok := st.byUUID(st.props.Local(propPrevious))
	if !ok {
		return nil, refuse(NotFound, "snapbe activate NAME chooses any other", "fail back: no previous boot environment is known")
	}
	previous := st.previousFor(b)
	if def, ok := st.byUUID(st.props.Local(propDefault)); ok && b.Running {
		previous = def.UUID // a failback that is taken back can be asked for again
	}
	return m.planActivate(ctx, st, b, previous, activation{"failback", fmt.Sprintf("fail back to %q", b.Name), r.Reboot})
}

// activation says what an activation is called, and whether a reboot follows.
type activation struct {
	kind, what string
	reboot     bool
}

func (m *Manager) planActivate(ctx context.Context, st *state, b BE, previous string, a activation) (*operation, error) {
	boot, err := m.bootable(ctx, b, a.what)
	if err != nil {
		return nil, err
	}
	pool := zfs.PoolOf(st.root)
	props, err := m.sys.ZFS.PoolGet(ctx, pool, []string{"bootfs"})
	if err != nil {
		return nil, err
	}
	args := activateArgs{
		UUID: b.UUID, Dataset: b.Dataset, Previous: previous, Roots: b.datasets(),
		OldDefault: st.props.Local(propDefault), OldPrevious: st.props.Local(propPrevious),
	}
	if v := props["bootfs"].Value; v != "-" {
		args.OldBootfs = v
	}
	if args.UUID == "" {
		args.UUID, args.NewUUID = m.sys.UUID(), true
		d, _, err := m.byDataset(ctx, b.Dataset)
		if err != nil {
			return nil, err
		}
		args.OldUUID = d.Local(propUUID)
	}
	op := m.activateOperation(a.kind, m.sys.UUID(), a.what, args, boots{args.UUID: boot})
	op.plan.root = st.root
	op.result.Name = b.Name
	if a.reboot {
		op.next = rebootRequest{}
		op.plan.Notes = append(op.plan.Notes, "then the machine reboots")
	}
	return op, nil
}

// previousFor is where failback leads once b is activated: to the BE that
// runs. Choosing that one again, after another, leaves what was there before
// as long as it is not b itself.
func (st *state) previousFor(b BE) string {
	if run, ok := st.running(); ok && run.Name != b.Name {
		return run.UUID
	}
	if old := st.props.Local(propPrevious); old != b.UUID {
		return old
	}
	return ""
}

// activateOperation: the default is one property set together with the
// previous one, in one transaction group; menu and bootfs follow from it.
// Until the menu is renamed into place the machine boots the old BE, and
// after that the new one.
func (m *Manager) activateOperation(kind, id, what string, args activateArgs, fresh boots) *operation {
	root := rootOf(args.Dataset)
	op := &operation{kind: kind, id: id, args: args, verb: what, plan: Plan{Title: what}}
	if args.NewUUID {
		op.add(m.giveUUID(args))
	}
	op.add(journal.Step{
		Name: "choose it as the default",
		Do: func(ctx context.Context) error {
			return m.setBoot(ctx, root, args.UUID, args.Previous)
		},
		Undo: func(ctx context.Context) error {
			if err := m.setBoot(ctx, root, args.OldDefault, args.OldPrevious); err != nil {
				return err
			}
			return m.undoMenu(ctx)
		},
	})
	follows := len(op.steps)
	op.add(journal.Step{Name: "write the boot menu", Do: func(ctx context.Context) error {
		notes, err := m.updateMenu(ctx, fresh, false)
		op.result.Notes = append(op.result.Notes, notes...)
		return err
	}})
	// bootfs after it: loaders that read it change over when GRUB has.
	op.add(journal.Step{
		Name: "set bootfs of " + zfs.PoolOf(root),
		Do: func(ctx context.Context) error {
			return m.sys.ZFS.PoolSet(ctx, zfs.PoolOf(root), "bootfs", args.Dataset)
		},
		Undo: func(ctx context.Context) error {
			return m.sys.ZFS.PoolSet(ctx, zfs.PoolOf(root), "bootfs", args.OldBootfs)
		},
	})
	// Another tool's BE may mount itself, or what lies below it, in every BE.
	op.add(journal.Step{Name: "keep it from mounting by itself", Final: true, Do: func(ctx context.Context) error {
		changes, err := m.noauto(ctx, args.Roots)
		if err != nil {
			return err
		}
		return m.sys.ZFS.Set(ctx, changes)
	}})
	op.committed = func(ctx context.Context) (int, bool, error) {
		ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{root}, Props: []string{propDefault, propPrevious}})
		if err != nil {
			return 0, false, err
		}
		return follows, ds[0].Local(propDefault) == args.UUID && ds[0].Local(propPrevious) == args.Previous, nil
	}
	return op
}

// rootOf is the container that a BE's dataset lies in.
func rootOf(dataset string) string { return path.Dir(dataset) }

// giveUUID is for a BE that another tool made, or that came with the UUID of
// its source.
func (m *Manager) giveUUID(args activateArgs) journal.Step {
	was := zfs.Change{Dataset: args.Dataset, Inherit: []string{propUUID}}
	if args.OldUUID != "" {
		was = zfs.Change{Dataset: args.Dataset, Set: zfs.Props{propUUID: args.OldUUID}}
	}
	return journal.Step{
		Name: "give it a UUID",
		Do: func(ctx context.Context) error {
			return m.sys.ZFS.Set(ctx, []zfs.Change{{Dataset: args.Dataset, Set: zfs.Props{propUUID: args.UUID}}})
		},
		Undo: then(func(ctx context.Context) error { return m.sys.ZFS.Set(ctx, []zfs.Change{was}) }, m.undoMenu),
	}
}

// setBoot sets what boots and what failback leads to, in one transaction group.
func (m *Manager) setBoot(ctx context.Context, root, def, previous string) error {
	c := zfs.Change{Dataset: root, Set: zfs.Props{propDefault: def}}
	if previous == "" {
		c.Inherit = []string{propPrevious}
	} else {
		c.Set[propPrevious] = previous
	}
	return m.sys.ZFS.Set(ctx, []zfs.Change{c})
}

// rebootRequest follows an operation that ended well.
type rebootRequest struct{}

func (rebootRequest) plan(_ context.Context, m *Manager) (*operation, error) {
	op := &operation{verb: "reboot", plan: Plan{Title: "reboot"}}
	op.add(journal.Step{Name: "reboot", Do: m.sys.Host.Reboot})
	return op, nil
}
