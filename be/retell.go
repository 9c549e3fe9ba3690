package be

import (
	"context"
	"slices"
	"strings"

	"snapbe/internal/zfs"
)

// retell adds to the facts of each BE and snapshot, before snapshots go, what tells
// them afterwards.
func (m *Manager) retell(ctx context.Context, going []string) error {
	st, err := m.readAll(ctx)
	if err != nil {
		return err
	}
	of := st.withZoneStates()
	l, err := m.lines(ctx, of...)
	if err != nil {
		return err
	}
	gone := map[string]bool{}
	for _, name := range going {
		gone[name] = true
	}
	goes := func(s zfs.Dataset) bool { return gone[s.Name] }
	var changes []zfs.Change
	for _, st := range of {
		for _, b := range st.bes {
			more := map[string]facts{} // there may be thousands of snapshots, most of which tell the same
			tell := func(name string, f facts) {
				text := f.String()
				if _, known := more[text]; !known {
					more[text] = slices.DeleteFunc(l.told(b.Dataset, f, goes), func(guid string) bool { return slices.Contains(f, guid) })
				}
				if len(more[text]) > 0 {
					changes = append(changes, setHad(name, slices.Concat(more[text], f)))
				}
			}
			tell(b.Dataset, l.facts(st, b))
			for _, s := range l.snaps[b.Dataset] {
				if !goes(s) {
					tell(s.Name, parseFacts(s.Local(propHad)))
				}
			}
		}
	}
	return m.tellAll(ctx, append(changes, l.handOn(going)...))
}

// told are facts of a dataset that stay true, and can be seen, when snapshots go: for
// each one of these there is the youngest of those before it that stay. What the
// dataset comes from itself needs no telling.
func (l *lines) told(dataset string, f facts, goes func(zfs.Dataset) bool) (staying facts) {
	if len(f) == 0 {
		return nil
	}
	own := map[string]bool{}
	for _, s := range l.of(dataset) {
		own[s.Value("guid")] = true
	}
	for _, guid := range f {
		s, ok := l.guids[guid]
		if !ok {
			continue
		}
		for _, older := range l.upTo(s) {
			if own[older.Value("guid")] {
				break
			}
			if !goes(older) {
				staying = append(staying, older.Value("guid"))
				break
			}
		}
	}
	return staying
}

// handOn gives the facts of snapshots that go to those that were made next and have
// none, up to one that has: snapshots of users and of other tools, of which any may
// go before the others.
func (l *lines) handOn(going []string) (changes []zfs.Change) {
	for _, snaps := range l.snaps {
		var left facts
		for _, s := range snaps {
			switch text := s.Local(propHad); {
			case text != "" && slices.Contains(going, s.Name):
				left = parseFacts(text)
			case text != "":
				left = nil
			case left != nil && !slices.Contains(going, s.Name):
				changes = append(changes, setHad(s.Name, left))
			}
		}
	}
	slices.SortFunc(changes, func(a, b zfs.Change) int { return strings.Compare(a.Dataset, b.Dataset) })
	return changes
}
