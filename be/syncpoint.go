package be

import (
	"context"
	"maps"
	"slices"
	"strings"

	"snapbe/internal/zfs"
)

// A sync point is a state of one BE that another one has taken over: a snapshot
// of the former, named in a property of the latter. The latter has a snapshot too,
// of what it was when it had. The next sync between the two judges by them what has
// changed since; without any, by the snapshot that both come from.
type syncPoint struct {
	// From is the UUID of the BE that the snapshot Snap belongs to.
	From, Snap string
}

// syncPrefix begins the names of the snapshots of sources, takenPrefix of those of
// targets that have taken one over.
const (
	syncPrefix  = "sync-"
	takenPrefix = "synced-"
)

// takenName is the name of the target's snapshot for that of the source.
func takenName(snap string) string { return takenPrefix + strings.TrimPrefix(snap, syncPrefix) }

// isPoint tells of the name of such a snapshot.
func isPoint(snap string) bool {
	return strings.HasPrefix(snap, syncPrefix) || strings.HasPrefix(snap, takenPrefix)
}

func (p syncPoint) String() string { return strings.TrimSpace(p.From + " " + p.Snap) }

func parseSyncPoint(s string) (p syncPoint) {
	p.From, p.Snap, _ = strings.Cut(s, " ")
	return p
}

// setSynced is the change that gives a BE's dataset its sync point.
func setSynced(dataset, point string) zfs.Change {
	if point == "" {
		return zfs.Change{Dataset: dataset, Inherit: []string{propSynced}}
	}
	return zfs.Change{Dataset: dataset, Set: zfs.Props{propSynced: point}}
}

// sideNames are the snapshots of that name of the BEs' datasets on the pools of
// the roots: /boot is no part of a sync.
func (m *Manager) sideNames(ctx context.Context, snap string, roots ...string) ([]string, error) {
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
