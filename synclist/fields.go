package synclist

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// fields merges a record that both sides have, field by field. Without a base
// everything that differs counts as changed on both sides, but for what the
// target still has as the origin.
func (m *merger) fields(key string, line int, b, s, t record) {
	f := &fieldMerge{
		merger: m, key: key, line: line, b: b, s: s, t: t, out: slices.Clone(t),
		o: m.origin.formerly(key), w: m.was.formerly(key), k: m.known.formerly(key),
	}
	for i, name := range m.format.fields {
		if s[i] == t[i] {
			continue
		}
		switch name {
		case password:
			f.password(i)
		case lastChange:
			f.lastChange(i)
		case expire:
			f.expire(i)
		case members, admins:
			f.list(i)
		default:
			f.plain(i)
		}
	}
	if len(f.taken) > 0 {
		m.note(key, line, Merged, f.taken, "%s", f.why)
	}
	m.out.records = append(m.out.records, f.after...)
	if !slices.Equal(f.out, t) {
		m.out.changed[key] = f.out
	}
}

type fieldMerge struct {
	*merger
	key     string
	line    int
	b, s, t record
	// o, w and k are the record in the origin, as the last sync left it, and as the
	// source knows it of the target; nil where nothing is known.
	o, w, k record
	out     record
	// taken are the fields that became the source's, and why; after is what is
	// told of the others.
	taken []string
	why   string
	after []Record
}

// sides tells which of them changed a field.
func (f *fieldMerge) sides(i int) (src, tgt bool) {
	was, ok := f.past(i)
	return !ok || f.s[i] != was, !ok || f.t[i] != was
}

func (f *fieldMerge) take(i int, why string) {
	f.out[i] = f.s[i]
	f.taken = append(f.taken, f.format.fields[i])
	if f.why == "" || why != changedInSource {
		f.why = why
	}
}

const changedInSource = "changed in the source alone"

func (f *fieldMerge) conflict(i int, format string, args ...any) {
	name := f.format.fields[i]
	f.after = append(f.after, Record{
		Key: printable(f.key, f.line), Fields: []string{name}, Action: Conflict, Why: fmt.Sprintf(format, args...),
	})
}

func (f *fieldMerge) plain(i int) {
	src, tgt := f.sides(i)
	switch name := f.format.fields[i]; {
	case !src:
	case tgt:
		f.conflict(i, "changed on both sides%s", f.shown(i))
	case name == uid && f.rejected.uids[f.key] != "":
		f.conflict(i, "not taken: %s", f.rejected.uids[f.key])
	case name == gid && f.format.name == "passwd" && f.rejected.primary[f.key] != "":
		f.conflict(i, "not taken: %s", f.rejected.primary[f.key])
	case name == gid && f.format.name == "group" && f.rejected.gids[f.key] != "":
		f.conflict(i, "not taken: %s", f.rejected.gids[f.key])
	default:
		f.take(i, changedInSource)
	}
}

// shown is both values of a field, where they are what the field is for and so
// cannot be a secret in the wrong place.
func (f *fieldMerge) shown(i int) string {
	if harmless(f.format.fields[i], f.s[i]) && harmless(f.format.fields[i], f.t[i]) {
		return fmt.Sprintf(": %q in the source, %q in the target", f.s[i], f.t[i])
	}
	return ""
}

func harmless(field, value string) bool {
	switch field {
	case "home", "shell":
		return value == "" || value[0] == '/' && !strings.Contains(value, "$") && len(value) < 256
	case "gecos", "reserved", password:
		return false
	}
	_, ok := number(value)
	return ok || value == ""
}

// password merges a password, and the date of its change where there is one:
// they belong together. An account that one side locked is locked.
func (f *fieldMerge) password(i int) {
	src, tgt := f.passwords(i)
	switch {
	case !src:
	case !tgt:
		why := "password changed in the source"
		if locked(f.s[i]) && !locked(f.t[i]) {
			why = "locked in the source"
		}
		f.take(i, why)
	case locked(f.s[i]) && !locked(f.t[i]):
		f.conflict(i, "password changed on both sides; locked, as in the source")
		// From here on it is the target's, as it will be the next time.
		f.t = slices.Clone(f.t)
		f.t[i] = "!" + f.t[i]
		f.out[i] = f.t[i]
		if was, ok := f.past(i); ok && f.t[i] == was {
			f.out[i] = f.s[i]
		}
	case locked(f.t[i]) && !locked(f.s[i]):
		f.conflict(i, "password changed on both sides; stays locked, as in the target")
	default:
		f.conflict(i, "password changed on both sides")
	}
}

