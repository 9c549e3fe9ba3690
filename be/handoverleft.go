package be

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"snapbe/internal/zfs"
	"snapbe/zones"
)

// planLeft plans what a handover has left to do in zones that were not there, or failed.
// As long as none of them is there, it only tells.
func (m *Manager) planLeft(ctx context.Context, st *state, h handover, boot bool) (*operation, error) {
	const what = "hand over"
	target, _ := st.running()
	args := handoverArgs{From: h.From, To: h.To, Target: target.Dataset, Zones: true, Only: st.there(h.Left), Spare: m.sparedLeft(st, target, h), Snap: m.autoSnap(), boot: boot}
	args.Absent = slices.DeleteFunc(slices.Clone(h.Left), func(c string) bool { return slices.Contains(args.Only, c) })
	var notes []string
	for _, c := range args.Only {
		if c != everyZone && st.isZone(c) && !slices.ContainsFunc(st.zones, func(z zones.Zone) bool { return z.Dataset == c }) {
			notes = append(notes, fmt.Sprintf("the zone of %s is not there any more, so what changed last in %s is given up for it", c, st.nameOf(h.From)))
		}
	}
	if len(args.Absent) > 0 {
		notes = append(notes, st.stillLeft(handover{From: h.From, To: h.To, Left: args.Absent}))
	}
	if len(args.Only) == 0 {
		return &operation{verb: what, plan: Plan{root: st.root, Title: what}, result: Result{Notes: notes}}, nil
	}
	if source, ok := st.byUUID(h.From); ok {
		args.Source = source.Dataset
	}
	s, err := m.catchUp(ctx, args)
	if err != nil {
		return nil, syncError(what, err)
	}
	op := m.handoverOperation(st, m.sys.UUID(), args, s)
	op.plan.root, op.result.Name = st.root, target.Name
	op.plan.Notes = append(notes, s.zoneNotes...)
	return op, nil
}

// sparedLeft are the zones that have no part in that: those that do not follow, but
// not such as were synced when the host's target was activated.
func (m *Manager) sparedLeft(st *state, target BE, h handover) []string {
	return slices.DeleteFunc(m.spared(st, nil), func(name string) bool {
		z, _ := st.zone(name, "")
		root, err := z.Active(target.UUID)
		return err == nil && parseSyncPoint(root.Synced).From == h.From
	})
}

// stillLeft tells what a handover has not done, and the way on.
func (st *state) stillLeft(h handover) string {
	way := "snapbe handover"
	if !h.due(st) {
		way = fmt.Sprintf("the next boot of %s takes it over", st.nameOf(h.To))
	} else if absent := st.absentPools(h.Left); len(absent) > 0 {
		way = fmt.Sprintf("zpool import %s and snapbe handover, or the next boot with it, takes it over", strings.Join(absent, " "))
	}
	return fmt.Sprintf("what changed last in %s is not in %s yet, such as locks of accounts: %s", st.leftIn(h), st.nameOf(h.To), way)
}

// absentPools are those of some datasets that zones lie in and that are not there.
func (st *state) absentPools(in []string) (pools []string) {
	for _, c := range in {
		pool := zfs.PoolOf(c)
		if !slices.Contains(pools, pool) && slices.ContainsFunc(st.zonesAbsent, func(c string) bool { return zfs.PoolOf(c) == pool }) {
			pools = append(pools, pool)
		}
	}
	return pools
}
