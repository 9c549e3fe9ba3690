package be

import (
	"context"
	"errors"
	"fmt"
	"math"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// zoneRemovals is what destroying zone BEs takes, for each.
func (m *Manager) zoneRemovals(ctx context.Context, of []zones.BE, args destroyArgs, what string) ([]removal, error) {
	bound := args.ZonesUpto
	if bound == 0 {
		bound = math.MaxUint64
	}
	rems := make([]removal, 0, len(of))
	for _, z := range of {
		rem, err := m.removalOf(ctx, z.Dataset, bound, args, what)
		if err != nil {
			return nil, err
		}
		rems = append(rems, rem)
	}
	return rems, nil
}

// destroyZonesStep comes when the root dataset has gone: the zone BEs that
// belonged to it boot nowhere any more. One that something stands in the way of
// is left, and snapbe zone destroy-orphans shows it.
func (m *Manager) destroyZonesStep(op *operation, args destroyArgs) journal.Step {
	return journal.Step{Name: "destroy its zone BEs", Final: true, Do: func(ctx context.Context) error {
		st, err := m.read(ctx)
		if err == nil {
			err = m.readZones(ctx, st)
		}
		if err != nil {
			return err
		}
		for _, z := range st.zones {
			for _, b := range z.Of(args.UUID) {
				if err := m.detachAll(b.Dataset); err != nil {
					return err
				}
				rem, err := m.removalOf(ctx, b.Dataset, args.ZonesUpto, args, op.verb)
				if err == nil && len(rem.Datasets) == 0 {
					op.result.Notes = append(op.result.Notes, rem.notes...)
				} else if err == nil {
					err = m.sys.ZFS.Destroy(ctx, rem.Removal)
				}
				_, refused := errors.AsType[*Error](err)
				switch {
				case err == nil:
				case args.recovering && (refused || zfs.Is(err, zfs.Busy) || zfs.Is(err, zfs.Dependents)):
					op.result.Notes = append(op.result.Notes, fmt.Sprintf("%s, of the zone %q, is left: %v", b.Dataset, z.Name, err))
				default:
					return err
				}
			}
		}
		return nil
	}}
}
