package be

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// zoneRemovals is what destroying zone BEs takes, for each pool.
func (m *Manager) zoneRemovals(ctx context.Context, of []zones.BE, args destroyArgs, what string) ([]removal, error) {
	var rems []removal
	for _, roots := range rootsByPool(of) {
		rem, err := m.removalOf(ctx, roots, args.zonesUpto(), args, what)
		if err != nil {
			return nil, err
		}
		rems = append(rems, rem)
	}
	return rems, nil
}

// zonesUpto is ZonesUpto, where there is one yet.
func (a destroyArgs) zonesUpto() uint64 {
	if a.ZonesUpto == 0 {
		return math.MaxUint64
	}
	return a.ZonesUpto
}

// rootsByPool are the root datasets of zone BEs, those of a pool together.
func rootsByPool(of []zones.BE) [][]string {
	pools := map[string][]string{}
	for _, b := range of {
		pool := zfs.PoolOf(b.Dataset)
		pools[pool] = append(pools[pool], b.Dataset)
	}
	var all [][]string
	for _, pool := range slices.Sorted(maps.Keys(pools)) {
		all = append(all, pools[pool])
	}
	return all
}

// destroyZonesStep comes when the root dataset has gone: the zone BEs that
// belonged to it boot nowhere any more. In a recovery one that something stands
// in the way of is left, and snapbe zone destroy-orphans shows it.
func (m *Manager) destroyZonesStep(op *operation, args destroyArgs) journal.Step {
	return journal.Step{Name: "destroy its zone BEs", Final: true, Do: func(ctx context.Context) error {
		st, err := m.readAll(ctx)
		if err != nil {
			return err
		}
		var of []zones.BE
		for _, z := range st.zones {
			if !slices.Contains(args.Spare, z.Name) {
				of = append(of, z.Of(args.UUID)...)
			}
		}
		for _, b := range of {
			if err := m.detachAll(b.Dataset); err != nil {
				return err
			}
		}
		for _, roots := range rootsByPool(of) {
			if err := m.destroyRoots(ctx, op, roots, args); err != nil {
				return err
			}
		}
		return nil
	}}
}

// destroyRoots destroys the trees below the roots, in one pool, all in one
// transaction group; where that is refused in a recovery, one by one.
func (m *Manager) destroyRoots(ctx context.Context, op *operation, roots []string, args destroyArgs) error {
	rem, err := m.removalOf(ctx, roots, args.zonesUpto(), args, op.verb)
	if err == nil && len(rem.Datasets) > 0 {
		err = m.remove(ctx, rem)
	}
	_, refused := errors.AsType[*Error](err)
	refused = refused || zfs.Is(err, zfs.Busy) || zfs.Is(err, zfs.Dependents)
	switch {
	case err == nil && len(rem.Datasets) > 0:
		return nil
	case err != nil && (!refused || !args.recovering):
		return err
	case len(roots) == 1 && err != nil:
		op.result.Notes = append(op.result.Notes, fmt.Sprintf("%s is left: %v", roots[0], err))
		return nil
	case len(roots) == 1:
		op.result.Notes = append(op.result.Notes, rem.notes...)
		return nil
	}
	for _, root := range roots {
		if err := m.destroyRoots(ctx, op, []string{root}, args); err != nil {
			return err
		}
	}
	return nil
}
