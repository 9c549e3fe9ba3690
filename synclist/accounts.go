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
	for {
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
		a.rejectUsers(edits["passwd"], rejected)
		if rejected.count() == before {
			break
		}
	}
	a.check(edits)
	return edits
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
		if n, ok := number(s[2]); ok {
			rejected.taken[n] = s[0]
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
func (a accounts) rejectUsers(e *edit, rejected *rejections) {
	m := a["passwd"]
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
	at := m.format.field(gid)
	for _, r := range m.tgt.all(e) {
		t := m.tgt.records[r[0]]
		n, ok := number(r[at])
		group, taken := rejected.taken[n]
		if !ok || !taken || t != nil && t[at] == r[at] {
			continue
		}
		why := fmt.Sprintf("its group %q, gid %d, is not that of the source in the target", group, n)
		if t == nil {
			rejected.users[r[0]] = why
		} else {
			rejected.gids[r[0]] = why
		}
	}
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
	at := m.format.field(uid)
	if at < 0 {
		at = m.format.field(gid)
	}
	all := m.tgt.all(e)
	holders := map[int64][]string{}
	for _, r := range all {
		if n, ok := number(r[at]); ok {
			holders[n] = append(holders[n], r[0])
		}
	}
	// Of the names that hold a number, those that the source means by it.
	meant := func(name string, n int64) bool {
		s := m.src.records[name]
		if s == nil {
			return false
		}
		is, ok := number(s[at])
		return ok && is == n
	}
	others := map[int64]string{}
	for n, names := range holders {
		for _, name := range names {
			if !meant(name, n) {
				others[n] = name
				break
			}
		}
	}
	var found []clash
	for _, r := range all {
		n, ok := number(r[at])
		if t := m.tgt.records[r[0]]; !ok || t != nil && t[at] == r[at] {
			continue // not from the source
		}
		if other := others[n]; other != "" && other != r[0] {
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
