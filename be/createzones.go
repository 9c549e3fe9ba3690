package be

import (
	"context"
	"maps"
	"slices"
	"strings"

	"snapbe/internal/mount"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// zoneClones names the new root of each zone that goes along: the next free name
// in its zone, as libbe has it.
func (st *state) zoneClones(of []zones.BE) map[string]string {
	clones := map[string]string{}
	for _, b := range of {
		clones[b.Dataset] = parent(b.Dataset) + "/" + nextName(b.Name, st.zoneOf(b).Names())
	}
	return clones
}

// andZones tells how many zones go along.
func (c *creation) andZones() string {
	if len(c.zones) == 0 {
		return ""
	}
	return ", and the roots of " + count(len(c.zones), "zone")
}

// zoneRoots are the new roots of zones, sorted.
func (c *creation) zoneRoots() []string { return slices.Sorted(maps.Values(c.zones)) }

// zoneFacts are for the snapshots of zones, which were made with the host's.
func (c *creation) zoneFacts() (changes []zfs.Change) {
	for _, root := range slices.Sorted(maps.Keys(c.zones)) {
		if f := c.had[root]; len(f) > 0 {
			changes = append(changes, setHad(root+"@"+c.args.Snap, f))
		}
	}
	return changes
}

// hostTree is where the new BE's own datasets will show: the clones of zones lie
// outside.
func (c *creation) hostTree(ds []zfs.Dataset, clones []zfs.Clone) mount.Tree {
	var own []zfs.Dataset
	var its []zfs.Clone
	for i, x := range clones {
		if slices.ContainsFunc(c.roots(), func(root string) bool { return within(x.Target, root) }) {
			own, its = append(own, ds[i]), append(its, x)
		}
	}
	return treeOfClones(c.newBE(), own, its)
}

// dropZoneClones takes away the zone BEs that this operation made: marked ones,
// and clones of its snapshots that were given no properties yet.
func (c *creation) dropZoneClones(ctx context.Context) error {
	if !c.args.Zones {
		return nil
	}
	if err := c.m.readZones(ctx, c.st); err != nil {
		return err
	}
	for _, z := range c.st.zones {
		for _, b := range z.BEs {
			origin := ""
			if b.Parent == "" && strings.HasSuffix(b.Origin, "@"+c.args.Snap) {
				origin = b.Origin
			}
			if b.Unfinished != c.id && origin == "" {
				continue
			}
			if err := c.m.destroyTree(ctx, b.Dataset, c.id, origin); err != nil {
				return err
			}
		}
	}
	return nil
}

// unkeepZones marks the zone BEs of the new boot environment again.
func (c *creation) unkeepZones(ctx context.Context) error {
	if !c.args.Zones {
		return nil
	}
	if err := c.m.readZones(ctx, c.st); err != nil {
		return err
	}
	var marks []zfs.Change
	for _, z := range c.st.zones {
		for _, b := range z.Of(c.args.UUID) {
			marks = append(marks, zfs.Change{Dataset: b.Dataset, Set: zfs.Props{propOp: c.id}})
		}
	}
	return c.m.setAll(ctx, marks)
}
