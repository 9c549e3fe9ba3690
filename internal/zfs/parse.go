package zfs

import (
	"fmt"
	"strings"
)

// parseGet reads what "zfs get -H -o name,property,value,source" printed: a
// line for each property. The value of a user property is printed as it is
// and may hold tabs and newlines. Where the order of the properties is known,
// a line begins a record only where it has the name and the property that
// must come next; otherwise where it has any property that the dataset did
// not have yet. All other lines belong to the value before.
func parseGet(out string, order []string) ([]Dataset, error) {
	p := getParser{order: order}
	for line := range strings.SplitAfterSeq(out, "\n") {
		if line == "" {
			continue
		}
		if p.record != "" && !p.begins(line) {
			p.record += line
			continue
		}
		if err := p.flush(); err != nil {
			return nil, err
		}
		p.record = line
	}
	if err := p.flush(); err != nil {
		return nil, err
	}
	if n := len(p.all); n > 0 && len(order) > 0 && p.next != 0 {
		return nil, fmt.Errorf("zfs get ended within the properties of %q", p.all[n-1].Name)
	}
	return p.all, nil
}

type getParser struct {
	order  []string
	all    []Dataset
	next   int    // the place in order of the property after the last
	record string // the lines of the record at hand
}

// begins tells whether a line begins the record that follows the one at hand.
func (p *getParser) begins(line string) bool {
	name, prop, _, _, ok := fields(p.record)
	if !ok {
		return false
	}
	nextName, rest, ok := strings.Cut(line, "\t")
	if !ok {
		return false
	}
	nextProp, _, ok := strings.Cut(rest, "\t")
	if !ok || !names.MatchString(nextName) {
		return false
	}
	if len(p.order) > 0 {
		next := (p.next + 1) % len(p.order)
		return nextProp == p.order[next] && (nextName == name) == (next != 0)
	}
	if nextName != name {
		return propNames.MatchString(nextProp) && !p.known(nextName)
	}
	last := len(p.all) - 1
	seen := nextProp == prop
	if last >= 0 && p.all[last].Name == name {
		_, was := p.all[last].Props[nextProp]
		seen = seen || was
	}
	return propNames.MatchString(nextProp) && !seen
}

// known tells whether a dataset came before.
func (p *getParser) known(name string) bool {
	for _, d := range p.all {
		if d.Name == name {
			return true
		}
	}
	return false
}

// flush takes the record at hand into the answer.
func (p *getParser) flush() error {
	if p.record == "" {
		return nil
	}
	name, prop, value, source, ok := fields(p.record)
	if !ok || !names.MatchString(name) {
		return fmt.Errorf("zfs get printed %q", p.record)
	}
	if len(p.order) > 0 {
		if prop != p.order[p.next] {
			return fmt.Errorf("zfs get printed %q where %q must come", p.record, p.order[p.next])
		}
		p.next = (p.next + 1) % len(p.order)
	}
	if n := len(p.all); n == 0 || p.all[n-1].Name != name {
		p.all = append(p.all, Dataset{Name: name, Props: map[string]Property{}})
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
	p.record = ""
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
