package zfs

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// Get is the promise of ZFS.
func (t *Tools) Get(ctx context.Context, q Query) ([]Dataset, error) {
	if err := check("get", q.Roots, q.Props...); err != nil {
		return nil, err
	}
	argv := []string{"zfs", "get", "-Hp", "-o", "name,property,value,source", "-t", types(q)}
	if q.Depth < 0 {
		argv = append(argv, "-r")
	} else {
		// Without roots zfs goes all the way down, unless told not to.
		argv = append(argv, "-d", strconv.Itoa(q.Depth))
	}
	var order []string
	if q.Props == nil {
		// "none" brings the type along.
		argv = append(argv, "-s", "local,received,none", "--", "all")
	} else {
		order = asked(q.Props)
		argv = append(argv, "--", strings.Join(order, ","))
	}
	name := strings.Join(q.Roots, " ")
	out, err := t.run(ctx, "get", name, append(argv, q.Roots...)...)
	if err != nil {
		return nil, err
	}
	all, err := parseGet(string(out), order)
	if err != nil {
		return nil, &Error{Verb: "get", Name: name, Err: err}
	}
	return answer(all, q), nil
}

// types are the kinds to ask for. Roots of another kind than was asked for
// must be among them, or zfs calls them an error; they are dropped later.
func types(q Query) string {
	if len(q.Kinds) > 0 && !slices.ContainsFunc(q.Kinds, func(k Kind) bool { return k != Snapshot }) {
		return "snapshot"
	}
	isSnapshot := func(root string) bool { return strings.Contains(root, "@") }
	if slices.Contains(q.Kinds, Snapshot) || slices.ContainsFunc(q.Roots, isSnapshot) {
		return "filesystem,volume,snapshot"
	}
	return "filesystem,volume"
}

// asked is the list of properties to ask for, in which none comes twice. The
// type comes first, the name comes anyway.
func asked(props []string) []string {
	list := []string{"type"}
	for _, p := range props {
		if p != "name" && !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// answer keeps what the query asked for.
func answer(all []Dataset, q Query) []Dataset {
	kinds := q.Kinds
	if len(kinds) == 0 {
		kinds = []Kind{Filesystem, Volume}
	}
	all = slices.DeleteFunc(all, func(d Dataset) bool { return !slices.Contains(kinds, d.Kind) })
	for _, d := range all {
		if q.Props == nil {
			for prop, p := range d.Props {
				if p.Source != SourceLocal && p.Source != SourceReceived {
					delete(d.Props, prop)
				}
			}
			continue
		}
		if !slices.Contains(q.Props, "type") {
			delete(d.Props, "type")
		}
		if slices.Contains(q.Props, "name") {
			d.Props["name"] = Property{Value: d.Name, Source: SourceNone}
		}
	}
	return all
}
