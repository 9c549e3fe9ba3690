package be

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"snapbe/zones"
)

// orphan tells whether a zone BE belongs to no boot environment of this host.
func (st *state) orphan(z zones.BE) bool {
	return !slices.ContainsFunc(st.bes, func(b BE) bool { return z.Parent != "" && b.UUID == z.Parent })
}

// orphans are the zone BEs of a zone that belong to no boot environment of this
// host. A pinned zone's root is none, wherever it was made.
func (m *Manager) orphans(st *state, z zones.Zone) []zones.BE {
	policy := m.policy(z.Name)
	if policy == ZoneExcluded {
		return nil
	}
	boots := ""
	if policy == ZonePinned {
		b, _ := st.running()
		if root, err := pinned(z, b.UUID); err == nil {
			boots = root.Dataset
		}
	}
	return slices.DeleteFunc(slices.Clone(z.BEs), func(b zones.BE) bool { return b.Dataset == boots || !st.orphan(b) })
}

// orphanNotes tell of zones with roots of no boot environment: one of them may hold
// what was written last. What an operation has left unfinished, as on a pool that was
// not there when it was undone, does not.
func (m *Manager) orphanNotes(st *state) (notes []string) {
	for _, z := range st.zones {
		var whole, left []string
		for _, o := range m.orphans(st, z) {
			if o.Unfinished == "" {
				whole = append(whole, o.Name)
			} else {
				left = append(left, o.Name)
			}
		}
		if len(whole) > 0 {
			notes = append(notes, fmt.Sprintf("the zone %q has orphans (%s), which may be newer: snapbe zone attach %s compares them, snapbe zone destroy-orphans %s takes them away",
				z.Name, strings.Join(whole, ", "), z.Name, z.Name))
		}
		if len(left) > 0 {
			notes = append(notes, fmt.Sprintf("the zone %q has what an interrupted operation left (%s): snapbe zone destroy-orphans %s takes it away", z.Name, strings.Join(left, ", "), z.Name))
		}
	}
	return notes
}

// parentName is how a zone BE's boot environment is called; "" for an orphan.
func (st *state) parentName(z zones.BE) string {
	for _, b := range st.bes {
		if z.Parent != "" && b.UUID == z.Parent {
			return b.Name
		}
	}
	return ""
}

// orOrphan is parentName for a sentence.
func (st *state) orOrphan(z zones.BE) string {
	if name := st.parentName(z); name != "" {
		return fmt.Sprintf("of %q", name)
	}
	return "an orphan of " + cmp.Or(z.Parent, "no boot environment")
}
