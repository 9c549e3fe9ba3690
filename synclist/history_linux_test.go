package synclist

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// history is that of two BEs, debian and a clone of it, new, with one switch
// from one to the other after the other.
type history struct {
	t    *testing.T
	r    *rand.Rand
	kind string
	// origin is what the clone was made of.
	origin     files
	debian     *environment
	new        *environment
	clock      int
	where      []string
	written    []string
	pending    map[string]bool
	editors    map[string]map[*environment]bool
	unfollowed map[string]bool
}

// environment is a BE: its files, and what the other one has of it.
type environment struct {
	name  string
	files files
	// seen is what it had after the last sync.
	seen files
	// taken is what the other one has taken over of it, own what it was when it last
	// took over; nil where that is nothing.
	taken, own files
}

const historyList = "/shadow MERGE\n/group MERGE\n/d REMOVE\n/log APPEND\n"

// The kinds of callers.
const (
	// plain handovers look no further back than the activation.
	plain = "handover with neither"
	// looking ones have the origin for the handover too, with what the activation left.
	looking = "handover with the origin"
)

func newHistory(t *testing.T, r *rand.Rand, kind string) *history {
	var shadow strings.Builder
	for i, u := range []string{"a", "b", "c"} {
		fmt.Fprintf(&shadow, "%s:%s:1::::::\n", u, []string{h0, "!" + h0, "*"}[i])
	}
	o := files{
		"shadow": shadow.String(), "group": "g:x:1:a,b\n", "log": "begin\n",
		"d/x": "x", "d/y": "y", "d/l": "-> x", "d/k": "k",
	}
	return &history{
		t: t, r: r, kind: kind, origin: o,
		debian: &environment{name: "debian", files: maps.Clone(o), seen: o}, new: &environment{name: "new", files: maps.Clone(o), seen: o},
		pending: map[string]bool{}, editors: map[string]map[*environment]bool{}, unfollowed: map[string]bool{},
	}
}

func (h *history) other(e *environment) *environment {
	if e == h.new {
		return h.debian
	}
	return h.new
}

func (h *history) log(format string, args ...any) {
	h.where = append(h.where, fmt.Sprintf(format, args...))
}

// item is what is edited, and what a change is of.
func item(f files, name string) string {
	file, key, _ := strings.Cut(name, " ")
	switch file {
	case "password", "expire":
		s := parseModel(f["shadow"])[key]
		if file == "expire" {
			return s[7]
		}
		return s[1] + " " + s[2]
	case "members":
		list := strings.Split(strings.TrimSpace(strings.TrimPrefix(f["group"], "g:x:1:")), ",")
		slices.Sort(list)
		return strings.Join(list, ",")
	}
	return f[file]
}

func set(f files, name, value string) {
	file, key, _ := strings.Cut(name, " ")
	switch file {
	case "password", "expire":
		m := parseModel(f["shadow"])
		if file == "expire" {
			m[key][7] = value
		} else {
			m[key][1], m[key][2], _ = strings.Cut(value, " ")
		}
		f["shadow"] = ""
		for _, k := range slices.Sorted(maps.Keys(m)) {
			f["shadow"] += strings.Join(m[k], ":") + "\n"
		}
	case "members":
		f["group"] = "g:x:1:" + value + "\n"
	default:
		if f[file] = value; value == "" {
			delete(f, file)
		}
	}
}

var items = []string{"password a", "password b", "password c", "expire a", "members g", "d/x", "d/y", "d/l", "d/z"}

// edit changes something in a BE, which runs or does not.
func (h *history) edit(e *environment, running bool) {
	h.clock++
	if h.r.IntN(4) == 0 {
		line := fmt.Sprintf("line %d in %s", h.clock, e.name)
		e.files["log"] += line + "\n"
		h.written = append(h.written, line)
		h.log("%s", line)
		return
	}
	name := items[h.r.IntN(len(items))]
	old := item(e.files, name)
	value := h.value(name, old)
	if h.r.IntN(5) == 0 {
		value = item(h.origin, name)
	}
	if value == old {
		return
	}
	h.log("%s, running %v: %s: %q, was %q", e.name, running, name, value, old)
	set(e.files, name, value)
	if h.editors[name] == nil {
		h.editors[name] = map[*environment]bool{}
	}
	h.editors[name][e] = true
	if theirs := item(h.other(e).files, name); !running && theirs != item(h.origin, name) {
		h.unfollowed[name] = true
	}
}

func (h *history) value(name, old string) string {
	kind, _, _ := strings.Cut(name, " ")
	switch kind {
	case "password":
		pw, date, _ := strings.Cut(old, " ")
		switch rest, isLocked := strings.CutPrefix(pw, "!"); {
		case h.r.IntN(3) == 0:
			return fmt.Sprintf("$6$%s%d %d", sentinel, h.clock, h.clock)
		case isLocked && rest != "":
			return rest + " " + date
		default:
			return "!" + pw + " " + date
		}
	case "expire":
		return fmt.Sprint(h.r.IntN(3) * 100)
	case "members":
		return []string{"a", "a,b", "b,c", "a,b,c"}[h.r.IntN(4)]
	}
	if h.r.IntN(4) == 0 {
		return ""
	}
	if name == "d/l" {
		return fmt.Sprintf("-> %d", h.clock)
	}
	return fmt.Sprint(h.clock)
}
