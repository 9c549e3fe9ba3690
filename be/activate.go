package be

import (
	"context"
	"fmt"
	"path"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
)

// activateArgs are the record of an activation: what is to boot, and what was
// to boot before.
type activateArgs struct {
	UUID     string `json:"uuid"`
	Dataset  string `json:"dataset"`
	Previous string `json:"previous,omitempty"`

	// Trial is the trial that it is put on; "" chooses it for good.
	Trial    string `json:"trial,omitempty"`
	OldTrial string `json:"oldTrial,omitempty"`

	OldDefault  string `json:"oldDefault"`
	OldPrevious string `json:"oldPrevious,omitempty"`
	OldBootfs   string `json:"oldBootfs,omitempty"`
	// NewUUID tells that the BE is given this one; OldUUID is another BE's,
	// which it came with.
	NewUUID bool   `json:"newUUID,omitempty"`
	OldUUID string `json:"oldUUID,omitempty"`

	// Source is the root dataset of the BE that is synced from, which is the
	// previous one; "" where nothing is synced. Snap names the snapshots,
	// OldSynced is what the BE had taken over before, Most is syncArgs'.
	Source    string `json:"source,omitempty"`
	Snap      string `json:"snap,omitempty"`
	OldSynced string `json:"oldSynced,omitempty"`
	Most      uint64 `json:"most,omitempty"`
	// Zones and ZoneMost are syncArgs'.
	Zones    bool   `json:"zones,omitempty"`
	ZoneMost uint64 `json:"zoneMost,omitempty"`
	// Share is the share, where it is snapshotted, ZoneShares tells that those of
	// zones are.
	Share      string `json:"share,omitempty"`
	ZoneShares bool   `json:"zoneShares,omitempty"`
	// Restore is a snapshot that the share goes back to at the first boot, Keep
	// tells that what is left for it already stays so.
	Restore     string `json:"restore,omitempty"`
	Keep        bool   `json:"keep,omitempty"`
	OldHandover string `json:"oldHandover,omitempty"`
}

// handover is what is left to do at the first boot.
func (a activateArgs) handover() string {
	if a.Keep {
		return a.OldHandover
	}
	h := handover{To: a.UUID, Restore: a.Restore}
	if a.Source != "" {
		h.From = a.Previous
	}
	return h.String()
}

func (a activateArgs) sync() syncArgs {
	return syncArgs{Source: a.Source, From: a.Previous, Target: a.Dataset, To: a.UUID, Snap: syncPrefix + a.Snap,
		Old: a.OldSynced, Most: a.Most, Zones: a.Zones, ZoneMost: a.ZoneMost}
}

// synced is the BE's sync point once it is activated.
func (a activateArgs) synced() string {
	if a.Source == "" {
		return a.OldSynced
	}
	return syncPoint{From: a.Previous, Snap: syncPrefix + a.Snap}.String()
}

func (r Activate) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("activate %q", r.Name)
	st, err := m.readAllToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	b, err := st.usable(r.Name, what)
	if err != nil {
		return nil, err
	}
	if err := refuseFailed(b, r.Force, what); err != nil {
		return nil, err
	}
	return m.planActivate(ctx, st, b, activation{kind: "activate", what: what, previous: st.previousFor(b),
		reboot: r.Reboot, syncing: r.Syncing, trial: r.Trial || r.Once || m.sys.Trials && !r.NoTrial, once: r.Once})
}

func (r Failback) plan(ctx context.Context, m *Manager) (*operation, error) {
	st, err := m.readAllToChange(ctx, "fail back")
	if err != nil {
		return nil, err
	}
	if err := st.refuseInTrial("fail back"); err != nil {
		return nil, err
	}
	b, ok := st.byUUID(st.props.Local(propPrevious))
	if !ok {
		return nil, refuse(NotFound, "snapbe activate NAME chooses any other", "fail back: no previous boot environment is known")
	}
	previous := st.previousFor(b)
	if def, ok := st.byUUID(st.props.Local(propDefault)); ok && b.Running {
		previous = def.UUID // a failback that is taken back can be asked for again
	}
	what := fmt.Sprintf("fail back to %q", b.Name)
	if b.Running && r.Reboot {
		return nil, refuse(Failed, "systemctl reboot boots the one that is chosen; snapbe activate "+b.Name+" stays with this one",
			"%s: it runs, and another one is chosen already", what)
	}
	if r.Share != "" {
		if b.Running {
			return nil, refuse(Invalid, "snapbe share restore "+r.Share+" does it now", "%s and the share to %q: it runs already", what, r.Share)
		}
		if err := checkSnapName(r.Share); err != nil {
			return nil, refuse(Invalid, "zfs rename gives it another name", "%s: %v", what, err)
		}
		if err := m.checkShareSnapshot(ctx, st, r.Share, what); err != nil {
			return nil, err
		}
	}
	return m.planActivate(ctx, st, b, activation{kind: "failback", what: what, previous: previous,
		reboot: r.Reboot, syncing: r.Syncing, share: r.Share})
}

