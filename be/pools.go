package be

import (
	"context"
	"slices"

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

// mostTold is how many changes tellAll makes at once: they are arguments of a program,
// of which Linux takes 2 MiB.
const mostTold = 1000

// tellAll is setAll for snapshots of which other tools may have pruned some
// meanwhile, and may have made thousands. Each change stands for itself.
func (m *Manager) tellAll(ctx context.Context, changes []zfs.Change) error {
	for some := range slices.Chunk(changes, mostTold) {
		err := m.setAll(ctx, some)
		if err != nil && !zfs.Is(err, zfs.NotFound) {
			return err
		}
		if err == nil {
			continue
		}
		for _, c := range some {
			if err := m.sys.ZFS.Set(ctx, []zfs.Change{c}); err != nil && !zfs.Is(err, zfs.NotFound) {
				return err
			}
		}
	}
	return nil
}
