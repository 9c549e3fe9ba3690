package synclist

import (
	"fmt"
	"slices"
	"strings"
)

// merger merges a record file.
type merger struct {
	format         *format
	base, src, tgt *table
	// origin is nil where there is none, and was, which is what the last sync
	// left in the target; known and had are as in Sides.
	origin, was, known, had *table
	// barredUsers and barredGroups could not be added by the last sync.
	barredUsers, barredGroups map[string]bool
	// blind tells that there is no base; taking, that then the source's file
	// alone changed.
	blind, taking bool
	// frozen tells that the file is not merged and stays as it is, or is going
	// to be, in tgt; unknown, why there is nothing to be known of it.
	frozen   bool
	unknown  string
	rejected *rejections
	// srcUIDs and tgtUIDs are the users, where the key may be a uid.
	srcUIDs, tgtUIDs uids
	out              *edit
	// ranges are those of subuid(5) that the target alone has; nil until needed.
	ranges ranges
}

// rejections are what must not come to the target from the source, with the
// reasons.
type rejections struct {
	// users and groups are the names of those that are not added.
	users, groups map[string]string
	// uids and primary are of users that both sides have, gids of groups, by
	// name.
	uids, primary, gids map[string]string
	// stay are groups that are not removed, kept the users.
	stay, kept map[string]string
}

func newRejections() *rejections {
	return &rejections{
		map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{},
		map[string]string{}, map[string]string{}, map[string]string{},
	}
}

func (r *rejections) count() int {
	return len(r.users) + len(r.groups) + len(r.uids) + len(r.primary) + len(r.gids) + len(r.stay) + len(r.kept)
}

// merge decides for every record. The same merge of the outcome is without
// effect.
func (m *merger) merge() *edit {
	m.out = &edit{changed: map[string]record{}, removed: map[string]bool{}, contested: map[string]bool{}}
	m.unreadable()
	m.remaining()
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
	if m.frozen {
		m.freeze()
	}
	return m.out
}

// freeze takes an edit back; what did not come of it is told.
func (m *merger) freeze() {
	for key := range m.out.removed {
		m.out.contested[key] = true
	}
	m.out.changed, m.out.removed, m.out.added = nil, nil, nil
	for i, r := range m.out.records {
		switch r.Action {
		case Merged, Added, Removed:
			m.out.records[i].Action = Refused
		}
	}
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
	known, told := map[string]bool{}, map[string]bool{}
	for _, t := range []*table{m.base, m.tgt} {
		for _, r := range t.rows {
			known[r.raw] = known[r.raw] || r.record == nil
		}
	}
	for i, r := range m.src.rows {
		switch name, _, _ := strings.Cut(r.raw, ":"); {
		case r.why == "" || known[r.raw]:
		case r.why == twoRecords:
			if !told[name] {
				told[name] = true
				m.note(name, i+1, Refused, nil, "in the source %s", r.why)
			}
		default:
			m.note("", i+1, Refused, nil, "in the source %s", r.why)
			m.out.records[len(m.out.records)-1].Key = fmt.Sprintf("line %d", i+1)
		}
	}
}

// remaining reports the lines of the target that are no records, and that were
// removed in the source: they stay.
func (m *merger) remaining() {
	base, src := map[string]bool{}, map[string]bool{}
	for _, r := range m.base.rows {
		base[r.raw] = base[r.raw] || r.why != ""
	}
	for _, r := range m.src.rows {
		src[r.raw] = true
	}
	for i, r := range m.tgt.rows {
		name, _, _ := strings.Cut(r.raw, ":")
		switch {
		case r.why == "" || src[r.raw]:
		case base[r.raw] && !m.src.has(name), m.base.records[name] != nil && !m.src.has(name):
			m.note("", i+1, Conflict, nil, "removed in the source; it stays, being %s", r.why)
			m.out.records[len(m.out.records)-1].Key = fmt.Sprintf("line %d", i+1)
		}
	}
}

// decide settles one record.
func (m *merger) decide(key string, line int) {
	b, s, t := m.base.records[key], m.src.records[key], m.tgt.records[key]
	if m.origin != nil && t == nil && !m.origin.has(key) && !m.was.has(key) && !m.known.has(key) && (m.was == nil || m.barred(key)) {
		b = nil
	}
	if t == nil && b == nil {
		b = m.was.formerly(key) // removed in the target since
	}
	if m.src.spoiled[key] {
		return
	}
	if m.tgt.spoiled[key] {
		if b == nil || !slices.Equal(b, s) {
			why := "malformed in the target"
			if m.tgt.doubled[key] {
				why = "in the target " + twoRecords
			}
			m.note(key, line, Refused, nil, "%s", why)
		}
		return
	}
	if m.base.doubled[key] && (s == nil || t == nil) {
		m.note(key, line, Refused, nil, "in the base %s", twoRecords)
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
			m.note(key, line, Conflict, nil, "not added, since %s", why)
			return
		}
		m.out.added = append(m.out.added, m.withoutRejected(key, line, s))
		m.note(key, line, Added, nil, "new in the source")
	case !slices.Equal(b, s):
		m.note(key, line, Conflict, m.differing(b, s), "removed in the target, changed in the source")
	}
}

func (m *merger) targetOnly(key string, line int, b, t record) {
	if m.asInOrigin(key, b, t) || b == nil && m.had.has(key) && slices.Equal(m.was.formerly(key), t) {
		b = t
	}
	switch {
	case b == nil:
	case slices.Equal(b, t):
		if why := m.notRemoved(t); why != "" {
			fields, locked := m.lock(key, t)
			m.note(key, line, Conflict, fields, "not removed, since %s%s", why, locked)
			return
		}
		m.out.removed[key] = true
		m.note(key, line, Removed, nil, "removed in the source")
	default:
		m.out.contested[key] = true
		locked := ""
		if m.notRemoved(t) != "" {
			_, locked = m.lock(key, t)
		}
		m.note(key, line, Conflict, m.differing(b, t), "removed in the source, changed in the target%s", locked)
	}
}

// notRemoved says why a record of the target must stay.
func (m *merger) notRemoved(t record) string {
	switch m.format.name {
	case "group", "gshadow":
		return m.rejected.stay[t[0]]
	}
	if !m.format.keyed {
		return m.rejected.kept[m.tgtUIDs.owner(t[0])]
	}
	return m.rejected.kept[t[0]]
}

// lock locks a user that was to be removed and is not: the password, and in shadow
// the account with it, which may be entered by a key too.
func (m *merger) lock(key string, t record) (fields []string, told string) {
	switch {
	case m.frozen:
		return nil, ""
	case m.format.name == "shadow":
	case m.format.name == "passwd":
		if t[1] == "x" {
			return nil, ""
		}
	default:
		return nil, ""
	}
	was := t
	t = slices.Clone(t)
	fields = []string{password}
	if !locked(t[1]) {
		t[1] = "!" + t[1]
	}
	if i := m.format.field(expire); i >= 0 {
		if on, ok := day(t[i]); ok && on > 1 {
			t[i] = "1"
		}
		fields = append(fields, expire)
	}
	if !slices.Equal(t, was) {
		m.out.changed[key] = t
	}
	return fields, "; it is locked"
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
	if !m.format.keyed {
		name = m.srcUIDs.owner(name)
		if other := m.tgtUIDs.owner(s[0]); other != name {
			return fmt.Sprintf("uid %s is that of %q in the source and not in the target", s[0], name)
		}
	}
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
			return m.ranges.overlap(s, name)
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
