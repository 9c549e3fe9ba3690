package synclist

import (
	"fmt"
	"slices"
)

// merger merges a record file.
type merger struct {
	format         *format
	base, src, tgt *table
	// origin is nil where there is none.
	origin *table
	// blind tells that there is no base; taking, that then the source's file
	// alone changed.
	blind, taking bool
	rejected      *rejections
	out           *edit
	// ranges are those of subuid(5) that the target alone has; nil until needed.
	ranges ranges
}

// rejections are what must not come to the target from the source, with the
// reasons.
type rejections struct {
	// users and groups are the names of those that are not added.
	users, groups map[string]string
	// uids and gids are of records that both sides have, by name.
	uids, gids map[string]string
}

func newRejections() *rejections {
	return &rejections{map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}}
}

func (r *rejections) count() int {
	return len(r.users) + len(r.groups) + len(r.uids) + len(r.gids)
}

// merge decides for every record. The same merge of the outcome is without
// effect.
func (m *merger) merge() *edit {
	m.out = &edit{changed: map[string]record{}, removed: map[string]bool{}}
	m.unreadable()
	done := map[string]bool{}
	for _, t := range []*table{m.tgt, m.src} {
		for i, r := range t.rows {
			if r.record == nil {
				continue
			}
			key := m.format.key(r.record)
			if !done[key] {
				done[key] = true
				m.decide(key, i+1)
			}
		}
	}
	return m.out
}

// note reports on a record. Its key is a number of a line where it may not be
// shown.
func (m *merger) note(key string, line int, action Action, fields []string, format string, args ...any) {
	m.out.records = append(m.out.records, Record{
		Key: printable(key, line), Fields: fields, Action: action, Why: fmt.Sprintf(format, args...),
	})
}

// unreadable reports the lines of the source that are no records and not known
// already.
func (m *merger) unreadable() {
	known := map[string]bool{}
	for _, t := range []*table{m.base, m.tgt} {
		for _, r := range t.rows {
			known[r.raw] = true
		}
	}
	for i, r := range m.src.rows {
		if r.why != "" && !known[r.raw] {
			m.note("", i+1, Refused, nil, "in the source %s", r.why)
			m.out.records[len(m.out.records)-1].Key = fmt.Sprintf("line %d", i+1)
		}
	}
}

// decide settles one record.
func (m *merger) decide(key string, line int) {
	b, s, t := m.base.records[key], m.src.records[key], m.tgt.records[key]
	if m.origin != nil && t == nil && m.origin.records[key] == nil && !m.origin.spoiled[key] {
		b = nil
	}
	if m.src.spoiled[key] {
		return
	}
	if m.tgt.spoiled[key] {
		if b == nil || !slices.Equal(b, s) {
			m.note(key, line, Refused, nil, "malformed in the target")
		}
		return
	}
	switch {
	case t == nil:
		m.sourceOnly(key, line, b, s)
	case s == nil:
		m.targetOnly(key, line, b, t)
	case slices.Equal(s, t):
	case m.blind && m.taking:
		m.fields(key, line, t, s, t)
	default:
		m.fields(key, line, b, s, t)
	}
}

func (m *merger) sourceOnly(key string, line int, b, s record) {
	switch {
	case b == nil:
		if why := m.notAdded(s); why != "" {
			m.note(key, line, Conflict, nil, "not added: %s", why)
			return
		}
		m.out.added = append(m.out.added, m.withoutRejected(key, line, s))
		m.note(key, line, Added, nil, "new in the source")
	case !slices.Equal(b, s):
		m.note(key, line, Conflict, m.differing(b, s), "removed in the target, changed in the source")
	}
}

func (m *merger) targetOnly(key string, line int, b, t record) {
	switch {
	case b == nil:
	case slices.Equal(b, t):
		m.out.removed[key] = true
		m.note(key, line, Removed, nil, "removed in the source")
	default:
		m.note(key, line, Conflict, m.differing(b, t), "removed in the source, changed in the target")
	}
}

// differing names the fields that differ.
func (m *merger) differing(a, b record) []string {
	var names []string
	for i, n := range m.format.fields {
		if a[i] != b[i] {
			names = append(names, n)
		}
	}
	return names
}

// notAdded says why a record of the source must not be added.
func (m *merger) notAdded(s record) string {
	name := s[0]
	user, notUser := m.rejected.users[name]
	group, notGroup := m.rejected.groups[name]
	switch m.format.name {
	case "passwd":
		return user
	case "group", "gshadow":
		if notGroup {
			return group
		}
		if notUser {
			return fmt.Sprintf("the user %q is not", name)
		}
	default:
		if notUser {
			return fmt.Sprintf("the user %q is not", name)
		}
		if !m.format.keyed {
			if m.ranges == nil {
				m.ranges = m.ownRanges()
			}
			return m.ranges.overlap(s)
		}
	}
	return ""
}

// withoutRejected is a new group without the members that are not added.
func (m *merger) withoutRejected(key string, line int, s record) record {
	s = slices.Clone(s)
	for _, list := range []string{admins, members} {
		if i := m.format.field(list); i >= 0 {
			s[i] = m.withoutUsers(key, line, list, s[i], "")
		}
	}
	return s
}
