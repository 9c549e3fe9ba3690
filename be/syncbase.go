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

// base is what the files of two BEs are judged against.
type base struct {
	// tree is the common state, and was what the target was when it had taken that
	// over. origin is an older one, of before the first sync: what the target has
	// still not taken over since is tried again. had is what the source was when it
	// had taken over tree, of a third one, and known the target as the source has
	// last taken it over. Each may be nil.
	tree, origin, was, had, known mount.Tree
	// partly are states of the source that the target has begun to take over.
	partly []mount.Tree
	// logs is what the source was when it had taken over tree, of the target, and
	// logsOrigin an older common state, both for logs alone.
	logs, logsOrigin mount.Tree
	// notes tell where there is none.
	notes []string
}

// baseOf finds what source and target have in common: the youngest snapshot of any
// BE whose content both of them have. Either comes from it, or has taken it over.
//
// Where that is the target's own, all that differs is the source's. The origin counts
// only where it is known what the target was when it last took something over: what
// it has changed since is its own.
func (m *Manager) baseOf(ctx context.Context, st *state, source, target BE) (found base, err error) {
	l, err := m.lines(ctx, st)
	if err != nil {
		return found, err
	}
	mine, theirs := l.of(source.Dataset), l.of(target.Dataset)
	origin := common(mine, theirs)
	shared := l.youngest(l.has(st, source), l.has(st, target))
	var had, logs, logsOrigin zfs.Dataset
	was := l.since(theirs, shared)
	if own := l.taken(mine, shared); own.Name != "" && in(theirs, shared) && !in(mine, shared) {
		logs, logsOrigin = own, origin
	}
	if in(theirs, shared) || was.Name == "" {
		was, origin = zfs.Dataset{}, zfs.Dataset{}
	}
	if !in(mine, shared) && !in(theirs, shared) {
		had = l.taken(mine, shared)
	}
	known := common(theirs, slices.Collect(maps.Values(l.has(st, source))))
	if known.Name == was.Name || known.Name == origin.Name || known.Name == shared.Name {
		known = zfs.Dataset{}
	}
	for to, s := range map[*mount.Tree]zfs.Dataset{&found.tree: shared, &found.was: was, &found.origin: origin, &found.had: had, &found.known: known, &found.logs: logs, &found.logsOrigin: logsOrigin} {
		if s.Name == "" {
			continue
		}
		if *to, err = m.treeAt(ctx, s.Name); err != nil {
			return found, err
		}
	}
	_, partly := l.partly(st, target)
	for _, s := range partly {
		if _, ok := l.has(st, source)[s.Value("guid")]; !ok {
			continue
		}
		at, err := m.treeAt(ctx, s.Name)
		if err != nil {
			return found, err
		}
		found.partly = append(found.partly, at)
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

// youngest is the last snapshot that two have the content of, by GUID: none of the
// others that both have has it. Where there are several such, it is the one that was
// made last.
func (l *lines) youngest(mine, theirs map[string]zfs.Dataset) (found zfs.Dataset) {
	both := map[string]zfs.Dataset{}
	for guid, s := range mine {
		if _, ok := theirs[guid]; ok {
			both[guid] = s
		}
	}
	order := func(a, b zfs.Dataset) int {
		return cmp.Or(cmp.Compare(number(a.Value("creation")), number(b.Value("creation"))), cmp.Compare(txg(a), txg(b)), cmp.Compare(b.Name, a.Name))
	}
	for _, s := range both {
		if found.Name == "" || order(s, found) > 0 {
			found = s
		}
	}
	// Clocks go wrong: what another one has is older than that.
	for range both {
		older := true
		for _, s := range both {
			if s.Name != found.Name && l.holds(s, found) {
				found, older = s, false
				break
			}
		}
		if older {
			break
		}
	}
	return found
}

// taken is the snapshot of a line, of a target, that was made when it had taken over
// a sync point.
func (l *lines) taken(line []zfs.Dataset, point zfs.Dataset) zfs.Dataset {
	if _, snap, _ := splitName(point.Name); strings.HasPrefix(snap, syncPrefix) {
		return snapshotIn(line, takenName(snap))
	}
	return zfs.Dataset{}
}

// since is the oldest snapshot of a line that has the content of s.
func (l *lines) since(line []zfs.Dataset, s zfs.Dataset) (found zfs.Dataset) {
	if s.Name == "" {
		return found
	}
	for _, x := range slices.Backward(line) {
		if l.holds(x, s) {
			return x
		}
	}
	return found
}

// in tells whether a snapshot is one of a line, by its GUID.
func in(line []zfs.Dataset, s zfs.Dataset) bool {
	return slices.ContainsFunc(line, func(x zfs.Dataset) bool { return x.Value("guid") == s.Value("guid") })
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
