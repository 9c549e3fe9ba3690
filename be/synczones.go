package be

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"snapbe/internal/journal"
	"snapbe/internal/treecopy"
	"snapbe/synclist"
	"snapbe/zones"
)

// ZoneSync is what a sync did, or would do, in a zone.
type ZoneSync struct {
	Zone   string           `json:"zone"`
	Report *synclist.Report `json:"sync"`
}

// zoneState is a zone seen as a host: its roots are the boot environments, by the
// UUIDs of those that they belong to. The active ones come first, so that a UUID
// leads to the one that boots there.
func (st *state) zoneState(z zones.Zone) *state {
	of := &state{root: st.root, props: st.props, mounts: st.mounts}
	for _, active := range []bool{true, false} {
		for _, b := range z.BEs {
			if parent, ok := st.byUUID(b.Parent); ok && b.Active == active {
				of.bes = append(of.bes, BE{Name: parent.Name, UUID: b.Parent, Dataset: b.Dataset, Created: b.Created,
					Unfinished: b.Unfinished, synced: b.Synced, had: parseFacts(b.Had), partly: parsePartly(b.Partly)})
			}
		}
	}
	return of
}

// withZoneStates is the host's state and that of each zone.
func (st *state) withZoneStates() []*state {
	of := []*state{st}
	for _, z := range st.zones {
		of = append(of, st.zoneState(z))
	}
	return of
}

// parts are the syncs of the host, unless that has its part already, and of zones.
func (s *syncing) parts() []*syncing {
	if s.zonesAlone {
		return s.zones
	}
	return append([]*syncing{s}, s.zones...)
}

// zoneSyncs are the syncs of those zones that are to take part and have an active
// root on either side. A zone that one of the two lacks is named.
func (m *Manager) zoneSyncs(st *state, source, target BE, strict bool, part func(zones.Zone) bool) (syncs []*syncing, notes []string) {
	for _, z := range st.zones {
		if !part(z) {
			continue
		}
		_, err := z.Active(source.UUID)
		_, err2 := z.Active(target.UUID)
		switch {
		case errors.Is(err, zones.ErrNone) && errors.Is(err2, zones.ErrNone):
		case err != nil:
			notes = append(notes, fmt.Sprintf("the zone %q is not synced: in %q %v", z.Name, source.Name, err))
		case err2 != nil:
			notes = append(notes, fmt.Sprintf("the zone %q is not synced: in %q %v", z.Name, target.Name, err2))
		default:
			of := st.zoneState(z)
			s := &syncing{m: m, st: of, strict: strict, zone: z.Name, share: z.Share != ""}
			s.source, _ = of.byUUID(source.UUID)
			s.target, _ = of.byUUID(target.UUID)
			syncs = append(syncs, s)
		}
	}
	return syncs, notes
}

// zonepaths are the zonepath datasets of the zones of syncs.
func zonepaths(syncs []*syncing) (roots []string) {
	for _, s := range syncs {
		roots = append(roots, parent(parent(s.source.Dataset)))
	}
	return roots
}

// rememberZones reads all that the syncs of zones need to know, at once.
func (m *Manager) rememberZones(ctx context.Context, syncs []*syncing) error {
	if len(syncs) == 0 {
		return nil
	}
	know, err := m.remember(ctx, zonepaths(syncs))
	for _, z := range syncs {
		z.m = know
	}
	return err
}

// addZones plans the syncs of the zones.
func (s *syncing) addZones(ctx context.Context) error {
	s.zones, s.zoneNotes = s.m.zoneSyncs(s.st, s.source, s.target, s.strict, func(z zones.Zone) bool { return s.m.policy(z.Name) == ZoneFollows })
	s.leaveHalf()
	for _, root := range s.st.zonesAbsent {
		s.zoneNotes = append(s.zoneNotes, fmt.Sprintf("the zones below %s are not there, and are not synced", root))
	}
	if err := s.m.rememberZones(ctx, s.zones); err != nil {
		return err
	}
	for _, z := range s.zones {
		err := z.begin(ctx)
		if err == nil {
			err = z.judge(ctx)
		}
		if err != nil {
			return z.naming(err)
		}
	}
	return nil
}

// leaveHalf leaves zones out that a handover has failed in: what they have of the other
// one's they have in part, and it must not be taken for their own.
func (s *syncing) leaveHalf() {
	h, ok := s.st.handover()
	if !ok || !h.due(s.st) {
		return
	}
	s.zones = slices.DeleteFunc(s.zones, func(z *syncing) bool {
		left := len(z.source.partly) > 0 && among(h.Left, zonepaths([]*syncing{z})[0])
		if left {
			s.zoneNotes = append(s.zoneNotes, fmt.Sprintf("the zone %q is not synced: what changed last in %s is not all in it; snapbe handover first", z.zone, s.st.nameOf(h.From)))
		}
		return left
	})
}

