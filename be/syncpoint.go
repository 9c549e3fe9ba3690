package be

import (
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
	// Back marks the other side of a handover: From has taken over from this BE,
	// and what it had changed itself is not here.
	Back bool
}

// syncPrefix begins the names of such snapshots.
const syncPrefix = "sync-"

func (p syncPoint) String() string {
	if p.From == "" {
		return ""
	}
	if p.Back {
		return p.From + " " + p.Snap + " back"
	}
	return p.From + " " + p.Snap
}

func parseSyncPoint(s string) (p syncPoint) {
	f := append(strings.Fields(s), "", "", "")
	return syncPoint{f[0], f[1], f[2] == "back"}
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

// snapshotSides snapshots all that a sync is about; after tells that the target has
// taken over already.
func (m *Manager) snapshotSides(ctx context.Context, s *syncing, snap, id string, after bool) error {
	names, err := m.sideNames(ctx, snap, s.sides()...)
	if err == nil {
		err = m.snapshotOnce(ctx, names, id, s.source.had.props())
	}
	if err != nil {
		return err
	}
	return m.tellPoints(ctx, s, snap, after)
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

// baseOf finds what source and target have in common: the youngest snapshot of any
// BE whose content both of them have. Either comes from it, or has taken it over.
func (m *Manager) baseOf(ctx context.Context, st *state, source, target BE) (found base, err error) {
	l, err := m.lines(ctx, st)
	if err != nil {
		return found, err
	}
	mine, theirs := l.of(source.Dataset), l.has(st, target)
	origin := common(mine, l.of(target.Dataset))
	youngest := origin
	for guid, s := range l.has(st, source) {
		if _, both := theirs[guid]; both && (txg(s) > txg(youngest) || txg(s) == txg(youngest) && s.Name < youngest.Name) {
			youngest = s
		}
	}
	back, was := l.parted(source, target)
	if back.Name == "" || txg(back) < txg(youngest) {
		back, was = youngest, zfs.Dataset{}
	}
	for tree, s := range map[*mount.Tree]zfs.Dataset{&found.tree: back, &found.was: was, &found.origin: origin} {
		if s.Name == "" || tree == &found.origin && s.Name == back.Name {
			continue
		}
		if *tree, err = m.treeAt(ctx, s.Name); err != nil {
			return found, err
		}
	}
	point := parseSyncPoint(target.synced)
	switch {
	case found.tree == nil:
		found.notes = append(found.notes, fmt.Sprintf("%q and %q have no snapshot in common: a file counts as changed when it is newer than %q", source.Name, target.Name, target.Name))
	case point.From == source.UUID && point.Snap != "" && snapshotIn(mine, point.Snap).Name == "":
		found.notes = append(found.notes, fmt.Sprintf("the snapshot %s, which %q has taken over from %q, has gone: judged by an older one, so that what was locked or removed since may not be seen", point.Snap, target.Name, source.Name))
	}
	return found, err
}

// parted are the snapshots of a handover between the two, where neither has taken
// anything over since: the source, and the target as it then was.
func (l *lines) parted(source, target BE) (back, was zfs.Dataset) {
	p, q := parseSyncPoint(target.synced), parseSyncPoint(source.synced)
	if p.Snap == "" || p.Snap != q.Snap || p.From != source.UUID || q.From != target.UUID {
		return back, was
	}
	back, was = snapshotIn(l.of(source.Dataset), p.Snap), snapshotIn(l.of(target.Dataset), p.Snap)
	if was.Name == "" {
		return zfs.Dataset{}, was
	}
	return back, was
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
