package be

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"snapbe/internal/mount"
	"snapbe/internal/zfs"
)

// A sync point is a state of one BE that another one has taken over: a snapshot
// of the former, named in a property of the latter. The next sync between the
// two judges by it what has changed since; without one, by the snapshot that
// both come from.
type syncPoint struct {
	// From is the UUID of the BE that the snapshot Snap belongs to.
	From, Snap string
}

// syncPrefix begins the names of such snapshots.
const syncPrefix = "sync-"

func (p syncPoint) String() string {
	if p.From == "" {
		return ""
	}
	return p.From + " " + p.Snap
}

func parseSyncPoint(s string) (p syncPoint) {
	p.From, p.Snap, _ = strings.Cut(s, " ")
	return p
}

// history is what a BE has taken over from others, in time and through third
// ones: by UUID the name of the youngest snapshot of that one.
type history map[string]string

// parseHistory reads pairs with commas between.
func parseHistory(text string) history {
	h := history{}
	for pair := range strings.SplitSeq(text, ",") {
		h.add(parseSyncPoint(pair))
	}
	return h
}

// maxHistory keeps a history far below the 8 KiB of a property.
const maxHistory = 50

func (h history) String() string {
	uuids := slices.SortedFunc(maps.Keys(h), func(a, b string) int {
		return cmp.Or(-cmp.Compare(age(h[a]), age(h[b])), cmp.Compare(a, b))
	})
	pairs := make([]string, 0, len(h))
	for _, uuid := range uuids[:min(len(uuids), maxHistory)] {
		pairs = append(pairs, syncPoint{uuid, h[uuid]}.String())
	}
	return strings.Join(pairs, ",")
}

// age orders the names of snapshots by the time that they have in them.
func age(snap string) string { return strings.TrimPrefix(snap, syncPrefix) }

func (h history) add(p syncPoint) {
	if p.From != "" && p.Snap != "" && age(p.Snap) > age(h[p.From]) {
		h[p.From] = p.Snap
	}
}

func (h history) addAll(more history) {
	for uuid, snap := range more {
		h.add(syncPoint{uuid, snap})
	}
}

// taken is what a BE has taken over, with its sync point.
func (b BE) taken() history {
	h := history{}
	h.addAll(b.had)
	h.add(parseSyncPoint(b.synced))
	return h
}

// historyProps are what a sync point of a BE is given.
func (b BE) historyProps() zfs.Props {
	had := b.taken()
	if len(had) == 0 {
		return nil
	}
	return zfs.Props{propHad: had.String()}
}

