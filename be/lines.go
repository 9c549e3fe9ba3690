package be

import (
	"cmp"
	"context"
	"slices"

	"snapbe/internal/zfs"
)

// lines are the lines of descent of the BEs of a state, by their snapshots.
type lines struct {
	// origin is that of each dataset, snaps its snapshots, oldest first.
	origin map[string]string
	snaps  map[string][]zfs.Dataset
	guids  map[string]zfs.Dataset
}

var lineProps = []string{"guid", "createtxg", "creation", "origin", "clones", "userrefs", propOp, propHad}

// lines reads them: one process, and one more where a BE comes from something that
// is none.
func (m *Manager) lines(ctx context.Context, of ...*state) (*lines, error) {
	l := &lines{origin: map[string]string{}, snaps: map[string][]zfs.Dataset{}, guids: map[string]zfs.Dataset{}}
	var roots []string
	for _, st := range of {
		for _, b := range st.bes {
			roots = append(roots, b.Dataset)
		}
	}
	for len(roots) > 0 {
		ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: roots, Depth: 1, Kinds: []zfs.Kind{zfs.Filesystem, zfs.Snapshot}, Props: lineProps})
		if err != nil {
			return nil, err
		}
		roots = l.add(roots, ds)
	}
	return l, nil
}

// add takes in what was read, and returns the datasets that origins lie in and that
// were not.
func (l *lines) add(roots []string, ds []zfs.Dataset) (further []string) {
	for _, d := range ds {
		name, _, isSnap := splitName(d.Name)
		switch {
		case !slices.Contains(roots, name):
		case isSnap:
			l.snaps[name] = append(l.snaps[name], d)
			if _, twice := l.guids[d.Value("guid")]; !twice {
				l.guids[d.Value("guid")] = d
			}
		default:
			l.origin[name] = d.Value("origin")
		}
	}
	for _, root := range roots {
		slices.SortFunc(l.snaps[root], func(a, b zfs.Dataset) int { return cmp.Compare(txg(a), txg(b)) })
		up := parent(l.origin[root])
		if _, read := l.origin[up]; up != "" && !read && !slices.Contains(further, up) {
			further = append(further, up)
		}
	}
	return further
}

// of is what a dataset comes from, youngest first: its snapshots, its origin and
// what is older than that there, and so on.
func (l *lines) of(dataset string) (line []zfs.Dataset) {
	before := ^uint64(0)
	for dataset != "" {
		for _, s := range slices.Backward(l.snaps[dataset]) {
			if txg(s) <= before {
				line = append(line, s)
			}
		}
		origin := l.origin[dataset]
		if dataset = parent(origin); dataset != "" {
			i := slices.IndexFunc(l.snaps[dataset], func(s zfs.Dataset) bool { return s.Name == origin })
			if i < 0 {
				return line
			}
			before = txg(l.snaps[dataset][i])
		}
	}
	return line
}

// upTo is the line of a snapshot, which is its first.
func (l *lines) upTo(s zfs.Dataset) []zfs.Dataset {
	line := l.of(parent(s.Name))
	i := slices.IndexFunc(line, func(x zfs.Dataset) bool { return x.Name == s.Name })
	if i < 0 {
		return nil
	}
	return line[i:]
}

// point is the snapshot of the sync point that a BE has taken over; it has no name
// where there is none, or where that has gone.
func (l *lines) point(st *state, b BE) (s zfs.Dataset) {
	p := parseSyncPoint(b.synced)
	if from, ok := st.byUUID(p.From); ok {
		s = snapshotIn(l.of(from.Dataset), p.Snap)
	}
	return s
}

// facts are those of a BE, with its sync point and what that had taken over, each
// only where no other one tells it. One that another tool made, or that was
// received, has those of the snapshots that it comes from.
func (l *lines) facts(st *state, b BE) facts {
	all := slices.Concat(b.had, hadIn(l.of(b.Dataset)))
	if p := l.point(st, b); p.Name != "" {
		all = append(append(all, parseFacts(p.Local(propHad))...), p.Value("guid"))
	}
	return l.least(b, all)
}

// least leaves out facts whose snapshot is gone, those that a younger one of the
// same dataset tells too, and what the BE comes from. What lies on the dataset that
// another one was cloned from stays: that one may go.
func (l *lines) least(b BE, all facts) (f facts) {
	var told []zfs.Dataset
	for _, guid := range all {
		if s, ok := l.guids[guid]; ok {
			told = append(told, s)
		}
	}
	slices.SortFunc(told, func(a, b zfs.Dataset) int { return cmp.Or(cmp.Compare(txg(a), txg(b)), cmp.Compare(a.Name, b.Name)) })
	seen := map[string]bool{}
	for _, s := range l.of(b.Dataset) {
		seen[s.Value("guid")] = true
	}
	for _, s := range slices.Backward(told) {
		if guid := s.Value("guid"); !seen[guid] {
			f = append(f, guid)
		}
		for _, older := range l.snaps[parent(s.Name)] {
			if txg(older) <= txg(s) {
				seen[older.Value("guid")] = true
			}
		}
	}
	slices.Reverse(f)
	return f
}

// has are all snapshots whose content a BE has, by GUID.
func (l *lines) has(st *state, b BE) map[string]zfs.Dataset {
	return l.content(l.of(b.Dataset), l.facts(st, b))
}

// holds tells whether a snapshot has the content of another one.
func (l *lines) holds(s, other zfs.Dataset) bool {
	line := l.upTo(s)
	return in(line, other) || slices.ContainsFunc(hadIn(line), func(guid string) bool { return in(l.upTo(l.guids[guid]), other) })
}

// content is what a line holds, and what facts tell.
func (l *lines) content(line []zfs.Dataset, f facts) map[string]zfs.Dataset {
	all := map[string]zfs.Dataset{}
	take := func(line []zfs.Dataset) {
		for _, s := range line {
			if _, ok := all[s.Value("guid")]; !ok {
				all[s.Value("guid")] = s
			}
		}
	}
	take(line)
	for _, guid := range f {
		take(l.upTo(l.guids[guid]))
	}
	return all
}

// hadAt are the facts of a BE when a snapshot of it was made: as that says, or
// those of the youngest one before it that does, since they only grow.
func (l *lines) hadAt(snapshot string) facts { return hadIn(l.upTo(zfs.Dataset{Name: snapshot})) }

// hadIn are the facts at the end of a line, which comes youngest first.
func hadIn(line []zfs.Dataset) facts {
	for _, s := range line {
		if text := s.Local(propHad); text != "" {
			return parseFacts(text)
		}
	}
	return nil
}
