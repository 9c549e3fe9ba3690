package synclist

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
)

// span is a range of numbers of a user, the end not included.
type span struct {
	name       string
	start, end int64
	// far is the one of this and those before it that reaches furthest, next
	// the one of another user that does.
	far, next *span
}

// ranges are sorted by where they start.
type ranges []*span

// uids are the names of users, by uid: subuid(5) may have either.
type uids map[int64][]string

// owner is the name of who is given by name or uid.
func (u uids) owner(who string) string {
	n, ok := number(who)
	if names := u[n]; ok && len(names) > 0 {
		return names[0]
	}
	return who
}

// spanOf reads a record of subuid(5).
func spanOf(r record) (*span, bool) {
	start, ok1 := number(r[1])
	count, ok2 := number(r[2])
	return &span{name: r[0], start: start, end: start + count}, ok1 && ok2
}

// ownRanges are those that the target has and the source has not, and that
// stay.
func (m *merger) ownRanges() ranges {
	own := ranges{}
	for _, r := range m.tgt.rows {
		if r.record == nil {
			continue
		}
		key := m.format.key(r.record)
		s, ok := spanOf(r.record)
		s.name = m.tgtUIDs.owner(s.name)
		if ok && m.src.records[key] == nil && !m.out.removed[key] {
			own = append(own, s)
		}
	}
	slices.SortFunc(own, func(a, b *span) int { return cmp.Compare(a.start, b.start) })
	var far, next *span
	for _, s := range own {
		switch {
		case far == nil || far.end < s.end:
			if far != nil && far.name != s.name {
				next = far
			}
			far = s
		case s.name != far.name && (next == nil || next.end < s.end):
			next = s
		}
		s.far, s.next = far, next
	}
	return own
}

// overlap says which other user has part of a range of the source already.
func (o ranges) overlap(r record, name string) string {
	s, ok := spanOf(r)
	s.name = name
	if !ok {
		return ""
	}
	i := sort.Search(len(o), func(i int) bool { return o[i].start >= s.end })
	if i == 0 {
		return ""
	}
	for _, t := range []*span{o[i-1].far, o[i-1].next} {
		if t != nil && t.name != s.name && t.end > s.start {
			return fmt.Sprintf("in the target, part of the range belongs to %q", t.name)
		}
	}
	return ""
}
