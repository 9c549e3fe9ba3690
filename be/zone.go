package be

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"snapbe/internal/mount"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// propZones names, on the BE root container, the datasets that zonepath datasets
// lie in, with commas between: no dataset's name has one.
const propZones = "org.snapbe:zones"

// ZonePolicy is how a zone follows the boot environments of the host.
type ZonePolicy string

// The policies.
const (
	// ZoneFollows clones the zone with each new boot environment.
	ZoneFollows ZonePolicy = "follow"
	// ZonePinned gives the zone one root, which boots in every boot environment.
	ZonePinned ZonePolicy = "pin"
	// ZoneExcluded leaves the zone alone.
	ZoneExcluded ZonePolicy = "exclude"
)

// policy is how a zone follows.
func (m *Manager) policy(zone string) ZonePolicy {
	if p := m.sys.ZonePolicy[zone]; p != "" {
		return p
	}
	return ZoneFollows
}

// readZones reads all zones: one process, for any number of them. Containers that
// are not there, as where a pool is not imported, are in absent.
func (m *Manager) readZones(ctx context.Context, st *state) error {
	st.zoneRoots = append(zoneContainers(st.props), st.zonesMore...)
	st.zones, st.zonesAbsent = nil, nil
	if len(st.zoneRoots) == 0 {
		return nil
	}
	q := zfs.Query{Roots: st.zoneRoots, Depth: zones.Depth, Kinds: []zfs.Kind{zfs.Filesystem}, Props: zones.Props}
	ds, err := m.sys.ZFS.Get(ctx, q)
	if zfs.Is(err, zfs.NotFound) {
		ds, err = nil, nil
		for _, root := range st.zoneRoots {
			q.Roots = []string{root}
			some, err := m.sys.ZFS.Get(ctx, q)
			if zfs.Is(err, zfs.NotFound) {
				st.zonesAbsent = append(st.zonesAbsent, root)
			} else if err != nil {
				return err
			}
			ds = append(ds, some...)
		}
	}
	if err != nil {
		return err
	}
	st.zones = zones.Read(st.zoneRoots, ds)
	for i := range st.bes {
		b := &st.bes[i]
		b.zones = nil
		for _, z := range st.zones {
			b.zones = append(b.zones, z.Of(b.UUID)...)
		}
	}
	return nil
}

// readAll is read, with the zones.
func (m *Manager) readAll(ctx context.Context) (*state, error) {
	st, err := m.read(ctx)
	if err == nil {
		err = m.readZones(ctx, st)
	}
	return st, err
}

// readAllToChange is readToChange, with the zones.
func (m *Manager) readAllToChange(ctx context.Context, what string) (*state, error) {
	st, err := m.readToChange(ctx, what)
	if err == nil {
		err = m.readZones(ctx, st)
	}
	return st, err
}

// refuseAbsent refuses what would leave zones out that are only not to be seen.
func (st *state) refuseAbsent(what string) error {
	for _, root := range st.zonesAbsent {
		return refuse(NotFound, "zpool import "+zfs.PoolOf(root)+" where that pool is not there; --zone names those to go along, --no-zones none",
			"%s: the zones below %s are not there", what, root)
	}
	return nil
}

// zone finds a zone by its name. Where there are several, as when one was received to
// another container than the old one, none of them is taken.
func (st *state) zone(name, what string) (found zones.Zone, err error) {
	for _, z := range st.zones {
		switch {
		case z.Name != name:
		case found.Name != "":
			return zones.Zone{}, refuse(Failed, fmt.Sprintf("zfs rename %s %s/NEWNAME gives it another name", z.Dataset, parent(z.Dataset)), "%s: there is more than one: %s, %s", what, found.Dataset, z.Dataset)
		default:
			found = z
		}
	}
	if found.Name == "" && len(st.zonesAbsent) > 0 {
		in := st.zonesAbsent[0]
		return found, refuse(NotFound, "zpool import "+zfs.PoolOf(in)+" where that pool is not there", "%s: there is no zone %q, and the zones below %s are not there", what, name, strings.Join(st.zonesAbsent, ", "))
	}
	if found.Name == "" {
		return found, refuse(NotFound, "snapbe zone list shows those that there are; snapbe zone adopt makes one of a machine", "%s: there is no zone %q", what, name)
	}
	return found, nil
}

// zoneOf is the zone that a zone BE belongs to.
func (st *state) zoneOf(b zones.BE) zones.Zone {
	i := slices.IndexFunc(st.zones, func(z zones.Zone) bool { return within(b.Dataset, z.Dataset) })
	return st.zones[i]
}

// ZoneChoice says which zones an operation is about.
type ZoneChoice struct {
	// Names are those alone; none is all that follow.
	Names []string
	// None leaves all zones out.
	None bool
}