// setHad is the change that gives a BE's dataset its history.
func setHad(dataset string, h history) zfs.Change {
	if len(h) == 0 {
		return zfs.Change{Dataset: dataset, Inherit: []string{propHad}}
	}
	return zfs.Change{Dataset: dataset, Set: zfs.Props{propHad: h.String()}}
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
		if len(d.Name)+1+len(snap) > maxDataset {
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

// snapshotSides snapshots all that a sync is about.
func (m *Manager) snapshotSides(ctx context.Context, s *syncing, snap, id string) error {
	names, err := m.sideNames(ctx, snap, s.sides()...)
	if err == nil {
		err = m.snapshotOnce(ctx, names, id, s.source.historyProps())
	}
	if err != nil {
		return err
	}
	return m.tellPoints(ctx, s, snap)
}

// dropSides takes these snapshots away.
func (m *Manager) dropSides(ctx context.Context, id, snap string, zones bool, roots ...string) error {
	if zones {
		in, err := m.zoneContainers(ctx)
		if err != nil {
			return err
		}
		roots = append(roots, in...)
	}
	return m.destroyMarked(ctx, roots, id, func(name string) bool { return strings.HasSuffix(name, "@"+snap) })
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

// base is what the files of two BEs are judged against.
type base struct {
	// tree is the common state, origin an older one, of before the first sync:
	// what the target has still not taken over since is tried again. On the
	// way back from a handover, was is the target as that left it. Each may be
	// nil.
	tree, origin, was mount.Tree
	// notes tell where there is none.
	notes []string
}

// baseOf finds what source and target have in common: the youngest state of any
// BE that both of them have. That is the snapshot that both come from, or what
// one has taken over from the other, or both from a third one.
func (m *Manager) baseOf(ctx context.Context, st *state, source, target BE) (found base, err error) {
	mine, err := m.lineage(ctx, source.Dataset)
	if err != nil {
		return found, err
	}
	theirs, err := m.lineage(ctx, target.Dataset)
	if err != nil {
		return found, err
	}
	origin := common(mine, theirs)
	youngest := origin
	consider := func(line []zfs.Dataset, snap string) {
		if s := snapshotIn(line, snap); s.Name != "" && txg(s) > txg(youngest) {
			youngest = s
		}
	}
	has, gives := target.taken(), source.taken()
	consider(mine, has[source.UUID])
	consider(theirs, gives[target.UUID])
	for uuid, snap := range has {
		third, ok := st.byUUID(uuid)
		if !ok || gives[uuid] == "" || uuid == source.UUID || uuid == target.UUID {
			continue
		}
		line, err := m.lineage(ctx, third.Dataset)
		if err != nil {
			return found, err
		}
		if age(gives[uuid]) < age(snap) {
			snap = gives[uuid]
		}
		consider(line, snap)
	}
	return m.baseAt(ctx, source, target, theirs, origin, youngest)
}

// baseAt makes a base of the youngest common state and of the origin.
func (m *Manager) baseAt(ctx context.Context, source, target BE, theirs []zfs.Dataset, origin, youngest zfs.Dataset) (found base, err error) {
	if youngest.Name != "" {
		if found.tree, err = m.treeAt(ctx, youngest.Name); err != nil {
			return found, err
		}
	}
	if origin.Name != "" && origin.Name != youngest.Name {
		if found.origin, err = m.treeAt(ctx, origin.Name); err != nil {
			return found, err
		}
	}
	point := parseSyncPoint(target.synced)
	_, at, _ := splitName(youngest.Name)
	if point.Snap != "" && at == point.Snap && point.From == source.UUID {
		// A handover leaves a snapshot of either side, by the same name.
		was := snapshotIn(theirs, point.Snap)
		if was.Name != "" && parseSyncPoint(source.synced).Snap == point.Snap {
			found.was, err = m.treeAt(ctx, was.Name)
		}
	}
	switch {
	case found.tree == nil:
		found.notes = append(found.notes, fmt.Sprintf("%q and %q have no snapshot in common: a file counts as changed when it is newer than %q", source.Name, target.Name, target.Name))
	case point.From == source.UUID && point.Snap != "" && age(at) < age(point.Snap):
		found.notes = append(found.notes, fmt.Sprintf("the snapshot %s, which %q has taken over from %q, has gone: judged by an older one, so that what was locked or removed since may not be seen", point.Snap, target.Name, source.Name))
	}
	return found, err
}

// common is the youngest snapshot of both lineages, by GUID: one that was
// received has another name. It has no name where there is none.
func common(mine, theirs []zfs.Dataset) zfs.Dataset {
	for _, s := range mine {
		for _, t := range theirs {
			if s.Value("guid") == t.Value("guid") {
				return s
			}
		}
	}
	return zfs.Dataset{}
}

// snapshotIn finds a sync point in a lineage: what it was made of may have been
// promoted since, or cloned.
func snapshotIn(line []zfs.Dataset, snap string) zfs.Dataset {
	for _, s := range line {
		if _, name, _ := splitName(s.Name); snap != "" && name == snap {
			return s
		}
	}
	return zfs.Dataset{}
}

// treeAt is the tree of a BE as a snapshot of its root dataset holds it, with
// those nested datasets that have the snapshot too.
func (m *Manager) treeAt(ctx context.Context, snapshot string) (mount.Tree, error) {
	root, snap, _ := splitName(snapshot)
	t, err := m.tree(ctx, BE{Dataset: root})
	if err != nil {
		return nil, err
	}
	named, err := m.named(ctx, snap, root)
	if err != nil {
		return nil, err
	}
	var at mount.Tree
	for _, e := range t {
		if slices.ContainsFunc(named, func(d zfs.Dataset) bool { return d.Name == e.Dataset+"@"+snap }) {
			e.Dataset += "@" + snap
			at = append(at, e)
		}
	}
	return at, nil
}

// lineage lists what a filesystem comes from, youngest first: its snapshots, its
// origin and what is older than that there, and so on.
func (m *Manager) lineage(ctx context.Context, dataset string) (line []zfs.Dataset, err error) {
	before := ^uint64(0)
	for dataset != "" {
		ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{dataset}, Depth: 1,
			Kinds: []zfs.Kind{zfs.Filesystem, zfs.Snapshot}, Props: []string{"guid", "createtxg", "origin"}})
		if err != nil {
			return nil, err
		}
		origin := ""
		for _, d := range slices.Backward(ds) {
			name, _, isSnap := splitName(d.Name)
			switch {
			case name != dataset:
			case !isSnap:
				origin = d.Value("origin")
			case txg(d) <= before:
				line = append(line, d)
			}
		}
		dataset = ""
		if origin != "" {
			o, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{origin}, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{"createtxg"}})
			if err != nil {
				return nil, err
			}
			before = txg(o[0])
			dataset, _, _ = splitName(origin)
		}
	}
	return line, nil
}
