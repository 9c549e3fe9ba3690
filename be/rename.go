package be

import (
	"context"
	"fmt"
	"os"
	"path"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
)

// renameArgs are the record of a rename, by dataset.
type renameArgs struct {
	UUID string `json:"uuid"`
	From string `json:"from"`
	To   string `json:"to"`
	// BootFrom and BootTo are the boot dataset's, where there is one.
	BootFrom string `json:"bootFrom,omitempty"`
	BootTo   string `json:"bootTo,omitempty"`
}

func (r Rename) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("rename %q", r.From)
	if err := checkName(r.To); err != nil {
		return nil, refuse(Invalid, "", "%s to %q: %v", what, r.To, err)
	}
	st, err := m.readToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	b, err := st.usable(r.From, what)
	if err != nil {
		return nil, err
	}
	switch {
	case b.Running:
		return nil, refuse(Busy, "boot another boot environment first", "%s: it is running", what)
	case b.Default:
		return nil, refuse(Busy, "snapbe activate another one first: a power cut between the new name and the new menu would find nothing to boot",
			"%s: it is the one that boots next", what)
	case b.UUID == "":
		return nil, refuse(Failed, fmt.Sprintf("zfs set %s=$(uuidgen) %s gives it one", propUUID, b.Dataset),
			"%s: it has no UUID, by which an interrupted rename is told", what)
	}
	if err := st.refuseMounted(b, what, ""); err != nil {
		return nil, err
	}
	if err := (Create{Name: r.To}).check(st, fmt.Sprintf("%s to %q", what, r.To)); err != nil {
		return nil, err
	}
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: b.datasets(), Depth: -1,
		Kinds: []zfs.Kind{zfs.Filesystem, zfs.Volume, zfs.Snapshot}, Props: []string{"type"}})
	if err != nil {
		return nil, err
	}
	if err := checkRenamed(ds, b.Name, r.To, what); err != nil {
		return nil, err
	}
	args := renameArgs{UUID: b.UUID, From: b.Dataset, To: st.root + "/" + r.To}
	if b.BootDataset != "" {
		args.BootFrom, args.BootTo = b.BootDataset, st.bootRoot+"/"+r.To
	}
	op := m.renameOperation(m.sys.UUID(), args)
	op.verb = what
	op.plan = Plan{root: st.root, Title: fmt.Sprintf("%s to %q", what, r.To)}
	op.result.Name = r.To
	return op, nil
}

// checkRenamed refuses a name with which a dataset or snapshot below would be
// longer than ZFS allows.
func checkRenamed(ds []zfs.Dataset, from, to, what string) error {
	for _, d := range ds {
		if len(d.Name)-len(from)+len(to) > maxDataset {
			return refuse(Invalid, "take a shorter name", "%s: the name of %s would be longer than the %d bytes of ZFS", what, d.Name, maxDataset)
		}
	}
	return nil
}

// renameOperation: the root dataset goes first, and its name decides which way
// an interrupted rename is ended.
func (m *Manager) renameOperation(id string, args renameArgs) *operation {
	op := &operation{kind: "rename", id: id, args: args, verb: fmt.Sprintf("rename %q to %q", path.Base(args.From), path.Base(args.To))}
	op.add(m.renameStep(args.From, args.To))
	if args.BootFrom != "" {
		op.add(m.renameStep(args.BootFrom, args.BootTo))
	}
	op.add(journal.Step{
		Name: "write the new names into its fstab",
		Do: func(ctx context.Context) error {
			return m.editFstab(ctx, args.To, args.BootTo, map[string]string{args.From: args.To, args.BootFrom: args.BootTo})
		},
		Undo: func(ctx context.Context) error {
			return m.editFstab(ctx, args.To, args.BootTo, map[string]string{args.To: args.From, args.BootTo: args.BootFrom})
		},
	})
	op.add(journal.Step{Name: "write the boot menu", Do: func(ctx context.Context) error {
		notes, err := m.updateMenu(ctx, nil, false)
		op.result.Notes = append(op.result.Notes, notes...)
		return err
	}})
	// Undoing ends with the menu of the old name.
	op.steps[0].Undo = then(op.steps[0].Undo, m.undoMenu)
	op.committed = func(ctx context.Context) (int, bool, error) {
		d, ok, err := m.byDataset(ctx, args.To)
		return 0, ok && d.Local(propUUID) == args.UUID, err
	}
	return op
}

func then(a, b func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := a(ctx); err != nil {
			return err
		}
		return b(ctx)
	}
}

// renameStep renames where that has not happened yet, in either direction.
func (m *Manager) renameStep(from, to string) journal.Step {
	move := func(from, to string) func(context.Context) error {
		return func(ctx context.Context) error {
			if _, ok, err := m.byDataset(ctx, from); err != nil || !ok {
				return err
			}
			return m.sys.ZFS.Rename(ctx, from, to)
		}
	}
	return journal.Step{Name: fmt.Sprintf("rename %s to %s", from, to), Do: move(from, to), Undo: move(to, from)}
}

// editFstab renames datasets in the fstab of a BE, where that BE is there.
func (m *Manager) editFstab(ctx context.Context, dataset, boot string, renames map[string]string) error {
	if _, ok, err := m.byDataset(ctx, dataset); err != nil || !ok {
		return err
	}
	delete(renames, "")
	t, err := m.tree(ctx, BE{Dataset: dataset, BootDataset: boot})
	if err != nil {
		return err
	}
	return m.sys.Host.View(bootTree(t), false, func(root *os.Root) error { return renameInFstab(root, renames) })
}