// naming puts the zone before an error; what is meant for a user has it already.
func (s *syncing) naming(err error) error {
	if err == nil || s.zone == "" {
		return err
	}
	if _, told := errors.AsType[*Error](err); told {
		return err
	}
	return fmt.Errorf("the zone %q: %w", s.zone, err)
}

// inZone begins what is told of a zone; for the host it is empty.
func (s *syncing) inZone() string {
	if s.zone == "" {
		return ""
	}
	return fmt.Sprintf("zone %q: ", s.zone)
}

// of names the source for a user.
func (s *syncing) of() string {
	if s.zone == "" {
		return fmt.Sprintf("%q", s.source.Name)
	}
	return fmt.Sprintf("the zone %q in %q", s.zone, s.source.Name)
}

// onZoneShare tells of a path that one of the trees has on the zone's share.
func onZoneShare(name string, trees ...*treecopy.Tree) (why string, ok bool) {
	dir := varDir(name)
	if dir == "" {
		return "", false
	}
	for _, t := range trees {
		if info, err := t.Lstat("var/" + dir); err == nil && info.Kind == treecopy.Symlink && within(info.Target, "share") {
			return "on the zone's share, which all of its roots have at /var/share", true
		}
	}
	return "", false
}

// zoneReports are what was or would be done in the zones.
func (s *syncing) zoneReports() (reports []ZoneSync) {
	if s == nil {
		return nil
	}
	for _, z := range s.zones {
		if z.report != nil {
			reports = append(reports, ZoneSync{z.zone, z.report})
		}
	}
	return reports
}

// addZoneSync adds the step that changes files of zones, where there are any.
func (m *Manager) addZoneSync(op *operation, id string, args syncArgs, s *syncing) {
	if !args.Zones {
		return
	}
	op.add(journal.Step{
		Name: "sync the zones, each by its own synclist",
		Do: func(ctx context.Context) error {
			return m.applyZones(ctx, op, s, args.Snap)
		},
		Undo: func(ctx context.Context) error {
			of, err := m.zonesOf(ctx, args.To)
			for _, z := range of {
				if err == nil {
					err = m.unsync(ctx, op, id, args, z.Dataset, args.ZoneMost)
				}
			}
			return err
		},
	})
}

// applyZones syncs zone by zone. Where there is a deadline, none takes the time of those
// that come after it. What is wrong with one keeps no other from it, but fails in the end.
func (m *Manager) applyZones(ctx context.Context, op *operation, s *syncing, snap string) error {
	if err := m.rememberZones(ctx, s.zones); err != nil { // with the snapshots made since
		return err
	}
	op.result.Zones = nil // what was planned
	var failed error
	written := int64(0)
	if op.result.Sync != nil {
		written = op.result.Sync.Written
	}
	for i, z := range s.zones {
		inTime, cancel := ctx, context.CancelFunc(func() {})
		if end, bound := ctx.Deadline(); bound {
			inTime, cancel = context.WithTimeout(ctx, min(m.zoneTime(), time.Until(end)/time.Duration(len(s.zones)-i)))
		}
		report, err := z.beginAndApply(inTime, snap, op.verb)
		cancel()
		if err != nil {
			failed = errors.Join(failed, z.naming(err))
			continue
		}
		written += report.Written
		op.result.Zones = append(op.result.Zones, ZoneSync{z.zone, report})
		op.result.Notes = append(op.result.Notes, z.after(report)...)
	}
	if len(op.result.Zones) > 0 {
		op.result.Notes = append(op.result.Notes, fmt.Sprintf("with %s, %s written in all", count(len(op.result.Zones), "zone"), humanize.IBytes(uint64(written))))
	}
	return failed
}

// beginAndApply is apply, for one that may not have been planned.
func (s *syncing) beginAndApply(ctx context.Context, snap, what string) (*synclist.Report, error) {
	if s.report == nil {
		if err := s.begin(ctx); err != nil {
			return nil, err
		}
		s.notStrict()
	}
	return s.apply(ctx, snap, what)
}

// zonesOf are all roots of zones that belong to the boot environments with these
// UUIDs.
func (m *Manager) zonesOf(ctx context.Context, uuids ...string) (of []zones.BE, err error) {
	st, err := m.readAll(ctx)
	if err != nil {
		return nil, err
	}
	for _, z := range st.zones {
		for _, uuid := range uuids {
			of = append(of, z.Of(uuid)...)
		}
	}
	return of, nil
}

// varDir is the directory of /var that a path lies in, "" for any other path.
func varDir(name string) string {
	rest, ok := strings.CutPrefix(name, "/var/")
	if !ok {
		return ""
	}
	dir, _, _ := strings.Cut(rest, "/")
	return dir
}