// chosenZones are the zone BEs of a boot environment that an operation is about.
// One that it should have, and has not, is refused by name.
func (m *Manager) chosenZones(st *state, b BE, choice ZoneChoice, what string) ([]zones.BE, error) {
	if choice.None {
		return nil, nil
	}
	if err := st.refuseAbsent(what); err != nil && len(choice.Names) == 0 {
		return nil, err
	}
	for _, name := range choice.Names {
		if _, err := st.zone(name, what); err != nil {
			return nil, cmp.Or(st.refuseAbsent(what), err)
		}
		if p := m.policy(name); p != ZoneFollows {
			return nil, refuse(Invalid, "policy in the table of that zone in /etc/snapbe/snapbe.toml says so", "%s: the policy of the zone %q is %q", what, name, p)
		}
	}
	var chosen []zones.BE
	for _, z := range st.zones {
		if m.policy(z.Name) != ZoneFollows || len(choice.Names) > 0 && !slices.Contains(choice.Names, z.Name) {
			continue
		}
		zbe, err := z.Active(b.UUID)
		if err != nil {
			return nil, refuseZone(what, z, b, err)
		}
		chosen = append(chosen, zbe)
	}
	return chosen, nil
}

// refuseZone tells why a zone has no root for a boot environment, with the
// command that mends it.
func refuseZone(what string, z zones.Zone, b BE, err error) error {
	if two, ok := errors.AsType[*zones.TwoError](err); ok {
		last := two.BEs[len(two.BEs)-1]
		return refuse(Failed, fmt.Sprintf("zfs set %s=off %s turns one of them off", zones.PropActive, last.Dataset),
			"%s: the zone %q: for %q %v", what, z.Name, b.Name, err)
	}
	how := "snapbe zone attach " + z.Name
	if !b.Running {
		how = fmt.Sprintf("snapbe zone attach --be %s %s", b.Name, z.Name)
	}
	return refuse(Failed, how+" gives it one; --zone names the zones that go along", "%s: the zone %q: for %q %v", what, z.Name, b.Name, err)
}

// active are the zone BEs that boot in a boot environment.
func (m *Manager) activeZones(st *state, b BE) (active []zones.BE) {
	for _, z := range st.zones {
		if zbe, err := m.rootIn(z, b); err == nil && zbe.Dataset != "" {
			active = append(active, zbe)
		}
	}
	return active
}

// rootIn is the zone BE that boots in a boot environment; one without a dataset for
// a zone that is left alone.
func (m *Manager) rootIn(z zones.Zone, b BE) (zones.BE, error) {
	switch m.policy(z.Name) {
	case ZoneExcluded:
		return zones.BE{}, nil
	case ZonePinned:
		return pinned(z, b.UUID)
	}
	return z.Active(b.UUID)
}

// pinned is the one root of a zone that does not follow: its active one, whatever
// boot environment that was made in. Where it followed once there may be several,
// and then the one of the running boot environment counts.
func pinned(z zones.Zone, running string) (zones.BE, error) {
	var on []zones.BE
	for _, b := range z.BEs {
		if b.Active && b.Unfinished == "" {
			on = append(on, b)
		}
	}
	if len(on) == 1 {
		return on[0], nil
	}
	return z.Active(running)
}

// zoneTrees are the trees of zone BEs, in their order: one process for all.
func (m *Manager) zoneTrees(ctx context.Context, of []zones.BE) ([]mount.Tree, error) {
	if len(of) == 0 {
		return nil, nil
	}
	q := zfs.Query{Depth: -1, Kinds: []zfs.Kind{zfs.Filesystem}, Props: treeProps}
	for _, b := range of {
		q.Roots = append(q.Roots, b.Dataset)
	}
	ds, err := m.sys.ZFS.Get(ctx, q)
	if err != nil {
		return nil, err
	}
	trees := make([]mount.Tree, len(of))
	for i, b := range of {
		mine := slices.DeleteFunc(slices.Clone(ds), func(d zfs.Dataset) bool { return !within(d.Name, b.Dataset) })
		trees[i] = treeOf(BE{Dataset: b.Dataset}, mine)
	}
	return trees, nil
}

// beneath places a tree at a directory of another one.
func beneath(dir string, t mount.Tree) mount.Tree {
	out := make(mount.Tree, len(t))
	for i, e := range t {
		e.Dir = path.Join(dir, e.Dir)
		out[i] = e
	}
	return out
}

// withZones is the tree of a boot environment with its zones where they boot.
func (m *Manager) withZones(ctx context.Context, st *state, b BE) (mount.Tree, error) {
	t, err := m.tree(ctx, b)
	if err != nil || len(st.zones) == 0 {
		return t, err
	}
	active := m.activeZones(st, b)
	trees, err := m.zoneTrees(ctx, active)
	for i, z := range active {
		t = append(t, beneath(m.sys.Zones.RootDir(z.Zone)[1:], trees[i])...)
	}
	return t, err
}

// zoneTime bounds what the root of a zone can make long, and a boot waits for.
func (m *Manager) zoneTime() time.Duration { return cmp.Or(m.sys.ZoneTime, 5*time.Minute) }
