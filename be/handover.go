package be

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	// Only are datasets in which those zones lie that alone are handed over, the
	// rest being done; Absent those whose zones are left to another time, and
	// Spare zones that have no part, as Manager.spared has them.
	Only   []string `json:"only,omitempty"`
	Absent []string `json:"absent,omitempty"`
	Spare  []string `json:"spare"`
	// Snap names the snapshots that it makes.
	Snap string `json:"snap"`

	// boot tells that no service runs yet.
	boot bool
}

// left is what the property of the handover says when this one is done.
func (a handoverArgs) left() string {
	if len(a.Absent) == 0 {
		return ""
	}
	return handover{From: a.From, To: a.To, Left: a.Absent}.String()
}

// done is the change that takes the handover off, but for what is left.
func (a handoverArgs) done() zfs.Change {
	if left := a.left(); left != "" {
		return zfs.Change{Dataset: rootOf(a.Target), Set: zfs.Props{propHandover: left}}
	}
	return zfs.Change{Dataset: rootOf(a.Target), Inherit: []string{propHandover}}
}

// part tells whether a zone is handed over: by what was found when that began.
func (a handoverArgs) part(m *Manager) func(zones.Zone) bool {
	return func(z zones.Zone) bool {
		in := parent(z.Dataset)
		return m.follows(z.Name, a.Spare) && !slices.Contains(a.Absent, in) && (len(a.Only) == 0 || slices.Contains(a.Only, in))
	}
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
		return m.planLeft(ctx, st, h)
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
// configuration may be another one, and they have the rest to come.
func (m *Manager) sparedNow(st *state, target BE) []string {
	spare := m.spared(st, nil)
	return slices.DeleteFunc(spare, func(name string) bool {
		z, _ := st.zone(name, "")
		root, err := z.Active(target.UUID)
		return err == nil && root.Synced != "" && root.Synced == target.synced
	})
}

// giveUpShareBack is for another BE that was picked in the menu: its services
// write to the share from now on, and that must not be taken back later. One
// property says it, and there is nothing to recover.
func (m *Manager) giveUpShareBack(st *state, h handover) *operation {
	op := &operation{verb: "hand over", plan: Plan{root: st.root, Title: "hand over"}}
	restore := h.Restore
	h.Restore = ""
	c := zfs.Change{Dataset: st.root, Inherit: []string{propHandover}}
	if left := h.String(); left != "" {
		c = zfs.Change{Dataset: st.root, Set: zfs.Props{propHandover: left}}
	}
	op.plan.Notes = append(op.plan.Notes, fmt.Sprintf("%s was to boot next, with the share as in %s; since this one runs, the share stays as it is: snapbe share restore %s brings it back", st.nameOf(h.To), restore, restore))
	op.add(journal.Step{Name: "leave the share as it is", Do: func(ctx context.Context) error { return m.sys.ZFS.Set(ctx, []zfs.Change{c}) }})
	return op
}

// handoverOperation: each step finds out what is left of it. The last one takes
// the handover off together with the new sync points of both sides, in one
// transaction group.
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
	if args.From != "" {
		op.add(m.catchUpStep(op, args, s))
	}
	op.add(m.handedOverStep(id, args))
	op.add(m.dropStep(op))
	op.committed = func(ctx context.Context) (int, bool, error) {
		ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{rootOf(args.Target)}, Props: []string{propHandover}})
		if err != nil {
			return 0, false, err
		}
		left, _ := parseHandover(ds[0].Local(propHandover))
		running, err := m.sys.Host.Root()
		switch {
		case ds[0].Local(propHandover) == args.left():
			return len(op.steps) - 1, true, nil
		case running != args.Target: // it is left to the next boot of its own
			return 0, false, err
		case args.Restore != "" && left.Restore != args.Restore: // it went back already
			return back + 1, true, err
		}
		return 0, true, err
	}
	return op
}

// shareBackStep brings the share back, once, and before any service has written
// to it: whether that went well or not, no later boot does it again.
func (m *Manager) shareBackStep(op *operation, args handoverArgs) journal.Step {
	return journal.Step{Name: "bring the share back to @" + args.Restore, Do: func(ctx context.Context) error {
		if !args.boot {
			op.result.Notes = append(op.result.Notes, fmt.Sprintf("bring the share back to @%s: services run already; snapbe share restore %s does it", args.Restore, args.Restore))
		} else {
			written, err := m.restoreShare(ctx, args.Share, args.Restore, nil)
			op.result.Notes = append(op.result.Notes, restored(args.Restore, written))
			if err != nil { // and the rest is done all the same
				op.late = refuse(Failed, "", "bring the share back to @%s: %v; what it was is in @%s", args.Restore, err, args.Snap)
			}
		}
		left := handover{From: args.From, To: args.To}.String()
		c := zfs.Change{Dataset: rootOf(args.Target), Inherit: []string{propHandover}}
		if left != "" {
			c = zfs.Change{Dataset: rootOf(args.Target), Set: zfs.Props{propHandover: left}}
		}
		return m.sys.ZFS.Set(context.WithoutCancel(ctx), []zfs.Change{c})
	}, Undo: func(ctx context.Context) error { return m.undoShareBack(ctx, op, args) }}
}

