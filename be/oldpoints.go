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
	st, err := m.read(ctx)
	if err == nil {
		err = m.readZones(ctx, st)
	}
	if err != nil {
		return nil, err
	}
	of := []*state{st}
	for _, z := range st.zones {
		of = append(of, st.zoneState(z))
	}
	snaps, err := m.rootSnapshots(ctx, of)
	if err != nil {
		return nil, err
	}
	var changes []zfs.Change
	for _, st := range of {
		changes = append(changes, st.settleHistory(snaps)...)
	}
	if err := m.setAll(ctx, changes); err != nil {
		return nil, err
	}
	var old []string
	for _, st := range of {
		old = append(old, oldPoints(st, snaps)...)
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

// rootSnapshots lists the snapshots of all root datasets: one process.
func (m *Manager) rootSnapshots(ctx context.Context, of []*state) ([]zfs.Dataset, error) {
	var roots []string
	for _, st := range of {
		for _, b := range st.bes {
			if b.Unfinished == "" {
				roots = append(roots, b.Dataset)
			}
		}
	}
	if len(roots) == 0 {
		return nil, nil
	}
	snaps, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: roots, Depth: 1, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{propOp, propHad, "clones", "userrefs"}})
	return slices.DeleteFunc(snaps, func(s zfs.Dataset) bool {
		name, _, _ := splitName(s.Name)
		return !slices.Contains(roots, name)
	}), err
}

// settleHistory adds to each BE's history its sync point and what that had taken
// over, which its snapshot says, and forgets BEs that have gone. Only what
// has come to its end is settled, so nothing of it is ever taken back.
func (st *state) settleHistory(snaps []zfs.Dataset) (changes []zfs.Change) {
	for i := range st.bes {
		b := &st.bes[i]
		if b.Unfinished != "" || b.UUID == "" {
			continue
		}
		had, point := b.taken(), parseSyncPoint(b.synced)
		for _, s := range snaps {
			if name, snap, _ := splitName(s.Name); snap == point.Snap && snap != "" && st.isRoot(name) {
				had.addAll(parseHistory(s.Local(propHad)))
			}
		}
		delete(had, b.UUID)
		maps.DeleteFunc(had, func(uuid, _ string) bool { _, ok := st.byUUID(uuid); return !ok })
		if had.String() != b.had.String() {
			changes = append(changes, setHad(b.Dataset, had))
			b.had = had
		}
		if _, ok := st.byUUID(point.From); point.From != "" && !ok {
			changes = append(changes, setSynced(b.Dataset, ""))
			b.synced = ""
		}
	}
	return changes
}

// isRoot tells whether a dataset is the root of one of the BEs.
func (st *state) isRoot(dataset string) bool {
	return slices.ContainsFunc(st.bes, func(b BE) bool { return b.Dataset == dataset })
}

// oldPoints are the sync points that no history names. One that a promotion has
// brought to another BE stays wherever it is.
func oldPoints(st *state, snaps []zfs.Dataset) (old []string) {
	wanted := map[string]bool{}
	for _, b := range st.bes {
		for uuid, snap := range b.taken() {
			from, ok := st.byUUID(uuid)
			if !ok {
				continue
			}
			at := from.Dataset + "@" + snap
			if slices.ContainsFunc(snaps, func(s zfs.Dataset) bool { return s.Name == at }) {
				wanted[at] = true
			} else {
				wanted[snap] = true
			}
		}
	}
	for _, s := range snaps {
		name, snap, _ := splitName(s.Name)
		ours := st.isRoot(name) && strings.HasPrefix(snap, syncPrefix) && s.Local(propOp) != ""
		if ours && !wanted[s.Name] && !wanted[snap] && s.Value("clones") == "" && number(s.Value("userrefs")) == 0 {
			old = append(old, s.Name)
		}
	}
	return old
}
