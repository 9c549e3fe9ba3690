package be

import (
	"context"

	"snapbe/internal/zfs"
)

// setAll makes changes in any pools, those of each in one transaction group.
func (m *Manager) setAll(ctx context.Context, changes []zfs.Change) error {
	for len(changes) > 0 {
		same, others := byPool(changes, changes[0].Dataset)
		if err := m.sys.ZFS.Set(ctx, same); err != nil {
			return err
		}
		changes = others
	}
	return nil
}

// byPool parts changes in those in the pool of a dataset, and the others.
func byPool(changes []zfs.Change, dataset string) (same, others []zfs.Change) {
	for _, c := range changes {
		if zfs.PoolOf(c.Dataset) == zfs.PoolOf(dataset) {
			same = append(same, c)
		} else {
			others = append(others, c)
		}
	}
	return same, others
}

// tellAll is setAll for snapshots of which other tools may have pruned some
// meanwhile.
func (m *Manager) tellAll(ctx context.Context, changes []zfs.Change) error {
	if err := m.setAll(ctx, changes); !zfs.Is(err, zfs.NotFound) {
		return err
	}
	for _, c := range changes {
		if err := m.sys.ZFS.Set(ctx, []zfs.Change{c}); err != nil && !zfs.Is(err, zfs.NotFound) {
			return err
		}
	}
	return nil
}