// undoShareBack is for a way back that a power cut stopped, and another BE that
// was picked in the menu then: what is half brought back becomes what it was.
func (m *Manager) undoShareBack(ctx context.Context, op *operation, args handoverArgs) error {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{rootOf(args.Target)}, Props: []string{propHandover}})
	if err != nil {
		return err
	}
	if left, _ := parseHandover(ds[0].Local(propHandover)); left.Restore != args.Restore {
		return nil // all of it is back
	}
	mark, ok, err := m.snapshotMark(ctx, args.Share+"@"+args.Snap)
	if err != nil || !ok || mark != op.id {
		return err
	}
	if !args.boot {
		op.result.Notes = append(op.result.Notes, fmt.Sprintf("the share may be half as in @%s: snapbe share restore %s makes it what it was", args.Restore, args.Snap))
		return nil
	}
	_, failed := m.restoreShare(ctx, args.Share, args.Snap, nil)
	if failed != nil {
		op.late = errors.Join(op.late, refuse(Failed, "", "take the share back to what it was: %v; that is in @%s", failed, args.Snap))
	}
	return nil
}

// catchUpStep syncs once more, from the other BE at rest. There is no way back,
// and none is needed: run again, it finds in place what it wrote. A recovery
// has no s yet.
func (m *Manager) catchUpStep(op *operation, args handoverArgs, s *syncing) journal.Step {
	return journal.Step{Name: "mount the other one and sync what has changed since", Do: func(ctx context.Context) (err error) {
		if s == nil {
			if s, err = m.catchUp(ctx, args); err != nil {
				return syncError(op.verb, err)
			}
		}
		if !s.zonesAlone {
			report, err := s.apply(ctx, "", op.verb)
			if err != nil {
				return syncError(op.verb, err)
			}
			op.result.Sync = report
			op.result.Notes = append(op.result.Notes, s.after(report)...)
		}
		// The host's are in place, whatever a zone has in store.
		if err := m.applyZones(ctx, op, s, ""); err != nil {
			return syncError(op.verb, err)
		}
		return nil
	}}
}

// catchUp prepares the sync of a handover.
func (m *Manager) catchUp(ctx context.Context, args handoverArgs) (*syncing, error) {
	st, err := m.readAll(ctx)
	if err != nil {
		return nil, err
	}
	source, ok := st.byUUID(args.From)
	target, ok2 := st.byUUID(args.To)
	if !ok || !ok2 {
		return nil, refuse(Failed, "snapbe activate --no-sync NAME goes without",
			"hand over: the boot environment with the UUID %s, which ran before, has gone", args.From)
	}
	s := &syncing{m: m, st: st, source: source, target: target, zonesAlone: len(args.Only) > 0}
	if !s.zonesAlone {
		if err := s.begin(ctx); err != nil {
			return nil, err
		}
		s.notStrict()
	}
	s.zones, s.zoneNotes = m.zoneSyncs(st, source, target, false, args.part(m))
	return s, nil
}

// notStrict is for a handover: a conflict stops no boot. What can be taken over
// is, and the rest is told.
func (s *syncing) notStrict() {
	s.list = slices.Clone(s.list)
	for i := range s.list {
		s.list[i].Strict = false
	}
}

// handedOverStep makes the new sync points: what each of the two now is, the
// other one has taken over. So it is with their zones.
func (m *Manager) handedOverStep(id string, args handoverArgs) journal.Step {
	point := syncPrefix + args.Snap
	return journal.Step{
		Name: "remember what both have now",
		Do: func(ctx context.Context) error {
			done := args.done()
			if args.From == "" {
				return m.sys.ZFS.Set(ctx, []zfs.Change{done})
			}
			s, err := m.handedOver(ctx, args)
			if err == nil {
				err = m.snapshotSides(ctx, s, point, id, true)
			}
			if err != nil {
				return err
			}
			there, back := syncPoint{From: args.From, Snap: point}.String(), syncPoint{From: args.To, Snap: point, Back: true}.String()
			var more []zfs.Change
			host := done
			if !s.zonesAlone {
				more, host = append(more, done, setSynced(args.Source, back)), setSynced(args.Target, there)
			}
			for _, z := range s.zones {
				more = append(more, setSynced(z.source.Dataset, back))
			}
			same, others := byPool(more, args.Target)
			if err := m.setAll(ctx, others); err != nil {
				return err
			}
			return m.setPoints(ctx, s, there, host, same...)
		},
		Undo: func(ctx context.Context) error {
			if args.From == "" {
				return nil
			}
			if args.Zones {
				back, err := m.pointsBack(ctx, id, point, args.From, args.To)
				if err == nil {
					err = m.setAll(ctx, back)
				}
				if err != nil {
					return err
				}
			}
			return m.dropSides(ctx, id, point, args.Zones, args.Source, args.Target)
		},
	}
}

// handedOver are the two sides of a handover with their zones, to be snapshotted.
func (m *Manager) handedOver(ctx context.Context, args handoverArgs) (*syncing, error) {
	st, err := m.readAll(ctx)
	if err != nil {
		return nil, err
	}
	s := &syncing{m: m, st: st, zonesAlone: len(args.Only) > 0}
	s.source, _ = st.byUUID(args.From)
	s.target, _ = st.byUUID(args.To)
	s.zones, _ = m.zoneSyncs(st, s.source, s.target, false, args.part(m))
	return s, nil
}
