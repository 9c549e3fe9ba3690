package be

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"snapbe/internal/journal"
	"snapbe/internal/treecopy"
	"snapbe/synclist"
)

// synclistFile is the list of the BE that is synced from.
const synclistFile = "etc/snapbe/synclist"

// syncing is a sync that is planned: from the BE that ran last to another one.
type syncing struct {
	m              *Manager
	st             *state
	source, target BE
	list           synclist.List
	base           base
	strict         bool
	// report is what it would do, as things are now.
	report *synclist.Report
	// lacks are the units of snapbe that the target would need at its boot.
	lacks []string
	// zone is the name where this is the sync of a zone, share tells that it has
	// one of its own. zones are those that go along with a host's, zoneNotes tell
	// of others; zonesAlone tells that the host has its part already.
	zone       string
	share      bool
	zones      []*syncing
	zoneNotes  []string
	zonesAlone bool
}

// earlyUnits is where they are when they are enabled.
const earlyUnits = "etc/systemd/system/local-fs.target.wants/"

// lacking finds those that are not.
func (s *syncing) lacking(target *treecopy.Tree) (units []string) {
	wanted := []string{"snapbe-handover.service"}
	if s.st.share != "" {
		wanted = append(wanted, shareUnit)
	}
	for _, u := range wanted {
		if _, err := target.Peek(earlyUnits + u); errors.Is(err, fs.ErrNotExist) {
			units = append(units, u)
		}
	}
	return units
}

func (r Sync) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("sync to %q", r.Name)
	st, err := m.readAllToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	target, err := st.usable(r.Name, what)
	if err != nil {
		return nil, err
	}
	source, ok := st.running()
	switch {
	case !ok:
		return nil, refuse(Invalid, "this is for the host that runs: leave -r out", "%s: no boot environment of %s is running", what, st.root)
	case target.Running:
		return nil, refuse(Busy, "name another one", "%s: it is running, and the files are its own", what)
	case target.UUID == "":
		return nil, refuse(Failed, "snapbe activate gives it one", "%s: it has no UUID yet", what)
	}
	s, err := m.planSync(ctx, st, source, target, r.Strict, what)
	if s != nil && err != nil {
		return &operation{result: Result{Name: target.Name, Sync: s.report, Zones: s.zoneReports()}}, err
	}
	if err != nil {
		return nil, err
	}
	args := syncArgs{Source: source.Dataset, From: source.UUID, Target: target.Dataset, To: target.UUID, Snap: m.syncSnap(),
		Old: target.synced, Most: s.most(), Zones: len(s.zones) > 0, ZoneMost: s.zoneMost()}
	op := m.syncOperation(m.sys.UUID(), what, args, s)
	op.plan.root = st.root
	op.plan.Notes, op.alone = s.notes(), target
	op.result.Name, op.result.Sync, op.result.Zones = target.Name, s.report, s.zoneReports()
	return op, nil
}

// syncSnap names a sync point.
func (m *Manager) syncSnap() string { return syncPrefix + m.autoSnap() }

// planSync judges every file on the list and refuses what cannot be synced; it
// changes nothing.
func (m *Manager) planSync(ctx context.Context, st *state, source, target BE, strict bool, what string) (*syncing, error) {
	if err := st.refuseMounted(m.withFollowers(target), what, ""); err != nil {
		return nil, err
	}
	s, err := m.newSync(ctx, st, source, target, strict)
	if err == nil {
		err = m.refuseHandover(st, what)
	}
	if err == nil {
		err = s.judge(ctx)
	}
	if err == nil {
		err = s.addZones(ctx)
	}
	if err != nil {
		return nil, syncError(what, err)
	}
	return s, s.refuseStrict(what)
}

// judge finds out what is to be done with each file.
func (s *syncing) judge(ctx context.Context) error {
	return s.withSides(ctx, "", true, func(sides synclist.Sides) (err error) {
		if s.report, err = synclist.Plan(ctx, s.list, sides); err == nil && s.zone == "" {
			s.lacks = s.lacking(sides.Target)
		}
		return err
	})
}

// syncError is an error of a sync, with the way out where nothing was said.
func syncError(what string, err error) error {
	if told, ok := errors.AsType[*Error](err); ok {
		return told
	}
	return &Error{Code: Failed, Text: what, Err: err, Hint: "mend what it names; --no-sync activates without a sync"}
}

// newSync begins a sync of two boot environments.
func (m *Manager) newSync(ctx context.Context, st *state, source, target BE, strict bool) (*syncing, error) {
	s := &syncing{m: m, st: st, source: source, target: target, strict: strict}
	return s, s.begin(ctx)
}

// begin reads the source's list and finds the base.
func (s *syncing) begin(ctx context.Context) error {
	err := s.m.look(ctx, s.source, func(root *os.Root) (err error) {
		s.list, err = readSynclist(root, s.of())
		return err
	})
	if err == nil {
		s.base, err = s.m.baseOf(ctx, s.st, s.source, s.target)
	}
	return err
}

