package be

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"snapbe/zones"
)

// ZoneBE is a zone's root as it stands on this host.
type ZoneBE struct {
	zones.BE
	// ParentName is the boot environment that it belongs to; "" for an orphan.
	ParentName string `json:"parent,omitempty"`
	// Now and Next tell that it is what boots in the boot environment that runs,
	// and in the one that boots next.
	Now  bool `json:"now"`
	Next bool `json:"next"`
	// Unbootable is one that is unfinished, or one of several that are active for
	// one boot environment. Orphan belongs to no boot environment of this host.
	Unbootable bool `json:"unbootable"`
	Orphan     bool `json:"orphan"`
	// Mountpoint is where it shows now; "" where it is not mounted.
	Mountpoint string `json:"mountpoint,omitempty"`
	// Policy is how the zone follows, State what its machine does; "" where that
	// could not be read.
	Policy ZonePolicy  `json:"policy"`
	State  zones.State `json:"state,omitempty"`
}

// ZoneList is all zones of a host.
type ZoneList struct {
	// BEs are their roots, by zone, oldest first.
	BEs []ZoneBE `json:"zone_bes"`
	// Absent are datasets that zones lie in, and that are not there.
	Absent []string `json:"absent,omitempty"`
}

// Zones reads every zone BE, in a number of processes that does not grow with
// them. Anybody may read them, but for what the platform lets only root see.
func (m *Manager) Zones(ctx context.Context) (ZoneList, error) {
	st, err := m.readAll(ctx)
	if err != nil {
		return ZoneList{}, err
	}
	list := ZoneList{Absent: st.zonesAbsent}
	states := map[string]zones.State{}
	if len(st.zones) > 0 {
		machines, _ := m.sys.Zones.List(ctx) // /var/lib/machines is root's alone
		for _, x := range machines {
			states[x.Name] = x.State
		}
	}
	now, next := m.boots(st, func(b BE) bool { return b.Running }), m.boots(st, func(b BE) bool { return b.Default })
	for _, z := range st.zones {
		orphans := datasetsOf(m.orphans(st, z))
		for _, b := range z.BEs {
			_, err := z.Active(b.Parent)
			_, two := errors.AsType[*zones.TwoError](err)
			x := ZoneBE{BE: b, ParentName: st.parentName(b), Policy: m.policy(z.Name), State: states[z.Name],
				Now: now[b.Dataset], Next: next[b.Dataset], Orphan: slices.Contains(orphans, b.Dataset),
				Unbootable: b.Unfinished != "" || b.Active && two && st.parentName(b) != ""}
			for _, mnt := range st.mounts {
				if mnt.FSType == "zfs" && mnt.Dataset == b.Dataset {
					x.Mountpoint = mnt.Dir
				}
			}
			list.BEs = append(list.BEs, x)
		}
	}
	return list, nil
}

// boots are the datasets of the zone BEs that boot in a boot environment.
func (m *Manager) boots(st *state, is func(BE) bool) map[string]bool {
	boots := map[string]bool{}
	for _, b := range st.bes {
		if !is(b) {
			continue
		}
		for _, z := range m.activeZones(st, b) {
			boots[z.Dataset] = true
		}
	}
	return boots
}

// statusZones tells of the zones, and of what keeps one from booting as it should.
func (m *Manager) statusZones(ctx context.Context, st *state, s *Status) error {
	if err := m.readZones(ctx, st); err != nil {
		return err
	}
	s.ZonesIn = st.zoneRoots
	for _, z := range st.zones {
		if slices.Contains(s.Zones, z.Name) {
			s.Problems = append(s.Problems, fmt.Sprintf("there is more than one zone %q, and only one of them can boot: zfs rename %s %s/NEWNAME", z.Name, z.Dataset, parent(z.Dataset)))
		}
		s.Zones = append(s.Zones, z.Name)
	}
	for _, root := range st.zonesAbsent {
		s.Problems = append(s.Problems, fmt.Sprintf("the zones below %s are not there: zpool import their pool", root))
	}
	if b, ok := st.running(); ok {
		for _, z := range st.zones {
			if problem := cmp.Or(m.zoneProblem(st, z, b), m.notInPlace(st, z, b)); problem != "" {
				s.Problems = append(s.Problems, problem)
			} else if m.policy(z.Name) != ZoneExcluded && m.shareHidden(st, z) {
				s.Problems = append(s.Problems, fmt.Sprintf("the zone %q is without its share until the next start of the host: machinectl poweroff %s; snapbe share init --zone %s puts it there now", z.Name, z.Name, z.Name))
			}
		}
	}
	s.Problems = append(s.Problems, m.orphanNotes(st)...)
	return nil
}

// stopping tells of the zones that have a root in the boot environment that runs, and
// none in another one.
func (m *Manager) stopping(st *state, b BE) (notes []string) {
	run, _ := st.running()
	for _, z := range st.zones {
		_, err := m.rootIn(z, run)
		if _, none := m.rootIn(z, b); err == nil && none != nil {
			notes = append(notes, fmt.Sprintf("the zone %q does not start in %q, where %v: snapbe zone attach --be %s %s gives it a root there", z.Name, b.Name, none, b.Name, z.Name))
		}
	}
	return notes
}

// notInPlace tells of a zone whose root is not where it boots, such as one whose pool
// was not there when the machine started; "" where it is.
func (m *Manager) notInPlace(st *state, z zones.Zone, b BE) string {
	root, err := m.rootIn(z, b)
	if err != nil || root.Dataset == "" || lastAt(st.mounts, m.sys.Zones.RootDir(z.Name)).Dataset == root.Dataset {
		return ""
	}
	return fmt.Sprintf("the zone %q does not start: %s is not in its place yet: systemctl restart snapbe-zones.service puts it there", z.Name, root.Name)
}

// zoneProblem tells why a zone does not start in the boot environment that runs, and
// what helps; "" where it has a root there.
func (m *Manager) zoneProblem(st *state, z zones.Zone, b BE) string {
	root, err := m.rootIn(z, b)
	dir := m.sys.Zones.RootDir(z.Name)
	if at := lastAt(st.mounts, dir).Dataset; err == nil && root.Dataset != "" && at != "" && at != root.Dataset {
		return fmt.Sprintf("the zone %q does not start: %s is mounted at %s, and not %s, its root in %q: umount %s, and systemctl restart snapbe-zones.service", z.Name, at, dir, root.Dataset, b.Name, dir)
	}
	if err == nil {
		return ""
	}
	if two, ok := errors.AsType[*zones.TwoError](err); ok {
		return fmt.Sprintf("the zone %q does not start: for %q %v: zfs set %s=off %s turns one of them off", z.Name, b.Name, err, zones.PropActive, two.BEs[len(two.BEs)-1].Dataset)
	}
	return fmt.Sprintf("the zone %q has no root in %q, and does not start: snapbe zone attach %s gives it one; what is in %s, such as the machine from before it was a zone, is moved away first",
		z.Name, b.Name, z.Name, dir)
}
