package be

import (
	"context"
	"errors"
	"fmt"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
)

// giveUpShareBack is for another BE that was picked in the menu: its services
// write to the share from now on, and that must not be taken back later. One
// property says it, and there is nothing to recover.
func (m *Manager) giveUpShareBack(st *state, h handover) *operation {
	op := &operation{verb: "hand over", plan: Plan{root: st.root, Title: "hand over"}}
	restore := h.Restore
	h.Restore = ""
	c := h.change(st.root)
	op.plan.Notes = append(op.plan.Notes, fmt.Sprintf("%s was to boot next, with the share as in %s; since this one runs, the share stays as it is: snapbe share restore %s brings it back", st.nameOf(h.To), restore, restore))
	op.add(journal.Step{Name: "leave the share as it is", Do: func(ctx context.Context) error { return m.sys.ZFS.Set(ctx, []zfs.Change{c}) }})
	return op
}

// shareBackStep brings the share back, once, and before any service has written
// to it: whether that went well or not, no later boot does it again.
func (m *Manager) shareBackStep(op *operation, args handoverArgs) journal.Step {
	return journal.Step{Name: "bring the share back to @" + args.Restore, Do: func(ctx context.Context) error {
		if !args.boot {
			op.result.Notes = append(op.result.Notes, fmt.Sprintf("bring the share back to @%s: services run already; snapbe share restore %s does it", args.Restore, args.Restore))
		} else {
			written, err := m.restoreShare(ctx, args.Share, args.Restore, nil)
			op.result.Notes = append(op.result.Notes, restored(args.Restore, written))
			if err != nil { // and the rest is done all the same
				op.late = refuse(Failed, "", "bring the share back to @%s: %v; what it was is in @%s", args.Restore, err, args.Snap)
			}
		}
		c := handover{From: args.From, To: args.To}.change(rootOf(args.Target))
		return m.sys.ZFS.Set(context.WithoutCancel(ctx), []zfs.Change{c})
	}, Undo: func(ctx context.Context) error { return m.undoShareBack(ctx, op, args) }}
}

// undoShareBack is for a way back that a power cut stopped, and another BE that
// was picked in the menu then: what is half brought back becomes what it was.
func (m *Manager) undoShareBack(ctx context.Context, op *operation, args handoverArgs) error {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{rootOf(args.Target)}, Props: []string{propHandover}})
	if err != nil {
		return err
	}
	if left, _ := parseHandover(ds[0].Local(propHandover)); left.Restore != args.Restore {
		return nil // all of it is back
	}
	mark, ok, err := m.snapshotMark(ctx, args.Share+"@"+args.Snap)
	if err != nil || !ok || mark != op.id {
		return err
	}
	if !args.boot {
		op.result.Notes = append(op.result.Notes, fmt.Sprintf("the share may be half as in @%s: snapbe share restore %s makes it what it was", args.Restore, args.Snap))
		return nil
	}
	_, failed := m.restoreShare(ctx, args.Share, args.Snap, nil)
	if failed != nil {
		op.late = errors.Join(op.late, refuse(Failed, "", "take the share back to what it was: %v; that is in @%s", failed, args.Snap))
	}
	return nil
}
