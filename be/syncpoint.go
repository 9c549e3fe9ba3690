package be

import (
	"context"
	"fmt"
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

// setSynced is the change that gives a BE's dataset its sync point.
func setSynced(dataset, point string) zfs.Change {
	if point == "" {
		return zfs.Change{Dataset: dataset, Inherit: []string{propSynced}}
	}
	return zfs.Change{Dataset: dataset, Set: zfs.Props{propSynced: point}}
}

// sideNames are the snapshots of that name of the BEs' datasets on the pool of
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

// snapshotOnce makes snapshots of one pool in one transaction group, unless this
// operation has made them already.
func (m *Manager) snapshotOnce(ctx context.Context, names []string, id string, props zfs.Props) error {
	if len(names) == 0 {
		return nil
	}
	d, ok, err := m.snapshotMark(ctx, names[0])
	if err != nil || ok && d == id {
		return err
	}
	marked := zfs.Props{propOp: id}
	for k, v := range props {
		marked[k] = v
	}
	return m.sys.ZFS.Snapshot(ctx, names, marked)
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

// baseOf finds what source and target have in common: the state of the source
// that the target has taken over, where the source comes from that, else the
// youngest snapshot that both come from.
func (m *Manager) baseOf(ctx context.Context, source, target BE) (found base, err error) {
	mine, err := m.lineage(ctx, source.Dataset)
	if err != nil {
		return found, err
	}
	theirs, err := m.lineage(ctx, target.Dataset)
	if err != nil {
		return found, err
	}
	if name := common(mine, theirs); name != "" {
		if found.tree, err = m.treeAt(ctx, name); err != nil {
			return found, err
		}
	}
	point := parseSyncPoint(target.synced)
	if at := snapshotIn(mine, point.Snap); at != "" {
		found.origin = found.tree
		if found.tree, err = m.treeAt(ctx, at); err != nil {
			return found, err
		}
		// A handover leaves a snapshot of either side, by the same name.
		was := snapshotIn(theirs, point.Snap)
		if was != "" && parseSyncPoint(source.synced).Snap == point.Snap {
			found.was, err = m.treeAt(ctx, was)
		}
	}
	if found.tree == nil {
		found.notes = append(found.notes, fmt.Sprintf("%q and %q have no snapshot in common: a file counts as changed when it is newer than %q", source.Name, target.Name, target.Name))
	}
	return found, err
}

// common is the youngest snapshot of both lineages, by GUID: one that was
// received has another name. It is "" where there is none.
func common(mine, theirs []zfs.Dataset) string {
	for _, s := range mine {
		for _, t := range theirs {
			if s.Value("guid") == t.Value("guid") {
				return s.Name
			}
		}
	}
	return ""
}

// snapshotIn finds a sync point in a lineage: what it was made of may have been
// promoted since, or cloned.
func snapshotIn(line []zfs.Dataset, snap string) string {
	for _, s := range line {
		if _, name, _ := splitName(s.Name); snap != "" && name == snap {
			return s.Name
		}
	}
	return ""
}

// treeAt is the tree of a BE as a snapshot of its root dataset holds it, with
// those nested datasets that have the snapshot too.
func (m *Manager) treeAt(ctx context.Context, snapshot string) (mount.Tree, error) {
	root, snap, _ := splitName(snapshot)
	t, err := m.tree(ctx, BE{Dataset: root})
	if err != nil {
		return nil, err
	}
	named, err := m.named(ctx, root, snap)
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

// dropOldPoints destroys sync points that no BE's property names any more. What
// cannot go stays for the next time, and the notes tell.
func (m *Manager) dropOldPoints(ctx context.Context) (notes []string, err error) {
	st, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.forgetSyncs(ctx, st); err != nil {
		return nil, err
	}
	old, err := m.oldPoints(ctx, st)
	for _, point := range old {
		root, snap, _ := splitName(point)
		named, err := m.named(ctx, root, snap)
		if err == nil {
			err = m.sys.ZFS.Destroy(ctx, zfs.Removal{Datasets: bottomUp(named)})
		}
		if zfs.Is(err, zfs.Busy) || zfs.Is(err, zfs.Dependents) {
			notes = append(notes, fmt.Sprintf("%s, of a former sync, stays: %v", point, err))
		} else if err != nil {
			return notes, err
		}
	}
	return notes, err
}

// forgetSyncs takes what BEs have taken over from those that have gone off them.
func (m *Manager) forgetSyncs(ctx context.Context, st *state) error {
	var changes []zfs.Change
	for _, b := range st.bes {
		from := parseSyncPoint(b.synced).From
		there := slices.ContainsFunc(st.bes, func(x BE) bool { return x.UUID == from })
		if from != "" && !there && b.Unfinished == "" {
			changes = append(changes, setSynced(b.Dataset, ""))
		}
	}
	return m.sys.ZFS.Set(ctx, changes)
}

// oldPoints lists them by their root datasets: one process for all BEs.
func (m *Manager) oldPoints(ctx context.Context, st *state) (old []string, err error) {
	wanted, roots := map[string]bool{}, []string{}
	for _, b := range st.bes {
		p := parseSyncPoint(b.synced)
		if from, ok := st.byUUID(p.From); ok {
			wanted[from.Dataset+"@"+p.Snap] = true
		}
		if b.Unfinished == "" {
			roots = append(roots, b.Dataset)
		}
	}
	if len(roots) == 0 {
		return nil, nil
	}
	snaps, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: roots, Depth: 1, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{propOp, "clones", "userrefs"}})
	for _, s := range snaps {
		name, snap, _ := splitName(s.Name)
		ours := strings.HasPrefix(snap, syncPrefix) && s.Local(propOp) != ""
		if ours && slices.Contains(roots, name) && !wanted[s.Name] && s.Value("clones") == "" && number(s.Value("userrefs")) == 0 {
			old = append(old, s.Name)
		}
	}
	return old, err
}
