package synclist

import (
	"slices"
	"strings"
)

// bar finds the users and groups of the base that the last sync could not add, since
// their numbers were those of others in what it left. They are tried again. Whom it
// did not leave for no such reason, the target has taken away.
func (a accounts) bar() {
	users, groups := map[string]bool{}, map[string]bool{}
	if g := a["group"]; g != nil && g.was != nil {
		field := g.format.field(gid)
		for name, r := range g.base.records {
			groups[name] = g.was.records[name] == nil && g.was.numberTaken(field, r[field])
		}
	}
	if p := a["passwd"]; p != nil && p.was != nil {
		own, primary := p.format.field(uid), p.format.field(gid)
		for name, r := range p.base.records {
			users[name] = p.was.records[name] == nil && (p.was.numberTaken(own, r[own]) || a.primaryBarred(r[primary]))
		}
	}
	for _, m := range a {
		m.barredUsers, m.barredGroups = users, groups
	}
}

// primaryBarred tells of a gid that meant no group, or another one, in what the last
// sync left.
func (a accounts) primaryBarred(number string) bool {
	g := a["group"]
	if g == nil || g.was == nil {
		return false
	}
	field := g.format.field(gid)
	for name, r := range g.base.records {
		if r[field] == number {
			w := g.was.records[name]
			return w == nil || w[field] != number
		}
	}
	return false
}

// numberTaken tells whether a record has the number in a field.
func (t *table) numberTaken(field int, number string) bool {
	return slices.ContainsFunc(t.rows, func(r row) bool { return r.record != nil && r.record[field] == number })
}

// barred tells of a record that the last sync could not add.
func (m *merger) barred(key string) bool {
	name, _, _ := strings.Cut(key, ":")
	switch m.format.name {
	case "group", "gshadow":
		return m.barredGroups[name] || m.barredUsers[name]
	}
	return m.barredUsers[name]
}
