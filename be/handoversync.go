package be

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"snapbe/internal/journal"
)

// handingOver is the sync of a handover on its way, or of one that is recovered. The
// sources are snapshotted first and read from there: whatever becomes of them, what
// has been taken over can be ended, and named.
type handingOver struct {
	m    *Manager
	op   *operation
	args handoverArgs
	// s is nil until it is needed in a recovery.
	s *syncing
	// failed are the datasets of zones that could not be synced.
	failed []string
}

func (h *handingOver) point() string { return syncPrefix + h.args.Snap }

// there is what a target's property says when it has taken over its part.
func (h *handingOver) there() string {
	return syncPoint{From: h.args.From, Snap: h.point()}.String()
}

func (h *handingOver) syncing(ctx context.Context) (*syncing, error) {
	if h.s != nil {
		return h.s, nil
	}
	s, err := h.m.catchUp(ctx, h.args)
	if err != nil {
		return nil, syncError(h.op.verb, err)
	}
	h.s = s
	return s, nil
}

// snapshotStep keeps what the other BE was when it ended.
func (h *handingOver) snapshotStep() journal.Step {
	return journal.Step{
		Name: "snapshot what the other one has",
		Do: func(ctx context.Context) error {
			s, err := h.syncing(ctx)
			if err != nil {
				return err
			}
			if err := h.m.snapshotSides(ctx, s, h.point(), h.op.id, false); err != nil {
				return err
			}
			return h.m.tellPartly(ctx, s, syncPoint{h.args.From, h.point()})
		},
		Undo: func(ctx context.Context) error {
			return h.m.dropSides(ctx, h.op.id, h.point(), h.args.Zones, h.args.Source)
		},
	}
}

// catchUpStep syncs once more, from the other BE at rest. There is no way back, and
// none is needed: run again, it finds in place what it wrote. What is in place is
// named, whatever a zone has in store.
func (h *handingOver) catchUpStep() journal.Step {
	return journal.Step{Name: "mount the other one and sync what has changed since", Do: func(ctx context.Context) error {
		err := h.catchUp(ctx)
		if running, e := h.m.sys.Host.Root(); err != nil && h.args.recovering && e == nil && running != h.args.Target {
			// It is for the other one to do; this one must not be held up by it.
			h.op.result.Notes = append(h.op.result.Notes, fmt.Sprintf("what was begun in %s is not ended: %v", h.args.Target, err))
			return nil
		}
		return err
	}}
}

func (h *handingOver) catchUp(ctx context.Context) error {
	s, err := h.syncing(ctx)
	if err != nil {
		return err
	}
	if !s.zonesAlone && s.target.synced != h.there() {
		report, err := s.apply(ctx, h.point(), h.op.verb)
		if err != nil {
			return syncError(h.op.verb, err)
		}
		h.op.result.Sync = report
		h.op.result.Notes = append(h.op.result.Notes, s.after(report)...)
		if err := h.name(ctx, s); err != nil {
			return err
		}
	}
	inTime, cancel := ctx, context.CancelFunc(func() {})
	if h.args.boot || h.args.recovering { // and all that wait for the boot
		if h.m.zonesUntil.IsZero() { // what is recovered before has its part of it
			h.m.zonesUntil = time.Now().Add(4 * h.m.zoneTime())
		}
		inTime, cancel = context.WithDeadline(ctx, h.m.zonesUntil)
	}
	failed := h.m.applyZones(inTime, h.op, s, h.point())
	cancel()
	if ctx.Err() != nil {
		return errors.Join(failed, ctx.Err())
	}
	var done []*syncing
	for _, z := range s.zones {
		if slices.ContainsFunc(h.op.result.Zones, func(r ZoneSync) bool { return r.Zone == z.zone }) {
			done = append(done, z)
		} else {
			h.failed = append(h.failed, zonepaths([]*syncing{z})[0])
		}
	}
	if failed != nil {
		h.leave(&Error{Code: Failed, Text: h.op.verb, Err: failed, Hint: "mend what it names, and run snapbe handover"})
	}
	return h.name(ctx, done...)
}

// leave leaves what has failed in zones to another time. Whoever is root in a zone can
// bring it about, so it must not decide about the host, its boot, trial or failback.
func (h *handingOver) leave(failed error) {
	h.op.result.Notes = append(h.op.result.Notes, h.s.st.stillLeft(h.args.left(h.failed...)))
	if h.args.boot || h.args.recovering {
		h.op.result.Notes = append(h.op.result.Notes, failed.Error())
	} else {
		h.op.late = failed
	}
}

// name names the point on those that have taken it over.
func (h *handingOver) name(ctx context.Context, of ...*syncing) error {
	return h.m.nameTaken(ctx, of, syncPoint{h.args.From, h.point()}, h.op.id)
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
		gone := args.From
		if ok {
			gone = args.To
		}
		return nil, refuse(Failed, "snapbe activate --no-sync NAME goes without",
			"hand over: the boot environment with the UUID %s has gone", gone)
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
