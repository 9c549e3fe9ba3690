package synclist

import (
	"fmt"
	"maps"
	"slices"
)

// accounts are the record files of a directory, which depend on each other.
type accounts map[string]*merger

// merge merges them all, and checks that they go together.
//
// A number that means a user or group in the source and another one in the
// target must not come over: who has it would own the other's files. Refusing
// one may mean to refuse another, a user with its group; so it is done again
// until no more are refused.
func (a accounts) merge() map[string]*edit {
	rejected := newRejections()
	edits := map[string]*edit{}
	for round := 0; ; round++ {
		before := rejected.count()
		for _, name := range []string{"group", "passwd", "gshadow", "shadow", "subuid", "subgid"} {
			m := a[name]
			if m == nil {
				continue
			}
			m.rejected, m.ranges = rejected, nil
			edits[name] = m.merge()
		}
		a.rejectGroups(edits["group"], rejected)
		a.rejectUsers(edits, rejected)
		if round > maxRounds {
			a.rejectAll(edits, rejected)
		}
		if rejected.count() == before {
			break
		}
	}
	a.check(edits)
	return edits
}

// maxRounds is how long a chain of refusals is followed one by one. No host has
// one as long; who makes one would have us at it for hours.
const maxRounds = 50

// rejectAll refuses every number that comes from the source.
func (a accounts) rejectAll(edits map[string]*edit, rejected *rejections) {
	const why = "too many numbers clash"
	for _, file := range []struct {
		name, field    string
		added, changed map[string]string
	}{
		{"passwd", uid, rejected.users, rejected.uids},
		{"passwd", gid, rejected.users, rejected.gids},
		{"group", gid, rejected.groups, rejected.gids},
	} {
		m := a[file.name]
		if m == nil {
			continue
		}
		for _, r := range m.brought(edits[file.name], m.format.field(file.field)) {
			into := file.added
			if m.tgt.records[r[0]] != nil {
				into = file.changed
			}
			if into[r[0]] == "" {
				into[r[0]] = why
			}
		}
	}
}

// brought are the records after an edit whose number in a field comes from the
// source.
func (m *merger) brought(e *edit, field int) []record {
	var from []record
	for _, r := range m.tgt.all(e) {
		if t := m.tgt.records[r[0]]; t == nil || t[field] != r[field] {
			from = append(from, r)
		}
	}
	return from
}

// rejectGroups refuses the numbers of groups that mean another group in the
// target, and groups of the same name as a user that was refused.
func (a accounts) rejectGroups(e *edit, rejected *rejections) {
	m := a["group"]
	if m == nil {
		return
	}
	reject := func(s record, why string) {
		if m.tgt.records[s[0]] == nil {
			rejected.groups[s[0]] = why
		} else {
			rejected.gids[s[0]] = why
		}
	}
	for _, c := range m.clashes(e) {
		reject(m.src.records[c.name], fmt.Sprintf("gid %d is that of %q in the target", c.number, c.other))
	}
	for _, name := range slices.Sorted(maps.Keys(rejected.users)) {
		if s := m.src.records[name]; s != nil && m.tgt.records[name] == nil && rejected.groups[name] == "" {
			reject(s, fmt.Sprintf("the user %q is not", name))
		}
	}
}