// activation says what an activation is called and what goes along.
type activation struct {
	kind, what string
	// previous is the UUID that failback then leads to.
	previous string
	reboot   bool
	syncing  Syncing
	// trial boots it once, and once leaves it at that.
	trial, once bool
	// share is a snapshot that the share goes back to at the first boot.
	share string
}

func (m *Manager) planActivate(ctx context.Context, st *state, b BE, a activation) (*operation, error) {
	if err := st.refuseInTrial(a.what); err != nil {
		return nil, err
	}
	boot, err := m.bootable(ctx, b, a.what)
	if err != nil {
		return nil, err
	}
	pool := zfs.PoolOf(st.root)
	props, err := m.sys.ZFS.PoolGet(ctx, pool, []string{"bootfs"})
	if err != nil {
		return nil, err
	}
	args := activateArgs{
		UUID: b.UUID, Dataset: b.Dataset, Previous: a.previous, Restore: a.share,
		OldDefault: st.props.Local(propDefault), OldPrevious: st.props.Local(propPrevious),
		OldSynced: b.synced, OldHandover: st.props.Local(propHandover), OldTrial: st.props.Local(propTrial),
	}
	if v := props["bootfs"].Value; v != "-" {
		args.OldBootfs = v
	}
	if args.UUID == "" {
		args.UUID, args.NewUUID = m.sys.UUID(), true
		d, _, err := m.byDataset(ctx, b.Dataset)
		if err != nil {
			return nil, err
		}
		args.OldUUID = d.Local(propUUID)
	}
	var notes []string
	if a.trial && !b.Running && !b.Default {
		if notes, err = m.planTrial(ctx, st, b, a.what); err != nil {
			return nil, err
		}
		args.Trial = trial{UUID: args.UUID, Previous: args.Previous, Once: a.once}.String()
	}
	s, err := m.planActivateSync(ctx, st, b, a)
	if err != nil {
		return nil, err
	}
	if s != nil {
		args.Source, args.Most = s.source.Dataset, s.most()
		args.Zones, args.ZoneMost = len(s.zones) > 0, s.zoneMost()
	}
	gone := ""
	if !b.Running {
		args.Snap = m.autoSnap()
		if args.Share, err = m.shareThere(ctx, st); err != nil {
			return nil, err
		}
		if args.Share == "" {
			gone = st.share
		}
		args.ZoneShares = len(m.zoneShares(st)) > 0
	}
	if h, ok := st.handover(); ok && b.Running && h.due(st) && !a.syncing.Without {
		args.Keep = true // its first boot has not done it yet
	}
	op := m.activateOperation(a.kind, m.sys.UUID(), a.what, args, boots{args.UUID: boot}, s, a.reboot)
	op.plan.root = st.root
	op.result.Name = b.Name
	if s != nil {
		op.plan.Notes, op.result.Sync, op.alone = s.notes(), s.report, b
		op.result.Zones = s.zoneReports()
	}
	if args.Trial != "" {
		op.plan.Notes = append(op.plan.Notes, st.trialNotes(b, a.once)...)
	}
	op.plan.Notes = append(append(op.plan.Notes, notes...), st.unmovedNote(b)...)
	op.plan.Notes = append(op.plan.Notes, m.stopping(st, b)...)
	if a.share != "" {
		op.plan.Notes = append(op.plan.Notes, fmt.Sprintf("when it boots, all of %s becomes what it was in %s; what came since is then in a snapshot only", shareDir, a.share))
		if args.ZoneShares {
			op.plan.Notes = append(op.plan.Notes, "the shares of zones stay as they are; snapbe share restore --zone NAME SNAP brings one back")
		}
	}
	op.plan.Notes = append(op.plan.Notes, st.givenUp(args)...)
	if gone != "" {
		op.plan.Notes = append(op.plan.Notes, "the share "+gone+" has gone: snapbe share init makes it again")
	}
	if a.reboot {
		op.next = rebootRequest{}
		op.plan.Notes = append(op.plan.Notes, "then the machine reboots")
	}
	return op, nil
}

