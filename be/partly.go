package be

import (
	"context"
	"slices"
	"strings"

	"snapbe/internal/zfs"
)

// maxPartly is how many states of others it is known of that a BE has them in part:
// a handover may fail time and again.
const maxPartly = 4

// parsePartly reads no more of them than are ever told: each is mounted for a sync.
func parsePartly(text string) (points []syncPoint) {
	for p := range strings.SplitSeq(text, ",") {
		if p != "" {
			points = append(points, parseSyncPoint(p))
		}
	}
	return points[max(0, len(points)-maxPartly):]
}

// setPartly is the change that tells what a BE has begun to take over.
func setPartly(dataset string, points []syncPoint) zfs.Change {
	var text []string
	for _, p := range points[max(0, len(points)-maxPartly):] {
		text = append(text, p.String())
	}
	if len(text) == 0 {
		return zfs.Change{Dataset: dataset, Inherit: []string{propPartly}}
	}
	return zfs.Change{Dataset: dataset, Set: zfs.Props{propPartly: strings.Join(text, ",")}}
}

// partly is what a BE has begun to take over, and not come to the end of, nor of
// what was made later; oldest first.
func (l *lines) partly(st *state, b BE) (points []syncPoint, snaps []zfs.Dataset) {
	if len(b.partly) == 0 {
		return nil, nil
	}
	has := l.has(st, b)
	for _, p := range b.partly {
		from, _ := st.byUUID(p.From)
		s := snapshotIn(l.of(from.Dataset), p.Snap)
		if _, whole := has[s.Value("guid")]; s.Name != "" && !whole {
			points, snaps = append(points, p), append(snaps, s)
		}
	}
	return points, snaps
}

// partlyAt is what of it a BE had begun to take over when a snapshot of it was made.
func (l *lines) partlyAt(st *state, b BE, at zfs.Dataset) (points []syncPoint) {
	all, snaps := l.partly(st, b)
	for i, p := range all {
		if txg(snaps[i]) < txg(at) {
			points = append(points, p)
		}
	}
	return points
}

// tellPartly tells of the targets of a sync, which has no way back, what they have
// from now on in part. It goes by itself when they have it all, or something later.
func (m *Manager) tellPartly(ctx context.Context, s *syncing, point syncPoint) error {
	of := []*state{}
	for _, x := range s.parts() {
		of = append(of, x.st)
	}
	l, err := m.lines(ctx, of...)
	if err != nil {
		return err
	}
	var changes []zfs.Change
	for _, x := range s.parts() {
		points, _ := l.partly(x.st, x.target)
		if !slices.Contains(points, point) {
			points = append(points, point)
		}
		changes = append(changes, setPartly(x.target.Dataset, points))
	}
	return m.setAll(ctx, changes)
}
