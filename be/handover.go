package be

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
)

// handover is what an activation leaves for the first boot. It is a property of
// the BE root container that comes with the choice of the default and goes with
// the last step of the handover, so it is its own record: cut off anywhere, all
// of it runs again.
type handover struct {
	// From and To are UUIDs; From "" syncs nothing.
	From, To string
	// Restore is a snapshot that the share goes back to.
	Restore string
}

func (h handover) String() string {
	if h.From == "" && h.Restore == "" {
		return ""
	}
	return strings.TrimSpace(or(h.From, "-") + " " + h.To + " " + h.Restore)
}

// handover is what the state says is left to do; ok is false where nothing is.
func (st *state) handover() (h handover, ok bool) {
	return parseHandover(st.props.Local(propHandover))
}

func parseHandover(text string) (h handover, ok bool) {
	f := strings.Fields(text)
	if len(f) < 2 {
		return h, false
	}
	h = handover{From: strings.TrimPrefix(f[0], "-"), To: f[1]}
	if len(f) > 2 {
		h.Restore = f[2]
	}
	return h, true
}

// due tells whether the handover is for the BE that runs.
func (h handover) due(st *state) bool {
	b, ok := st.running()
	return ok && b.UUID == h.To
}

// refuseHandover refuses to sync on from a BE that has not everything itself.
func (m *Manager) refuseHandover(st *state, what string) error {
	if h, ok := st.handover(); ok && h.From != "" && h.due(st) {
		return refuse(Failed, "snapbe handover does it; --no-sync goes on without", "%s: what changed last in %s is not synced to the boot environment that runs", what, st.nameOf(h.From))
	}
	return nil
}

// nameOf is the quoted name of the BE with a UUID, or the UUID.
func (st *state) nameOf(uuid string) string {
	if b, ok := st.byUUID(uuid); ok {
		return fmt.Sprintf("%q", b.Name)
	}
	return uuid
}

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
	// Snap names the snapshots that it makes.
	Snap string `json:"snap"`

	// boot tells that no service runs yet.
	boot bool
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
	op.result.Name = target.Name
	return op, nil
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
		op.plan.Title += " from " + st.nameOf(args.From)
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
		left, ok := parseHandover(ds[0].Local(propHandover))
		running, err := m.sys.Host.Root()
		switch {
		case !ok:
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
		report, err := s.apply(ctx, "", op.verb)
		if err != nil {
			return syncError(op.verb, err)
		}
		op.result.Sync = report
		op.result.Notes = append(op.result.Notes, s.after(report)...)
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
	s, err := m.newSync(ctx, st, source, target, false)
	if err != nil {
		return nil, err
	}
	s.notStrict()
	s.zones, s.zoneNotes = m.zoneSyncs(st, source, target, false)
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
			done := zfs.Change{Dataset: rootOf(args.Target), Inherit: []string{propHandover}}
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
			more := []zfs.Change{done, setSynced(args.Source, back)}
			for _, z := range s.zones {
				more = append(more, setSynced(z.source.Dataset, back))
			}
			same, others := byPool(more, args.Target)
			if err := m.setAll(ctx, others); err != nil {
				return err
			}
			return m.setPoints(ctx, s, there, setSynced(args.Target, there), same...)
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
	s := &syncing{m: m, st: st}
	s.source, _ = st.byUUID(args.From)
	s.target, _ = st.byUUID(args.To)
	s.zones, _ = m.zoneSyncs(st, s.source, s.target, false)
	return s, nil
}

// recoverBefore ends an interrupted operation that the early units cannot leave
// to snapbe-recover.service: an activation that is followed by a handover, and
// a restore of the share, which services are about to write to; one that was cut
// off in a handover, too, where another BE was picked in the menu since.
//
// Whatever is wrong with the record, the share has to be mounted.
func (m *Manager) recoverBefore(ctx context.Context, r Request, o Options) (res Result, err error) {
	st, err := m.read(ctx)
	if err != nil || o.DryRun {
		return res, err
	}
	rec, ok, unreadable := st.pending()
	h, left := st.handover()
	hand, handing := r.(Handover)
	due := left && h.due(st)
	switch {
	case unreadable != nil:
		err = unreadable
	// What is about to be given up was asked for by one that is ended before.
	case handing && ok && (due || left && h.Restore != "" && hand.Boot):
		return m.recoverPending(ctx, Options{Step: o.Step}, hand.Boot)
	case !handing && ok && (rec.Kind == "share-restore" || rec.Kind == "handover" && !due):
		res, err = m.recoverPending(ctx, Options{Step: o.Step}, true)
		if _, waits, e := m.journal(st.root).Load(ctx); err == nil || e == nil && !waits {
			return res, err
		}
	}
	if err != nil {
		res.Notes = append(res.Notes, fmt.Sprintf("an interrupted operation is left to snapbe recover: %v", err))
	}
	return res, nil
}
