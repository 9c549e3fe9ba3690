package be

import (
	"context"
	"maps"
	"slices"

	"snapbe/internal/zfs"
	"snapbe/zones"
)

// parts are the syncs of the host, unless that has its part already, and of zones.
func (s *syncing) parts() []*syncing {
	if s.zonesAlone {
		return s.zones
	}
	return append([]*syncing{s}, s.zones...)
}

// sides are the root datasets that a sync is about, those of the zones too: of both
// sides, or of the sources alone.
func (s *syncing) sides(both bool) (roots []string) {
	for _, x := range s.parts() {
		roots = append(roots, x.source.Dataset)
		if both {
			roots = append(roots, x.target.Dataset)
		}
	}
	return roots
}

// tellPoints completes the snapshots of both sides, or of the sources: with the facts
// of each, and those of a zone's target with what that had taken over before, by
// which it is taken back.
func (m *Manager) tellPoints(ctx context.Context, s *syncing, snap string, both bool) error {
	var changes []zfs.Change
	tell := func(b BE, props zfs.Props) {
		if len(props) > 0 {
			changes = append(changes, zfs.Change{Dataset: b.Dataset + "@" + snap, Set: props})
		}
	}
	for _, x := range s.parts() {
		tell(x.source, x.source.had.props())
		if !both {
			continue
		}
		props := zfs.Props{}
		maps.Copy(props, x.target.had.props())
		if x != s && x.target.synced != "" {
			props[propSynced] = x.target.synced
		}
		tell(x.target, props)
	}
	return m.setAll(ctx, changes)
}

// snapshotTaken snapshots the targets of syncs when they have taken a point over,
// with what they have then.
func (m *Manager) snapshotTaken(ctx context.Context, parts []*syncing, snap, id string) error {
	if len(parts) == 0 {
		return nil
	}
	roots, of := []string{}, []*state{}
	for _, x := range parts {
		roots, of = append(roots, x.target.Dataset), append(of, x.st)
	}
	names, err := m.sideNames(ctx, takenName(snap), roots...)
	if err == nil {
		err = m.snapshotOnce(ctx, names, id, nil)
	}
	if err != nil {
		return err
	}
	l, err := m.lines(ctx, of...)
	if err != nil {
		return err
	}
	var changes []zfs.Change
	for _, x := range parts {
		all := slices.Concat(l.facts(x.st, x.target), l.facts(x.st, x.source), facts{snapshotIn(l.snaps[x.source.Dataset], snap).Value("guid")})
		changes = append(changes, setHad(x.target.Dataset+"@"+takenName(snap), l.least(x.target, all)))
	}
	return m.setAll(ctx, changes)
}

// nameTaken names a point on the targets of syncs that have taken it over, each for
// itself: there is no way back from it.
func (m *Manager) nameTaken(ctx context.Context, of []*syncing, point syncPoint, id string) error {
	if err := m.snapshotTaken(ctx, of, point.Snap, id); err != nil {
		return err
	}
	var changes []zfs.Change
	for _, x := range of {
		changes = append(changes, setSynced(x.target.Dataset, point.String()))
	}
	return m.setAll(ctx, changes)
}

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

// setPoints names a sync point on the host and its zones; more is what commits
// with it on the host's pool. What lies on other pools comes before: whether it
// counts is then decided by one transaction group, and until that it is taken back.
func (m *Manager) setPoints(ctx context.Context, s *syncing, point string, host zfs.Change, more ...zfs.Change) error {
	changes := make([]zfs.Change, 0, len(s.zones))
	for _, z := range s.zones {
		changes = append(changes, setSynced(z.target.Dataset, point))
	}
	same, others := byPool(changes, host.Dataset)
	if err := m.setAll(ctx, others); err != nil {
		return err
	}
	return m.sys.ZFS.Set(ctx, slices.Concat(more, []zfs.Change{host}, same))
}

// pointsBack are the changes that take sync points off zones again. What a zone
// had before stands on its snapshot of that name; only the operation's own counts.
func (m *Manager) pointsBack(ctx context.Context, id, snap string, uuids ...string) (changes []zfs.Change, err error) {
	of, err := m.zonesOf(ctx, uuids...)
	of = slices.DeleteFunc(of, func(z zones.BE) bool { return parseSyncPoint(z.Synced).Snap != snap })
	for _, z := range of {
		ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{z.Dataset + "@" + snap}, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{propOp, propSynced}})
		if zfs.Is(err, zfs.NotFound) || err == nil && ds[0].Local(propOp) != id {
			continue
		} else if err != nil {
			return nil, err
		}
		changes = append(changes, setSynced(z.Dataset, ds[0].Local(propSynced)))
	}
	return changes, err
}

// takePointsBack is the way back from setPoints; more is what goes with it.
func (m *Manager) takePointsBack(ctx context.Context, id string, args syncArgs, host zfs.Change, more ...zfs.Change) error {
	var back []zfs.Change
	if args.Zones {
		var err error
		if back, err = m.pointsBack(ctx, id, args.Snap, args.To); err != nil {
			return err
		}
	}
	same, others := byPool(back, host.Dataset)
	if err := m.sys.ZFS.Set(ctx, slices.Concat(more, []zfs.Change{host}, same)); err != nil {
		return err
	}
	return m.setAll(ctx, others)
}
