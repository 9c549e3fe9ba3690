package be

import (
	"context"
	"maps"
	"slices"

	"snapbe/internal/zfs"
)

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

// sideNames are the snapshots of that name of the BEs' datasets on the pools of
// the roots: /boot is no part of a sync.
func (m *Manager) sideNames(ctx context.Context, snap string, roots ...string) ([]string, error) {
	if len(roots) == 0 { // which would be every pool
		return nil, nil
	}
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: roots, Depth: -1, Kinds: []zfs.Kind{zfs.Filesystem}, Props: []string{"type"}})
	names := make([]string, 0, len(ds))
	for _, d := range ds {
		if len(d.Name)+1+len(takenName(snap)) > maxDataset {
			return nil, refuse(Invalid, "give the boot environment a shorter name", "sync: the name of a snapshot of %s would be longer than the %d bytes of ZFS", d.Name, maxDataset)
		}
		names = append(names, d.Name+"@"+snap)
	}
	return names, err
}

// snapshotSides snapshots both sides of a sync, or the sources alone.
func (m *Manager) snapshotSides(ctx context.Context, s *syncing, snap, id string, both bool) error {
	names, err := m.sideNames(ctx, snap, s.sides(both)...)
	if err == nil {
		err = m.snapshotOnce(ctx, names, id, nil)
	}
	if err != nil {
		return err
	}
	return m.tellPoints(ctx, s, snap, both)
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

// snapshotOnce makes snapshots, those of each pool in one transaction group,
// unless this operation has made them already.
func (m *Manager) snapshotOnce(ctx context.Context, names []string, id string, props zfs.Props) error {
	marked := zfs.Props{propOp: id}
	maps.Copy(marked, props)
	for len(names) > 0 {
		pool := zfs.PoolOf(names[0])
		same, others := []string{}, []string{}
		for _, name := range names {
			if zfs.PoolOf(name) == pool {
				same = append(same, name)
			} else {
				others = append(others, name)
			}
		}
		mark, ok, err := m.snapshotMark(ctx, same[0])
		if err == nil && (!ok || mark != id) {
			err = m.sys.ZFS.Snapshot(ctx, same, marked)
		}
		if err != nil {
			return err
		}
		names = others
	}
	return nil
}

// snapshotMark is the mark of a snapshot; ok is false where it is not there.
func (m *Manager) snapshotMark(ctx context.Context, name string) (mark string, ok bool, err error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{name}, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{propOp}})
	if zfs.Is(err, zfs.NotFound) || err == nil && len(ds) == 0 {
		return "", false, nil
	} else if err != nil {
		return "", false, err
	}
	return ds[0].Local(propOp), true, nil
}

// dropSides takes these snapshots away, but for those that a target names: what it
// has taken over, if only in part, it has.
func (m *Manager) dropSides(ctx context.Context, id, snap string, zones bool, roots ...string) error {
	st, err := m.readAll(ctx)
	if err != nil {
		return err
	}
	if zones {
		roots = append(roots, st.there(st.zoneRoots)...)
	}
	var named []string
	for _, of := range st.withZoneStates() {
		for _, b := range of.bes {
			for _, p := range append(b.partly, parseSyncPoint(b.synced)) {
				if from, ok := of.byUUID(p.From); ok && p.Snap == snap {
					named = append(named, from.Dataset)
				}
			}
		}
	}
	return m.destroyMarked(ctx, roots, id, func(name string) bool {
		dataset, s, _ := splitName(name)
		return s == snap && !slices.ContainsFunc(named, func(root string) bool { return within(dataset, root) })
	})
}