// readSynclist reads the list of a BE or zone, of in words; one that has none is
// served by the default.
func readSynclist(root *os.Root, of string) (synclist.List, error) {
	text, _, err := readSmall(root, synclistFile, maxFstab)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return synclist.Default(), nil
	case err != nil:
		return nil, err
	}
	list, err := synclist.Parse(strings.NewReader(string(text)))
	if err != nil {
		return list, &Error{Code: Failed, Text: fmt.Sprintf("read /%s of %s", synclistFile, of), Err: err,
			Hint: "mend that line, as with snapbe mount where that one does not run; activate --no-sync goes without a sync"}
	}
	return list, nil
}

// syncArgs are the record of a sync.
type syncArgs struct {
	// Source and Target are root datasets, From and To their UUIDs.
	Source string `json:"source"`
	From   string `json:"from"`
	Target string `json:"target"`
	To     string `json:"to,omitempty"`
	// Snap is the sync point's name, Old what the target had taken over
	// before.
	Snap string `json:"snap"`
	Old  string `json:"old,omitempty"`
	// Most is more than the sync writes to the target, in bytes.
	Most uint64 `json:"most,omitempty"`
	// Zones tells that zones are synced too; ZoneMost is Most for each of them,
	// that of the one which is written to most.
	Zones    bool   `json:"zones,omitempty"`
	ZoneMost uint64 `json:"zoneMost,omitempty"`
}

// syncOperation: the files are written one by one, each whole, and where it ends
// before the sync point is named, the target goes back to its snapshot.
func (m *Manager) syncOperation(id, what string, args syncArgs, s *syncing) *operation {
	op := &operation{kind: "sync", id: id, args: args, verb: what, plan: Plan{Title: what}}
	m.addSync(op, id, args, s)
	point := syncPoint{From: args.From, Snap: args.Snap}.String()
	op.add(journal.Step{
		Name: "remember what it has taken over",
		Do: func(ctx context.Context) error {
			return m.setPoints(ctx, s, point, setSynced(args.Target, point))
		},
		Undo: func(ctx context.Context) error {
			return m.takePointsBack(ctx, id, args, setSynced(args.Target, args.Old))
		},
	})
	follows := len(op.steps)
	op.add(m.dropStep(op))
	op.committed = func(ctx context.Context) (int, bool, error) {
		got, err := m.syncedOf(ctx, args.Target)
		return follows, got == point, err
	}
	return op
}

// addSync adds the steps that change files. The snapshots of both sides are one
// transaction group: the source's is what is read, the target's the way back.
// A recovery has no s, and only undoes.
func (m *Manager) addSync(op *operation, id string, args syncArgs, s *syncing) {
	op.add(journal.Step{
		Name: args.snapshotting(),
		Do:   func(ctx context.Context) error { return m.snapshotSides(ctx, s, args.Snap, id, true) },
		Undo: func(ctx context.Context) error {
			return m.dropSides(ctx, id, args.Snap, args.Zones, args.Source, args.Target)
		},
	})
	op.add(journal.Step{
		Name: "mount both and sync the files of the synclist",
		Do: func(ctx context.Context) error {
			report, err := s.apply(ctx, args.Snap, op.verb)
			if err != nil {
				return err
			}
			op.result.Sync = report
			op.result.Notes = append(op.result.Notes, s.after(report)...)
			return nil
		},
		Undo: func(ctx context.Context) error { return m.unsync(ctx, op, id, args, args.Target, args.Most) },
	})
	m.addZoneSync(op, id, args, s)
	op.add(journal.Step{
		Name: "snapshot what it has now",
		Do:   func(ctx context.Context) error { return m.snapshotTaken(ctx, s.parts(), args.Snap, id) },
		Undo: func(ctx context.Context) error {
			return m.dropSides(ctx, id, takenName(args.Snap), args.Zones, args.Target)
		},
	})
}

func (a syncArgs) snapshotting() string {
	name := fmt.Sprintf("snapshot %s and %s", a.Source, a.Target)
	if a.Zones {
		name += ", with their zones"
	}
	return name
}

// apply carries the sync out. What was judged before was the source as it went
// on working; strict lines are held to what is copied.
func (s *syncing) apply(ctx context.Context, snap, what string) (report *synclist.Report, err error) {
	err = s.withSides(ctx, snap, false, func(sides synclist.Sides) error {
		sides.Target.NamesLater = true
		report, err = synclist.Apply(ctx, s.list, sides, synclist.Options{Strict: s.strict})
		return errors.Join(err, sides.Target.Sync())
	})
	if _, ok := errors.AsType[*synclist.ConflictError](err); ok {
		return report, s.refuseOpen(what, s.told(report))
	}
	return report, err
}

// zoneMost is the largest of that for any zone.
func (s *syncing) zoneMost() (most uint64) {
	for _, z := range s.zones {
		most = max(most, z.most())
	}
	return most
}

// most is more than a sync writes to the target: the files, with what ZFS needs
// for each of them.
func (s *syncing) most() uint64 {
	files := len(s.report.Items)
	return uint64(2*s.report.Written) + uint64(files)<<16 + 8<<20
}

// dropStep takes away the snapshots that nothing needs any more.
func (m *Manager) dropStep(op *operation) journal.Step {
	return journal.Step{Name: "drop the snapshots of former syncs", Final: true, Do: func(ctx context.Context) error {
		notes, err := m.dropOldPoints(ctx)
		op.result.Notes = append(op.result.Notes, notes...)
		return err
	}}
}