// givenUp tells what was left for a first boot and is not any more. What changed
// last in the BE that runs is not lost: it is synced now, or later.
func (st *state) givenUp(args activateArgs) (notes []string) {
	h, ok := st.handover()
	if !ok || args.Keep {
		return nil
	}
	if run, _ := st.running(); h.From != "" && h.From != run.UUID {
		notes = append(notes, fmt.Sprintf("gives up what changed last in %s and is not in %s yet, such as locks of accounts", st.leftIn(h), st.nameOf(h.To)))
	}
	if h.Restore != "" && h.Restore != args.Restore {
		notes = append(notes, "the share no longer goes back to "+h.Restore+" at the next boot; snapbe share restore "+h.Restore+" does it now")
	}
	return notes
}

// planActivateSync plans the sync that goes along; nil where there is none. The
// BE that runs has the files already.
func (m *Manager) planActivateSync(ctx context.Context, st *state, b BE, a activation) (*syncing, error) {
	source, ok := st.running()
	if !ok || b.Running || a.syncing.Without || source.UUID == "" {
		return nil, nil
	}
	return m.planSync(ctx, st, source, b, a.syncing.Strict, a.what)
}

// previousFor is where failback leads once b is activated: to the BE that
// runs. Choosing that one again, after another, leaves what was there before
// as long as it is not b itself.
func (st *state) previousFor(b BE) string {
	if run, ok := st.running(); ok && run.Name != b.Name {
		return run.UUID
	}
	for _, old := range []string{st.props.Local(propPrevious), st.props.Local(propDefault)} {
		if _, there := st.byUUID(old); there && old != b.UUID {
			return old
		}
	}
	return ""
}

// activateOperation: the default is one property set together with the previous
// one, the sync point and what is left for the first boot, in one transaction
// group; menu and bootfs follow from it. Until the menu is renamed into place
// the machine boots the old BE, and after that the new one.
func (m *Manager) activateOperation(kind, id, what string, args activateArgs, fresh boots, s *syncing, quiesce bool) *operation {
	root := rootOf(args.Dataset)
	op := &operation{kind: kind, id: id, args: args, verb: what, plan: Plan{Title: what}}
	if quiesce {
		op.add(m.quiesceStep(op))
	}
	if args.NewUUID {
		op.add(m.giveUUID(args))
	}
	if args.Source != "" {
		m.addSync(op, id, args.sync(), s)
	}
	if args.Share != "" || args.ZoneShares {
		op.add(m.shareSnapshotStep(id, args.Share, args.ZoneShares, args.Snap, args.UUID))
	}
	if args.Trial != "" {
		op.add(m.forgetStep())
	}
	op.add(m.chooseStep(root, id, args, s))
	follows := len(op.steps)
	op.add(m.knownMenuStep(op, fresh))
	if args.Trial != "" {
		op.add(m.armStep(args.UUID))
	} else {
		op.add(m.bootfsStep(root, args.Dataset, args.OldBootfs))
	}
	if args.Trial == "" && args.OldTrial != "" {
		op.add(m.forgetStep())
	}
	// Another tool's BE may mount itself, or what lies below it, in every BE.
	op.add(journal.Step{Name: "keep it from mounting by itself", Final: true, Do: func(ctx context.Context) error {
		roots, err := m.rootsOf(ctx, args.Dataset)
		if err != nil {
			return err
		}
		changes, err := m.noauto(ctx, roots)
		if err != nil {
			return err
		}
		return m.sys.ZFS.Set(ctx, changes)
	}})
	switch {
	case (args.Share != "" || args.ZoneShares) && fresh != nil:
		op.add(m.tidyStep(op))
	case args.Source != "" || args.Share != "" || args.ZoneShares: // a recovery knows no limit
		op.add(m.dropStep(op))
	}
	op.committed = func(ctx context.Context) (int, bool, error) {
		ok, err := m.chosen(ctx, root, args)
		return follows, ok, err
	}
	return op
}

// rootsOf are the root datasets of the BE with that dataset.
func (m *Manager) rootsOf(ctx context.Context, dataset string) ([]string, error) {
	st, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range st.bes {
		if b.Dataset == dataset {
			return b.datasets(), nil
		}
	}
	return nil, nil
}

// quiesceStep makes sure that the sync sees a host at rest. What goes wrong
// after it makes carryOut bring the host back.
func (m *Manager) quiesceStep(op *operation) journal.Step {
	return journal.Step{Name: "bring the host to rescue.target", Do: func(ctx context.Context) error {
		op.quiesced = true
		return m.sys.Host.Quiesce(ctx)
	}}
}