// rejectUsers refuses the numbers of users that mean another user in the
// target, and users of a group that means another one there.
func (a accounts) rejectUsers(edits map[string]*edit, rejected *rejections) {
	m, e := a["passwd"], edits["passwd"]
	if m == nil {
		return
	}
	for _, c := range m.clashes(e) {
		why := fmt.Sprintf("uid %d is that of %q in the target", c.number, c.other)
		if m.tgt.records[c.name] == nil {
			rejected.users[c.name] = why
		} else {
			rejected.uids[c.name] = why
		}
	}
	groups := a["group"]
	if groups == nil {
		return
	}
	is := map[int64][]string{}
	for _, r := range groups.tgt.all(edits["group"]) {
		if n, ok := number(r[2]); ok {
			is[n] = append(is[n], r[0])
		}
	}
	at, known := m.format.field(gid), map[int64]string{}
	for _, r := range m.brought(e, at) {
		n, ok := number(r[at])
		if !ok {
			continue
		}
		why, seen := known[n]
		if !seen {
			why = groups.misleads(n, is[n])
			known[n] = why
		}
		switch {
		case why == "":
		case m.tgt.records[r[0]] == nil:
			rejected.users[r[0]] = why
		default:
			rejected.gids[r[0]] = why
		}
	}
}

// misleads says why a user's group number does not mean in the target, where
// these groups have it, what it means in the source.
func (m *merger) misleads(n int64, names []string) string {
	for _, name := range names {
		if !m.means(name, n) {
			return fmt.Sprintf("gid %d is that of group %q in the target", n, name)
		}
	}
	if len(names) > 0 {
		return ""
	}
	for _, r := range m.src.rows {
		if r.record != nil && m.means(r.record[0], n) {
			return fmt.Sprintf("its group %q, gid %d, is not in the target", r.record[0], n)
		}
	}
	return ""
}

// number is the field with a user's or group's own number.
func (m *merger) number() int {
	if at := m.format.field(uid); at >= 0 {
		return at
	}
	return m.format.field(gid)
}

// means tells whether a name has a number in the source.
func (m *merger) means(name string, n int64) bool {
	s := m.src.records[name]
	if s == nil {
		return false
	}
	is, ok := number(s[m.number()])
	return ok && is == n
}

// clash is a number that came from the source for one name and is another's in
// the target.
type clash struct {
	name, other string
	number      int64
}

// clashes looks through a table after an edit. Names that share a number in the
// source are meant to.
func (m *merger) clashes(e *edit) []clash {
	at := m.number()
	all := m.tgt.all(e)
	holders := map[int64][]string{}
	for _, r := range all {
		if n, ok := number(r[at]); ok {
			holders[n] = append(holders[n], r[0])
		}
	}
	others := map[int64]string{}
	for n, names := range holders {
		for _, name := range names {
			if !m.means(name, n) {
				others[n] = name
				break
			}
		}
	}
	var found []clash
	for _, r := range m.brought(e, at) {
		n, ok := number(r[at])
		if other := others[n]; ok && other != "" && other != r[0] {
			found = append(found, clash{r[0], other, n})
		}
	}
	return found
}

// check reports the users that are in one of passwd and shadow only.
func (a accounts) check(edits map[string]*edit) {
	p, s := a["passwd"], a["shadow"]
	if p == nil || s == nil {
		return
	}
	passwd, shadow := edits["passwd"], edits["shadow"]
	inPasswd, inShadow := byName(p.tgt.all(passwd)), byName(s.tgt.all(shadow))
	names := maps.Clone(inPasswd)
	maps.Copy(names, inShadow)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was := lacks(p.tgt.records[name], s.tgt.records[name])
		is := lacks(inPasswd[name], inShadow[name])
		if is == "" || p.tgt.spoiled[name] || s.tgt.spoiled[name] {
			continue
		}
		action, why := Conflict, "would be without a record in "+is
		if is == was {
			action, why = Kept, "has no record in "+is
		}
		m := p
		if is == "passwd" {
			m = s
		}
		m.note(name, 0, action, nil, "%s", why)
	}
}

func byName(records []record) map[string]record {
	by := make(map[string]record, len(records))
	for _, r := range records {
		by[r[0]] = r
	}
	return by
}

// lacks tells which of the two files a user should be in and is not.
func lacks(passwd, shadow record) string {
	switch {
	case passwd == nil && shadow != nil:
		return "passwd"
	case passwd != nil && shadow == nil && passwd[1] == "x":
		return "shadow"
	}
	return ""
}
