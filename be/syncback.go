package be

import (
	"context"
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"

	"snapbe/internal/zfs"
	"snapbe/zones"
)

// unsync brings the target back to before. What another tool or user has got
// hold of meanwhile, or has written to, does not go back: there the sync is ended.
func (m *Manager) unsync(ctx context.Context, op *operation, id string, args syncArgs, target string, most uint64) error {
	snap := args.Snap
	mark, ok, err := m.snapshotMark(ctx, target+"@"+snap)
	if err != nil || !ok || mark != id {
		return err
	}
	named, err := m.named(ctx, snap, target)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(named))
	for _, s := range named {
		names = append(names, s.Name)
	}
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{target}, Depth: -1, Kinds: []zfs.Kind{zfs.Filesystem}, Props: []string{"written"}})
	if err != nil {
		return err
	}
	var written uint64
	for _, d := range ds {
		written += number(d.Value("written"))
	}
	if written > most {
		err = fmt.Errorf("more has been written there since: %s", humanize.IBytes(written))
	} else {
		err = m.sys.ZFS.Rollback(ctx, names, nil)
	}
	if written > most || zfs.Is(err, zfs.Dependents) || zfs.Is(err, zfs.Busy) {
		op.result.Notes = append(op.result.Notes, fmt.Sprintf("files that were synced to %s stay so: %v", target, err))
		if err := m.endSync(ctx, op, id, args, target); err != nil {
			op.result.Notes = append(op.result.Notes, fmt.Sprintf("and those that were not yet are as they were: %v", err))
		}
		return nil
	}
	return err
}

// endSync takes over what a sync had not yet, for what can only go forward: then it is
// known what that has.
func (m *Manager) endSync(ctx context.Context, op *operation, id string, args syncArgs, dataset string) error {
	st, err := m.readAll(ctx)
	if err != nil {
		return err
	}
	source, ok := st.byUUID(args.From)
	target, ok2 := st.byUUID(args.To)
	if !ok || !ok2 {
		return errors.New("one of the two has gone")
	}
	s := &syncing{m: m, st: st, source: source, target: target}
	zones, _ := m.zoneSyncs(st, source, target, false, func(zones.Zone) bool { return true })
	for _, x := range append(zones, s) {
		if x.target.Dataset != dataset {
			continue
		}
		if _, err := x.beginAndApply(ctx, args.Snap, op.verb); err != nil {
			return err
		}
		return m.nameTaken(ctx, []*syncing{x}, syncPoint{args.From, args.Snap}, id)
	}
	return nil
}
