package zfs

import (
	"errors"
	"fmt"
	"strings"
)

// vdev is a line of the table in "zpool status".
type vdev struct {
	depth int
	name  string
	state string
	note  string
}

// parseStatus finds the leaves in what "zpool status -P -L" printed of one
// pool. Its table is indented by two spaces a level; the column in which the
// states stand is as wide as the longest name, which may hold spaces.
func parseStatus(out string) ([]Leaf, error) {
	vdevs, err := table(out)
	if err != nil {
		return nil, err
	}
	var leaves []Leaf
	var class, top string
	for i, v := range vdevs {
		switch {
		case i == 0: // the pool
			continue
		case v.depth == 0:
			class = v.name
			continue
		case v.depth == 1:
			top = v.name
		}
		if i+1 < len(vdevs) && vdevs[i+1].depth > v.depth {
			continue
		}
		leaf := Leaf{Path: v.name, State: v.state, Mirror: top, Class: class}
		// 2.1, 2.3: an absent device goes by its GUID, and "was" tells
		// the path.
		if _, was, ok := strings.Cut(v.note, "was "); ok && strings.HasPrefix(was, "/") {
			leaf.Path = was
		}
		// A deferred resilver (2.1, 2.3: "awaiting resilver") leaves the
		// leaf as stale as a running one.
		leaf.Resilvering = strings.Contains(v.note, "(resilvering)") || strings.Contains(v.note, "(awaiting resilver)")
		leaves = append(leaves, leaf)
	}
	return leaves, nil
}

// table reads the lines between "NAME STATE …" and the blank one.
func table(out string) ([]vdev, error) {
	var vdevs []vdev
	column := 0
	for line := range strings.Lines(out) {
		line, tab := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case column == 0:
			if tab && strings.HasPrefix(line, "NAME") {
				column = max(0, strings.Index(line, "STATE"))
			}
			continue
		case !tab:
			if len(vdevs) == 0 {
				return nil, errors.New("zpool status printed an empty table")
			}
			return vdevs, nil
		}
		v, err := row(line, column)
		if err != nil {
			return nil, err
		}
		vdevs = append(vdevs, v)
	}
	if len(vdevs) == 0 {
		return nil, errors.New("zpool status printed no table")
	}
	return vdevs, nil
}

// row reads a line. Only classes, at the margin, have no state.
func row(line string, column int) (vdev, error) {
	name := strings.TrimLeft(line, " ")
	v := vdev{depth: (len(line) - len(name)) / 2}
	if v.depth == 0 && len(line) <= column {
		v.name = strings.TrimRight(name, "\t") // 2.1: a tab behind it
	} else if len(line) > column {
		v.name = strings.Trim(line[:column], " ")
		v.state, v.note, _ = strings.Cut(line[column:], " ")
	}
	if v.name == "" || v.depth > 0 && v.state == "" {
		return v, fmt.Errorf("zpool status printed %q", line)
	}
	v.note = strings.TrimSpace(v.note)
	return v, nil
}
