package be

import (
	"context"
	"slices"
	"strings"

	"snapbe/internal/zfs"
	"snapbe/zones"
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

// maxPoint is longer than any sync point; what is recorded of an operation must hold
// it.
const maxPoint = 128

// knownPoint is what a property says, "" where snapbe has not said it.
func knownPoint(text string) string {
	if len(text) > maxPoint {
		return ""
	}
	return text
}

// setSynced is the change that gives a BE's dataset its sync point.
func setSynced(dataset, point string) zfs.Change {
	if point == "" {
		return zfs.Change{Dataset: dataset, Inherit: []string{propSynced}}
	}
	return zfs.Change{Dataset: dataset, Set: zfs.Props{propSynced: point}}
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

func (m *Manager) syncedOf(ctx context.Context, dataset string) (string, error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{dataset}, Props: []string{propSynced}})
	if err != nil {
		return "", err
	}
	return ds[0].Local(propSynced), nil
}
