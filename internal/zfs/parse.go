package zfs

import (
	"fmt"
	"strings"
)

// parseGet reads what "zfs get -H -o name,property,value,source" printed: a
// line for each property. The value of a user property is printed as it is
// and may hold tabs and newlines. Where the order of the properties is known,
// a line begins a record only where it has the name and the property that
// must come next; otherwise ("all") where it has any property that the dataset
// did not have yet, the first of which is the type. All other lines belong to
// the value before.
func parseGet(out string, order []string) ([]Dataset, error) {
	p := getParser{order: order}
	start, end := 0, 0 // the record at hand
	for line := range strings.Lines(out) {
		if end > start && p.begins(line, out[start:end]) {
			if err := p.take(out[start:end]); err != nil {
				return nil, err
			}
			start = end
		}
		end += len(line)
	}
	if end > start {
		if err := p.take(out[start:end]); err != nil {
			return nil, err
		}
	}
	if n := len(p.all); n > 0 && len(order) > 0 && p.next != 0 {
		return nil, fmt.Errorf("zfs get ended within the properties of %q", p.all[n-1].Name)
	}
	return p.all, nil
}

type getParser struct {
	order []string
	all   []Dataset
	seen  map[string]bool // the datasets in all
	next  int             // the place in order of the record at hand
}

// begins tells whether a line begins the record that follows the one at hand.
func (p *getParser) begins(line, record string) bool {
	name, rest, _ := strings.Cut(record, "\t")
	prop, _, _ := strings.Cut(rest, "\t")
	nextName, rest, _ := strings.Cut(line, "\t")
	nextProp, _, ok := strings.Cut(rest, "\t")
	if !ok || !p.follows(name, prop, nextName, nextProp) {
		return false
	}
	_, _, _, _, whole := fields(record)
	return whole
}

// follows tells whether a property can come after another one.
func (p *getParser) follows(name, prop, nextName, nextProp string) bool {
	if len(p.order) > 0 {
		next := (p.next + 1) % len(p.order)
		return nextProp == p.order[next] && (nextName == name) == (next != 0) && names.MatchString(nextName)
	}
	if !propNames.MatchString(nextProp) || !names.MatchString(nextName) {
		return false
	}
	if nextName != name {
		return nextProp == "type" && !p.seen[nextName]
	}
	had := false
	if n := len(p.all); n > 0 && p.all[n-1].Name == name {
		_, had = p.all[n-1].Props[nextProp]
	}
	return nextProp != prop && !had
}

// take adds a record to the answer.
func (p *getParser) take(record string) error {
	name, prop, value, source, ok := fields(record)
	if !ok || !names.MatchString(name) {
		return fmt.Errorf("zfs get printed %q", record)
	}
	if len(p.order) > 0 {
		if prop != p.order[p.next] {
			return fmt.Errorf("zfs get printed %q where %q must come", record, p.order[p.next])
		}
		p.next = (p.next + 1) % len(p.order)
	}
	if n := len(p.all); n == 0 || p.all[n-1].Name != name {
		p.all = append(p.all, Dataset{Name: name, Props: map[string]Property{}})
		if p.seen == nil {
			p.seen = map[string]bool{}
		}
		p.seen[name] = true
	}
	d := &p.all[len(p.all)-1]
	switch {
	case prop == "type":
		d.Kind = Kind(value)
	case strings.Contains(name, "@"):
		d.Kind = Snapshot
	}
	if !strings.Contains(prop, ":") || value != "-" || source != "-" {
		d.Props[prop] = Property{Value: value, Source: sourceOf(name, source)}
	}
	return nil
}

// fields takes a whole record apart; false where it is not whole.
func fields(record string) (name, prop, value, source string, ok bool) {
	record, ok = strings.CutSuffix(record, "\n")
	if !ok {
		return
	}
	if name, record, ok = strings.Cut(record, "\t"); !ok {
		return
	}
	if prop, record, ok = strings.Cut(record, "\t"); !ok {
		return
	}
	i := strings.LastIndexByte(record, '\t')
	if i < 0 {
		return name, prop, "", "", false
	}
	value, source = record[:i], record[i+1:]
	switch source {
	case "-", SourceLocal, SourceReceived, SourceDefault, "temporary":
		return name, prop, value, source, true
	}
	from, ok := strings.CutPrefix(source, inherited)
	return name, prop, value, source, ok && names.MatchString(from)
}

const inherited = "inherited from "

// cut is the length at which zfs cuts "inherited from …" off (2.1 to 2.3,
// libzfs_util.c).
const cut = 127

// sourceOf names a source as Property.Source does. One that was cut off is
// the nearest dataset to the root of the tree that it may have been.
func sourceOf(name, source string) string {
	if source == "-" {
		return SourceNone
	}
	from, ok := strings.CutPrefix(source, inherited)
	if !ok {
		return source
	}
	if len(source) < cut {
		return from
	}
	rest := strings.TrimPrefix(name, from)
	if i := strings.IndexAny(rest, "/@"); i >= 0 {
		return name[:len(name)-len(rest)+i]
	}
	return name
}