// lastChange goes with the password before it, where that changed.
func (f *fieldMerge) lastChange(i int) {
	pw := i - 1
	srcPw, tgtPw := f.passwords(pw)
	src, tgt := f.sides(i)
	switch {
	case f.s[pw] == f.t[pw]:
		f.plain(i)
	case srcPw && tgtPw:
		// Told with the password.
	case srcPw:
		f.take(i, changedInSource)
		if tgt {
			f.conflict(i, "changed on both sides; goes with the password%s", f.shown(i))
		}
	case src:
		f.conflict(i, "changed on both sides; goes with the password%s", f.shown(i))
	}
}

// expire merges the day from which on an account is closed. Of two, the
// earlier holds.
func (f *fieldMerge) expire(i int) {
	src, tgt := f.sides(i)
	src = src || f.closed(i)
	if !src || !tgt {
		f.plain(i)
		return
	}
	if f.sooner(i) {
		f.out[i] = f.s[i]
	}
	_, ok1 := day(f.s[i])
	_, ok2 := day(f.t[i])
	if ok1 && ok2 {
		f.conflict(i, "changed on both sides; the earlier holds%s", f.shown(i))
		return
	}
	f.conflict(i, "changed on both sides%s", f.shown(i))
}

// day is the number of a day; later than all for never.
func day(s string) (int64, bool) {
	if s == "" || s == "-1" {
		return 1<<63 - 1, true
	}
	return number(s)
}

// number is a decimal that is not negative.
func number(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && n < 1<<62
}

// list merges the names of a group as a set, in the target's order.
func (f *fieldMerge) list(i int) {
	src, tgt := f.sides(i)
	name := f.format.fields[i]
	was, ok := f.past(i)
	switch {
	case !src:
		return
	case !ok && f.blind:
		f.conflict(i, "changed on both sides")
		return
	case !tgt:
		f.s = slices.Clone(f.s)
		f.s[i] = f.withoutUsers(f.key, f.line, name, f.s[i], f.t[i])
		if f.s[i] != f.t[i] && (len(f.rejected.kept) == 0 || !sameSet(f.s[i], f.t[i])) {
			f.take(i, changedInSource)
		}
		return
	}
	base := setOf(was)
	t := split(f.t[i])
	list := f.withoutUsers(f.key, f.line, name, f.s[i], f.t[i])
	s, seen := setOf(list), map[string]bool{}
	var out []string
	for _, n := range t {
		if s[n] || !base[n] {
			out = append(out, n)
			seen[n] = true
		}
	}
	for _, n := range split(list) {
		if !base[n] && !seen[n] {
			out = append(out, n)
			seen[n] = true
		}
	}
	if !slices.Equal(out, t) {
		f.t = slices.Clone(f.t)
		f.t[i] = strings.Join(out, ",")
		if f.out[i] = f.t[i]; f.asInOrigin(i) {
			f.out[i] = list // as it would be the next time
		}
		f.taken = append(f.taken, name)
		f.why = "merged with the target's"
	}
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

func setOf(list string) map[string]bool {
	set := map[string]bool{}
	for _, n := range split(list) {
		set[n] = true
	}
	return set
}

// withoutUsers is a list of the source without the users that are not added,
// but for those that the target's has, and with those that are not removed.
func (m *merger) withoutUsers(key string, line int, field, list, have string) string {
	if len(m.rejected.users)+len(m.rejected.kept) == 0 {
		return list
	}
	var out []string
	there, come := setOf(have), setOf(list)
	for _, n := range split(list) {
		if m.rejected.users[n] == "" || there[n] {
			out = append(out, n)
			continue
		}
		m.note(key, line, Conflict, []string{field}, "without %q: the user is not added", n)
	}
	for _, n := range split(have) {
		if m.rejected.kept[n] != "" && !come[n] {
			out = append(out, n)
		}
	}
	return strings.Join(out, ",")
}
