package be

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"snapbe/internal/zfs"
)

// dropOldPoints settles what each BE has taken over, and destroys sync points
// that no BE's history names any more; so it does with those of each zone. What
// cannot go stays for the next time, and the notes tell.
func (m *Manager) dropOldPoints(ctx context.Context) (notes []string, err error) {
	st, err := m.readAll(ctx)
	if err != nil {
		return nil, err
	}
	of := st.withZoneStates()
	l, err := m.lines(ctx, of...)
	if err != nil {
		return nil, err
	}
	var changes []zfs.Change
	for _, st := range of {
		changes = append(changes, l.settle(st)...)
	}
	if err := m.setAll(ctx, changes); err != nil {
		return nil, err
	}
	var old []string
	for _, st := range of {
		old = append(old, l.old(st)...)
	}
	if err := m.tellAll(ctx, l.handOn(old)); err != nil {
		return nil, err
	}
	return m.dropPoints(ctx, old)
}

// dropPoints destroys the snapshots of sync points, in the nested datasets too:
// one transaction group for each pool, or one by one where something is in the way.
func (m *Manager) dropPoints(ctx context.Context, old []string) (notes []string, err error) {
	var roots []string
	for _, point := range old {
		if root, _, _ := splitName(point); !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
	if len(roots) == 0 {
		return nil, nil
	}
	all, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: roots, Depth: -1, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{"type"}})
	if err != nil {
		return nil, err
	}
	byPool := map[string][]string{}
	going := map[string][]zfs.Dataset{}
	for _, point := range old {
		root, snap, _ := splitName(point)
		byPool[zfs.PoolOf(root)] = append(byPool[zfs.PoolOf(root)], point)
		for _, d := range all {
			if name, s, _ := splitName(d.Name); s == snap && within(name, root) {
				going[point] = append(going[point], d)
			}
		}
	}
	for _, pool := range slices.Sorted(maps.Keys(byPool)) {
		kept, err := m.dropInPool(ctx, byPool[pool], going)
		if notes = append(notes, kept...); err != nil {
			return notes, err
		}
	}
	return notes, nil
}

// dropInPool is dropPoints for one pool; going are the snapshots of each point.
func (m *Manager) dropInPool(ctx context.Context, points []string, going map[string][]zfs.Dataset) (notes []string, err error) {
	var all []zfs.Dataset
	for _, p := range points {
		all = append(all, going[p]...)
	}
	inUse := func(err error) bool { return zfs.Is(err, zfs.Busy) || zfs.Is(err, zfs.Dependents) }
	if err := m.sys.ZFS.Destroy(ctx, zfs.Removal{Datasets: bottomUp(all)}); !inUse(err) {
		return nil, err
	}
	for _, p := range points {
		err := m.sys.ZFS.Destroy(ctx, zfs.Removal{Datasets: bottomUp(going[p])})
		if inUse(err) {
			notes = append(notes, fmt.Sprintf("%s, of a former sync, stays: %v", p, err))
		} else if err != nil {
			return notes, err
		}
	}
	return notes, nil
}

// settle adds to each BE's facts its sync point and what that had taken over, and
// forgets what has gone. Only what has come to its end is settled, so nothing of it
// is ever taken back.
func (l *lines) settle(st *state) (changes []zfs.Change) {
	for i := range st.bes {
		b := &st.bes[i]
		if b.Unfinished != "" || b.UUID == "" {
			continue
		}
		if points, _ := l.partly(st, *b); len(points) != len(b.partly) {
			changes = append(changes, setPartly(b.Dataset, points))
			b.partly = points
		}
		if f := l.facts(st, *b); f.String() != b.had.String() {
			changes = append(changes, setHad(b.Dataset, f))
			b.had = f
		}
		from := parseSyncPoint(b.synced).From
		if _, ok := st.byUUID(from); from != "" && !ok {
			changes = append(changes, setSynced(b.Dataset, ""))
			b.synced = ""
		}
	}
	return changes
}

// wanted are the snapshots that the facts and sync points of BEs name, by GUID; of
// those BEs that stay, and when the snapshots that go are no more.
func (l *lines) wanted(st *state, stays func(BE) bool, goes func(zfs.Dataset) bool) map[string]bool {
	all, names := map[string]bool{}, map[string]bool{}
	want := func(b BE, f facts) {
		for _, guid := range l.told(b.Dataset, f, goes) {
			all[guid] = true
			_, snap, _ := splitName(l.guids[guid].Name)
			names[snap] = true
		}
	}
	for _, b := range st.bes {
		if !stays(b) {
			continue
		}
		want(b, l.facts(st, b))
		_, partly := l.partly(st, b)
		for _, s := range partly {
			all[s.Value("guid")] = true
		}
		f, last := l.hadAt(l.origin[b.Dataset]), ""
		for _, s := range l.snaps[b.Dataset] { // what one can go back to, or clone
			if text := s.Local(propHad); text != "" {
				f = parseFacts(text)
			}
			// One of another tool goes by the one before it.
			if _, snap, _ := splitName(s.Name); !isPoint(snap) && f.String() != last {
				want(b, f)
				last = f.String()
			}
		}
	}
	for _, b := range st.bes {
		for _, s := range l.snaps[b.Dataset] { // what a target was then
			if _, snap, _ := splitName(s.Name); strings.HasPrefix(snap, takenPrefix) && names[syncPrefix+strings.TrimPrefix(snap, takenPrefix)] {
				all[s.Value("guid")] = true
			}
		}
	}
	return all
}

// old are the sync points that nothing names, wherever a promotion has brought them.
func (l *lines) old(st *state) (old []string) {
	wanted := l.wanted(st, func(BE) bool { return true }, func(zfs.Dataset) bool { return false })
	for _, b := range st.bes {
		if b.Unfinished != "" {
			continue
		}
		for _, s := range l.snaps[b.Dataset] {
			_, snap, _ := splitName(s.Name)
			ours := isPoint(snap) && s.Local(propOp) != ""
			if ours && !wanted[s.Value("guid")] && s.Value("clones") == "" && number(s.Value("userrefs")) == 0 {
				old = append(old, s.Name)
			}
		}
	}
	return old
}

// wantedWithout are the snapshots that BEs name which are not below what goes.
func (m *Manager) wantedWithout(ctx context.Context, goes func(dataset string) bool, snapshots func(zfs.Dataset) bool) (map[string]bool, error) {
	st, err := m.readAll(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	of := st.withZoneStates()
	l, err := m.lines(ctx, of...)
	if err != nil {
		return nil, err
	}
	for _, st := range of {
		maps.Copy(all, l.wanted(st, func(b BE) bool { return !goes(b.Dataset) }, snapshots))
	}
	return all, nil
}
