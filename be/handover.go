package be

import (
	"context"
	"errors"
	"slices"
	"strings"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// handoverArgs are the record of a handover.
type handoverArgs struct {
	From    string `json:"from,omitempty"`
	To      string `json:"to"`
	Restore string `json:"restore,omitempty"`
	// Source and Target are the root datasets, Share the share; ZoneShares tells
	// that zones have theirs, Zones that there are zones.
	Source     string `json:"source,omitempty"`
	Target     string `json:"target"`
	Share      string `json:"share,omitempty"`
	ZoneShares bool   `json:"zoneShares,omitempty"`
	Zones      bool   `json:"zones,omitempty"`
	// Only are zones, or datasets in which they lie, that alone are handed over, the
	// rest being done; Absent those that are left to another time, and
	// Spare zones that have no part, as Manager.spared has them.
	Only   []string `json:"only,omitempty"`
	Absent []string `json:"absent,omitempty"`
	Spare  []string `json:"spare"`
	// Snap names the snapshots that it makes.
	Snap string `json:"snap"`

	// boot tells that no service runs yet.
	boot       bool
	recovering bool
}

// left is what there is to do when this one is done, zones that failed among it.
func (a handoverArgs) left(failed ...string) (h handover) {
	if len(strings.Join(failed, ",")) > journal.MaxRecord/8 {
		failed = []string{everyZone} // records of later operations hold it, some twice
	}
	if of := slices.Concat(a.Absent, failed); len(of) > 0 {
		h = handover{From: a.From, To: a.To, Left: of}
	}
	return h
}

// part tells whether a zone is handed over: by what was found when that began.
func (a handoverArgs) part(m *Manager) func(zones.Zone) bool {
	return func(z zones.Zone) bool {
		return m.follows(z.Name, a.Spare) && !among(a.Absent, z.Dataset) && (len(a.Only) == 0 || among(a.Only, z.Dataset))
	}
}

// ranSince tells whether the other BE may have changed since a handover that was cut
// off has snapshotted it.
func (m *Manager) ranSince(ctx context.Context, args handoverArgs) (bool, error) {
	running, err := m.sys.Host.Root()
	if err != nil || running != args.Target || len(args.Only) > 0 {
		return running != args.Target, err
	}
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{args.Source}, Depth: -1, Kinds: []zfs.Kind{zfs.Filesystem}, Props: []string{"written"}})
	return slices.ContainsFunc(ds, func(d zfs.Dataset) bool { return number(d.Value("written")) > 0 }), err
}

// plan refuses nothing that a boot could meet: an interrupted operation was
// ended before, and where nothing is left for this BE, nothing is done. A BE
// that was picked in the menu by hand takes nothing over.
func (r Handover) plan(ctx context.Context, m *Manager) (*operation, error) {
	const what = "hand over"
	st, err := m.readAll(ctx)
	if err != nil {
		return nil, err
	}
	h, ok := st.handover()
	switch {
	case ok && !h.due(st) && h.Restore != "" && r.Boot:
		return m.giveUpShareBack(st, h), nil
	case !ok || !h.due(st):
		return &operation{verb: what, plan: Plan{root: st.root, Title: what}}, nil
	}
	if len(h.Left) > 0 {
		return m.planLeft(ctx, st, h, r.Boot)
	}
	target, _ := st.running()
	share, err := m.shareThere(ctx, st)
	if err != nil {
		return nil, err
	}
	if share == "" {
		h.Restore = "" // nothing is left to go back
	}
	args := handoverArgs{From: h.From, To: h.To, Restore: h.Restore, Target: target.Dataset, Share: share, Snap: m.autoSnap(), boot: r.Boot,
		ZoneShares: len(m.zoneShares(st)) > 0, Zones: h.From != "" && len(st.zoneRoots) > 0}
	var s *syncing
	if h.From != "" {
		args.Absent, args.Spare = st.zonesAbsent, m.sparedNow(st, target)
		if source, ok := st.byUUID(h.From); ok {
			args.Source = source.Dataset
		}
		// A share that is to go back does so whatever is wrong with the sync.
		if s, err = m.catchUp(ctx, args); err != nil && h.Restore == "" {
			return nil, syncError(what, err)
		}
	}
	op := m.handoverOperation(st, m.sys.UUID(), args, s)
	op.plan.root = st.root
	if s != nil {
		op.plan.Notes = append(slices.Clone(s.base.notes), s.zoneNotes...)
	}
	if len(args.Absent) > 0 {
		op.plan.Notes = append(op.plan.Notes, st.stillLeft(handover{From: h.From, To: h.To, Left: args.Absent}))
	}
	op.result.Name = target.Name
	return op, nil
}

// sparedNow are the zones that have no part in a handover: those that do not follow,
// but not such as were synced when the host's target was activated. Its
// configuration may be another one, and they have the rest to come. One that an earlier
// handover has failed in has in part what the host has.
func (m *Manager) sparedNow(st *state, target BE) []string {
	spare := m.spared(st, nil)
	return slices.DeleteFunc(spare, func(name string) bool {
		z, _ := st.zone(name, "")
		root, err := z.Active(target.UUID)
		return err == nil && target.synced != "" &&
			(root.Synced == target.synced || slices.Contains(parsePartly(root.Partly), parseSyncPoint(target.synced)))
	})
}

// handoverOperation: each step finds out what is left of it. When one that was cut
// off has been ended, the handover is due still.
func (m *Manager) handoverOperation(st *state, id string, args handoverArgs, s *syncing) *operation {
	op := &operation{kind: "handover", id: id, args: args, verb: "hand over"}
	op.plan.Title = "hand over to " + st.nameOf(args.To)
	if args.From != "" {
		op.plan.Title += " from " + st.leftIn(handover{From: args.From, Left: args.Only})
	}
	if args.Share != "" || args.ZoneShares {
		step := m.shareSnapshotStep(id, args.Share, args.ZoneShares, args.Snap, args.To)
		if args.Restore != "" {
			step.Undo = nil // a share that is half brought back must have a way back
		}
		op.add(step)
	}
	back := len(op.steps)
	if args.Restore != "" {
		op.add(m.shareBackStep(op, args))
	}
	first := len(op.steps)
	h := &handingOver{m: m, op: op, args: args, s: s}
	if args.From != "" {
		op.add(h.snapshotStep())
		op.add(h.catchUpStep())
	}
	op.add(journal.Step{Name: "take the handover off", Do: func(ctx context.Context) error {
		if args.recovering && args.From != "" {
			if more, err := m.ranSince(ctx, args); err != nil || more {
				return err // the next one takes that over
			}
		}
		return m.sys.ZFS.Set(ctx, []zfs.Change{args.left(h.failed...).change(rootOf(args.Target))})
	}})
	op.add(m.dropStep(op))
	op.committed = func(ctx context.Context) (int, bool, error) {
		ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{rootOf(args.Target)}, Props: []string{propHandover}})
		if err != nil {
			return 0, false, err
		}
		left, _ := parseHandover(ds[0].Local(propHandover))
		running, err := m.sys.Host.Root()
		switch {
		case ds[0].Local(propHandover) == args.left().String():
			return len(op.steps) - 1, true, nil
		case running != args.Target: // the rest is left to the next boot of its own
			_, begun, e := m.snapshotMark(ctx, args.Source+"@"+syncPrefix+args.Snap)
			return first + 1, begun && args.From != "", errors.Join(err, e)
		case args.Restore != "" && left.Restore != args.Restore: // it went back already
			return back + 1, true, err
		}
		return 0, true, err
	}
	return op
}