// chooseStep is the point of no return: what boots, in one transaction group.
func (m *Manager) chooseStep(root, id string, args activateArgs, s *syncing) journal.Step {
	return journal.Step{
		Name: args.choosing(),
		Do: func(ctx context.Context) error {
			c, point := args.choice().change(root, args.handover()), setSynced(args.Dataset, args.synced())
			if args.Source == "" {
				return m.sys.ZFS.Set(ctx, []zfs.Change{c, point})
			}
			return m.setPoints(ctx, s, args.synced(), point, c)
		},
		Undo: func(ctx context.Context) error {
			err := m.takePointsBack(ctx, id, args.sync(), setSynced(args.Dataset, args.OldSynced),
				args.was().change(root, args.OldHandover))
			if err != nil {
				return err
			}
			return m.undoMenu(ctx)
		},
	}
}

func (a activateArgs) choosing() string {
	if a.Trial != "" {
		return "put it on trial"
	}
	return "choose it as the default"
}

// bootfsStep comes after the menu: loaders that read it change over when GRUB has.
func (m *Manager) bootfsStep(root, dataset, old string) journal.Step {
	return journal.Step{
		Name: "set bootfs of " + zfs.PoolOf(root),
		Do: func(ctx context.Context) error {
			return m.sys.ZFS.PoolSet(ctx, zfs.PoolOf(root), "bootfs", dataset)
		},
		Undo: func(ctx context.Context) error {
			return m.sys.ZFS.PoolSet(ctx, zfs.PoolOf(root), "bootfs", old)
		},
	}
}

// chosen tells whether the choice was made: with a sync, its point tells it from
// an earlier choice of the same BE.
func (m *Manager) chosen(ctx context.Context, root string, args activateArgs) (bool, error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{root}, Props: []string{propDefault, propPrevious, propTrial, propHandover}})
	if err != nil {
		return false, err
	}
	synced, err := m.syncedOf(ctx, args.Dataset)
	d := ds[0]
	left, given := d.Local(propHandover), args
	given.Restore = "" // another BE that was booted has given it up
	return (choice{d.Local(propDefault), d.Local(propPrevious), d.Local(propTrial)}) == args.choice() &&
		(left == args.handover() || left == given.handover()) && synced == args.synced(), err
}

// rootOf is the container that a BE's dataset lies in.
func rootOf(dataset string) string { return path.Dir(dataset) }

// giveUUID is for a BE that another tool made, or that came with the UUID of
// its source.
func (m *Manager) giveUUID(args activateArgs) journal.Step {
	was := zfs.Change{Dataset: args.Dataset, Inherit: []string{propUUID}}
	if args.OldUUID != "" {
		was = zfs.Change{Dataset: args.Dataset, Set: zfs.Props{propUUID: args.OldUUID}}
	}
	return journal.Step{
		Name: "give it a UUID",
		Do: func(ctx context.Context) error {
			// What its source had taken over was sent along, and may not be in it; what
			// its snapshots tell is.
			return m.sys.ZFS.Set(ctx, []zfs.Change{{Dataset: args.Dataset, Set: zfs.Props{propUUID: args.UUID}, Inherit: []string{propSynced, propHad, propPartly, propFailed}}})
		},
		Undo: then(func(ctx context.Context) error { return m.sys.ZFS.Set(ctx, []zfs.Change{was}) }, m.undoMenu),
	}
}

// choice is what boots: by itself, by failback, and once, on trial.
type choice struct{ def, previous, trial string }

// change sets that, and what the first boot has to do.
func (c choice) change(root, handover string) zfs.Change {
	out := zfs.Change{Dataset: root, Set: zfs.Props{propDefault: c.def}}
	for prop, value := range map[string]string{propPrevious: c.previous, propTrial: c.trial, propHandover: handover} {
		if value == "" {
			out.Inherit = append(out.Inherit, prop)
		} else {
			out.Set[prop] = value
		}
	}
	return out
}

// choice is what boots when it is activated: on trial the new one boots once, and all
// else stays.
func (a activateArgs) choice() choice {
	if a.Trial != "" {
		return choice{a.OldDefault, a.OldPrevious, a.Trial}
	}
	return choice{a.UUID, a.Previous, ""}
}

func (a activateArgs) was() choice { return choice{a.OldDefault, a.OldPrevious, a.OldTrial} }

// rebootRequest follows an operation that ended well.
type rebootRequest struct{}

func (rebootRequest) plan(_ context.Context, m *Manager) (*operation, error) {
	op := &operation{verb: "reboot", plan: Plan{Title: "reboot"}}
	op.add(journal.Step{Name: "reboot", Do: m.sys.Host.Reboot})
	return op, nil
}
