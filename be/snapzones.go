package be

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// withZonesArgs say, in the record of an operation on a boot environment's
// snapshots, which zones have a part in it.
type withZonesArgs struct {
	// UUID is the boot environment's whose active zone BEs they are; "" is none.
	UUID string `json:"uuid,omitempty"`
	// Only are the zones alone that were named; none is all that follow.
	Only []string `json:"only,omitempty"`
	// Pools are those of zones in which no root of the boot environment lies.
	Pools []string `json:"pools,omitempty"`
	// Spare are zones that do not follow, as spared has them.
	Spare []string `json:"spare"`
}

// spared are the zones that do not follow. An operation that is recovered goes by
// what was recorded: the configuration may be that of another boot environment, or
// have changed. It is nil where there are more than can be recorded, and then the
// configuration says it.
func (m *Manager) spared(st *state, only []string) []string {
	names := []string{}
	for _, z := range st.zones {
		if m.policy(z.Name) != ZoneFollows && (len(only) == 0 || slices.Contains(only, z.Name)) {
			names = append(names, z.Name)
		}
	}
	if len(strings.Join(names, `","`)) > journal.MaxRecord/4 {
		return nil
	}
	return names
}

// follows tells whether a zone has a part in an operation that spares some.
func (m *Manager) follows(zone string, spare []string) bool {
	if spare == nil {
		return m.policy(zone) == ZoneFollows
	}
	return !slices.Contains(spare, zone)
}

// followers are the active zone BEs of a boot environment in the zones that follow;
// notes name the zones without one.
func (m *Manager) followers(st *state, uuid, name string, only, spare []string) (of []zones.BE, notes []string) {
	for _, root := range st.zonesAbsent {
		notes = append(notes, fmt.Sprintf("left out: the zones below %s are not there", root))
	}
	for _, z := range st.zones {
		if !m.follows(z.Name, spare) || len(only) > 0 && !slices.Contains(only, z.Name) {
			continue
		}
		b, err := z.Active(uuid)
		if err != nil {
			notes = append(notes, fmt.Sprintf("left out: the zone %q: in %q %v", z.Name, name, err))
			continue
		}
		of = append(of, b)
	}
	return of, notes
}

// withFollowers is a boot environment without the roots of pinned zones that belong
// to it: those are in use whatever runs.
func (m *Manager) withFollowers(b BE) BE {
	b.zones = slices.DeleteFunc(slices.Clone(b.zones), func(z zones.BE) bool { return m.policy(z.Zone) != ZoneFollows })
	return b
}

// together parts the roots of a boot environment and of its zones by what can
// change at one instant: each root with the zones in its pool, and then the zones
// of each other pool.
func (a withZonesArgs) together(roots []string, of []zones.BE) [][]string {
	parts := make([][]string, 0, len(roots)+len(a.Pools))
	for _, r := range roots {
		parts = append(parts, []string{r})
	}
	for range a.Pools {
		parts = append(parts, nil)
	}
	for _, z := range of {
		pool := zfs.PoolOf(z.Dataset)
		i := slices.IndexFunc(roots, func(r string) bool { return zfs.PoolOf(r) == pool })
		if i < 0 {
			if i = slices.Index(a.Pools, pool); i < 0 {
				continue // it came there since
			}
			i += len(roots)
		}
		parts[i] = append(parts[i], z.Dataset)
	}
	return parts
}

// zonePools are the pools of zones in which no root lies.
func zonePools(roots []string, of []zones.BE) (pools []string) {
	for _, z := range of {
		pool := zfs.PoolOf(z.Dataset)
		if !slices.Contains(pools, pool) && !slices.ContainsFunc(roots, func(r string) bool { return zfs.PoolOf(r) == pool }) {
			pools = append(pools, pool)
		}
	}
	return pools
}

// parts reads what has a part in an operation, as together has it.
func (m *Manager) parts(ctx context.Context, roots []string, a withZonesArgs) ([][]string, error) {
	if a.UUID == "" {
		return a.together(roots, nil), nil
	}
	st, err := m.readAll(ctx)
	if err != nil {
		return nil, err
	}
	of, _ := m.followers(st, a.UUID, "", a.Only, a.Spare)
	return a.together(roots, of), nil
}

// haveSnapshot parts zone BEs in those whose root has a snapshot of that name and,
// in notes, those that are left as they are: one process.
func (m *Manager) haveSnapshot(ctx context.Context, of []zones.BE, snap string) (with []zones.BE, notes []string, err error) {
	if len(of) == 0 {
		return nil, nil, nil
	}
	roots := make([]string, len(of))
	for i, z := range of {
		roots[i] = z.Dataset
	}
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: roots, Depth: 1, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{"type"}})
	for _, z := range of {
		if slices.ContainsFunc(ds, func(d zfs.Dataset) bool { return d.Name == z.Dataset+"@"+snap }) {
			with = append(with, z)
		} else {
			notes = append(notes, fmt.Sprintf("the zone %q stays as it is: %s has no snapshot %q", z.Zone, z.Dataset, snap))
		}
	}
	return with, notes, err
}
