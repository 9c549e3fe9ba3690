package synclist

import (
	"fmt"
	"slices"
)

// byNumber are the names that have a number, by it.
func byNumber(records []record, at int) map[int64][]string {
	by := map[int64][]string{}
	for _, r := range records {
		if n, ok := r.numberAt(at); ok {
			by[n] = append(by[n], r[0])
		}
	}
	return by
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
	for _, r := range m.src.holdingNow() {
		if is, ok := r.numberAt(m.number()); ok && is == n {
			return fmt.Sprintf("its group %q, gid %d, is not in the target", r[0], n)
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
	if s := m.src.records[name]; s != nil {
		is, ok := s.numberAt(m.number())
		return ok && is == n
	}
	return m.src.spoiled[name] && slices.ContainsFunc(m.src.held, func(r record) bool {
		is, ok := r.numberAt(m.number())
		return ok && is == n && r[0] == name
	})
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
	holders := byNumber(m.tgt.holding(e), at)
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
