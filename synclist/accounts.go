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
	a.bar()
	for round := 0; ; round++ {
		before := rejected.count()
		for _, name := range []string{"group", "passwd", "gshadow", "shadow", "subuid", "subgid"} {
			m := a[name]
			if m == nil {
				continue
			}
			m.rejected, m.ranges = rejected, nil
			if p := a["passwd"]; p != nil && !m.format.keyed {
				m.srcUIDs = byNumber(p.src.holdingNow(), p.number())
				m.tgtUIDs = byNumber(p.tgt.holding(edits["passwd"]), p.number())
			}
			edits[name] = m.merge()
		}
		a.rejectGroups(edits["group"], rejected)
		a.rejectUsers(edits, rejected)
		a.rejectUnknown(edits, rejected)
		a.rejectPrimary(edits, rejected)
		a.rejectRemovals(edits, rejected)
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
		{"passwd", gid, rejected.users, rejected.primary},
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
		return // there are none on either side
	}
	is := byNumber(groups.tgt.holding(edits["group"]), groups.number())
	at, known := m.format.field(gid), map[int64]string{}
	for _, r := range m.brought(e, at) {
		n, ok := number(r[at])
		if !ok {
			continue
		}
		why, seen := known[n]
		if !seen {
			if why = groups.unknown; why != "" {
				why = fmt.Sprintf("what gid %d means cannot be told: %s", n, why)
			} else {
				why = groups.misleads(n, is[n])
			}
			known[n] = why
		}
		switch {
		case why == "":
		case m.tgt.records[r[0]] == nil:
			rejected.users[r[0]] = why
		default:
			rejected.primary[r[0]] = why
		}
	}
}

// rejectUnknown refuses the users that would come without a record in passwd or
// shadow, as that record or the whole file is not merged.
func (a accounts) rejectUnknown(edits map[string]*edit, rejected *rejections) {
	for _, of := range []struct{ frozen, other string }{{"passwd", "shadow"}, {"shadow", "passwd"}} {
		m, other := a[of.frozen], a[of.other]
		if m == nil {
			continue
		}
		if other != nil {
			for _, r := range edits[of.other].added {
				if m.tgt.spoiled[r[0]] || m.src.spoiled[r[0]] && m.tgt.records[r[0]] == nil {
					rejected.users[r[0]] = "its record in " + of.frozen + " cannot be merged"
				}
			}
		}
		if !m.frozen {
			continue
		}
		why := of.frozen + " of the target cannot be merged"
		if m.unknown != "" {
			why = of.frozen + " cannot be read: " + m.unknown
		}
		reject := func(r record) {
			if m.tgt.records[r[0]] == nil && !m.tgt.spoiled[r[0]] && rejected.users[r[0]] == "" {
				rejected.users[r[0]] = why
			}
		}
		if other != nil {
			for _, r := range edits[of.other].added {
				// Who has no password there needs no record, and who has none in the
				// source is told.
				if of.frozen == "passwd" || r[1] == "x" && (m.unknown != "" || m.src.has(r[0])) {
					reject(r)
				}
			}
		}
		if of.frozen == "passwd" {
			for _, r := range m.src.rows {
				if r.record != nil {
					reject(r.record)
				}
			}
		}
	}
}

// rejectPrimary refuses what changes the primary group of a user of the target
// that has another one in the source, or is not there: that its group goes, or
// that another comes to have the number.
func (a accounts) rejectPrimary(edits map[string]*edit, rejected *rejections) {
	p, g := a["passwd"], a["group"]
	if p == nil || g == nil || g.frozen {
		return
	}
	before := byNumber(g.tgt.holdingNow(), g.number())
	after := byNumber(g.tgt.holding(edits["group"]), g.number())
	at := p.format.field(gid)
	for _, r := range p.tgt.holding(edits["passwd"]) {
		n, ok := r.numberAt(at)
		if t := p.tgt.records[r[0]]; !ok || t == nil && !p.tgt.spoiled[r[0]] || t != nil && t[at] != r[at] {
			continue
		}
		if s := p.src.records[r[0]]; s != nil {
			if is, ok := s.numberAt(at); ok && is == n {
				continue // as it is meant there
			}
		}
		why := fmt.Sprintf("gid %d is that of user %q in the target", n, r[0])
		for _, name := range before[n] {
			if slices.Contains(after[n], name) {
				continue
			}
			if edits["group"].removed[name] {
				rejected.stay[name] = why
			} else {
				rejected.gids[name] = why
			}
		}
		for _, name := range after[n] {
			switch {
			case slices.Contains(before[n], name):
			case g.tgt.records[name] == nil:
				rejected.groups[name] = why
			default:
				rejected.gids[name] = why
			}
		}
	}
}

// rejectRemovals keeps all of a user that was removed in the source, where its
// removal from passwd or from shadow is in conflict.
func (a accounts) rejectRemovals(edits map[string]*edit, rejected *rejections) {
	p, s := a["passwd"], a["shadow"]
	if p == nil || p.unknown != "" {
		return
	}
	passwd, shadow := edits["passwd"], edits["shadow"]
	for name := range p.tgt.records {
		switch {
		case p.src.has(name):
		case passwd.contested[name]:
			rejected.kept[name] = "the user stays: its record in passwd does"
		case passwd.removed[name] && s != nil && !s.frozen && shadow.contested[name]:
			rejected.kept[name] = "the user stays: its record in shadow was changed in the target"
		}
	}
}

// check reports the users that are in one of passwd and shadow only, unless that
// is nothing new.
func (a accounts) check(edits map[string]*edit) {
	p, s := a["passwd"], a["shadow"]
	if p == nil || s == nil || p.unknown != "" || s.unknown != "" {
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
			if a.known(name, is) {
				continue
			}
			action, why = Kept, "has no record in "+is
		}
		m := p
		if is == "passwd" && !s.frozen || p.frozen {
			m = s
		}
		m.note(name, 0, action, nil, "%s", why)
	}
}

// known tells whether a user was in one of passwd and shadow only before, as
// far back as can be told.
func (a accounts) known(name, is string) bool {
	p, s := a["passwd"], a["shadow"]
	return p.blind || lacks(p.base.records[name], s.base.records[name]) == is ||
		lacks(p.was.formerly(name), s.was.formerly(name)) == is
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
