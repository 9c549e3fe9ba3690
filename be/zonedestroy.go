package be

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/dustin/go-humanize"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// ZoneDestroy destroys a zone that does not run, with its roots in all boot
// environments, its share and, as machinectl remove does, its settings.
type ZoneDestroy struct {
	Name string
	// Snapshots agrees to the loss of the user's own snapshots.
	Snapshots bool
}

// zoneDestroyArgs are the record of a zone's destruction.
type zoneDestroyArgs struct {
	Zone string `json:"zone"`
	// Dataset is its zonepath dataset, Shown the root that is mounted. First is
	// the root that goes first, More is how many there are beside it.
	Dataset string `json:"dataset"`
	Shown   string `json:"shown,omitempty"`
	First   string `json:"first,omitempty"`
	More    int    `json:"more,omitempty"`
	All     bool   `json:"all,omitempty"`
	// Upto is when the newest of all was made; see destroyArgs.
	Upto uint64 `json:"upto"`

	recovering bool
}

func (r ZoneDestroy) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("destroy the zone %q", r.Name)
	st, err := m.readAllToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	z, err := st.zone(r.Name, what)
	if err != nil {
		return nil, err
	}
	if m.policy(z.Name) == ZoneExcluded {
		return nil, refuse(Invalid, "policy in the table of that zone in /etc/snapbe/snapbe.toml says so", "%s: its policy is %q", what, ZoneExcluded)
	}
	if err := m.refuseUp(ctx, z.Name, what); err != nil {
		return nil, err
	}
	args := zoneDestroyArgs{Zone: z.Name, Dataset: z.Dataset, All: r.Snapshots}
	if args.Shown, err = m.shownRoot(st, z, what); err != nil {
		return nil, err
	}
	of := clonesFirst(z.BEs)
	if len(of) > 0 {
		args.First, args.More = of[0].Dataset, len(of)-1
	}
	rem, err := m.removalOf(ctx, []string{z.Dataset}, math.MaxUint64, destroyArgs{All: r.Snapshots}, what)
	if err != nil {
		return nil, err
	}
	args.Upto = rem.newest
	op := m.zoneDestroyOperation(m.sys.UUID(), args, of)
	op.plan = Plan{root: st.root, Title: what, Frees: rem.frees}
	goes, err := m.goesWith(ctx, st, z)
	op.plan.Notes = append(goes, rem.notes...)
	return op, err
}

// shownRoot is the root of a zone that shows where it boots, "" where none does. What
// shows elsewhere, somebody works in.
func (m *Manager) shownRoot(st *state, z zones.Zone, what string) (shown string, err error) {
	dir := m.sys.Zones.RootDir(z.Name)
	for _, mnt := range st.mounts {
		switch {
		case mnt.FSType != "zfs" || !within(mnt.Dataset, z.Dataset):
		case !within(mnt.Dir, dir):
			return "", refuse(Busy, "umount "+mnt.Dir, "%s: %s is mounted at %s", what, mnt.Dataset, mnt.Dir)
		case mnt.Dir == dir:
			shown = mnt.Dataset
		}
	}
	return shown, nil
}

// goesWith tells what a zone is made of.
func (m *Manager) goesWith(ctx context.Context, st *state, z zones.Zone) (notes []string, err error) {
	for _, b := range z.BEs {
		notes = append(notes, fmt.Sprintf("goes: %s, %s, made %s (%s), %s, %s", b.Name, st.orOrphan(b), minute(b.Created), daysOld(m.sys.Now(), b.Created), lastBooted(b), humanize.IBytes(b.Space)))
	}
	if z.Share != "" {
		ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{z.Share}, Props: []string{"used"}})
		if err != nil {
			return nil, err
		}
		notes = append(notes, fmt.Sprintf("goes: its share %s with all that is in it, %s", z.Share, humanize.IBytes(number(ds[0].Value("used")))))
	}
	machines, err := m.sys.Zones.List(ctx)
	for _, x := range machines {
		if x.Name == z.Name && x.Autoboot {
			notes = append(notes, "it starts with the host: machinectl disable "+z.Name+" takes that off")
		}
	}
	return append(notes, "its settings in the boot environment that runs go too"), err
}

// zoneDestroyOperation: the marks hide its roots first. Each of them goes in one
// transaction group, so that what was cloned from it elsewhere is promoted step by
// step; until the first one has gone there is a way back, after that only forward.
func (m *Manager) zoneDestroyOperation(id string, args zoneDestroyArgs, of []zones.BE) *operation {
	op := &operation{kind: "zone-destroy", id: id, args: args, verb: fmt.Sprintf("destroy the zone %q", args.Zone)}
	op.result.Name = args.Zone
	op.add(journal.Step{
		Name: "mark its roots",
		Do:   func(ctx context.Context) error { return m.markOrphans(ctx, id, of) },
		Undo: func(ctx context.Context) error { return m.unmarkOrphans(ctx, id) },
	})
	if args.Shown != "" {
		hide := m.showStep(op, args.Zone, "", args.Shown, args.recovering)
		hide.Name = "unmount " + args.Shown + " from " + m.sys.Zones.RootDir(args.Zone)
		op.add(hide)
	}
	destroy := func(want func(string) bool) func(context.Context) error {
		return func(ctx context.Context) error {
			if err := m.refuseUp(ctx, args.Zone, op.verb); err != nil && !args.recovering {
				return err
			}
			return m.destroyOrphans(ctx, op, id, orphanArgs{All: args.All, Upto: args.Upto, recovering: args.recovering}, want)
		}
	}
	if args.First != "" {
		op.add(journal.Step{Name: "destroy " + args.First, Do: destroy(func(dataset string) bool { return dataset == args.First })})
	}
	gone := len(op.steps)
	if args.More > 0 {
		op.add(journal.Step{Name: "destroy " + count(args.More, "more root"), Final: true, Do: destroy(func(string) bool { return true })})
	}
	op.add(journal.Step{Name: "destroy " + args.Dataset + " with all that is left below it", Final: args.First != "", Do: func(ctx context.Context) error {
		return m.destroyZonepath(ctx, op, args)
	}})
	if args.First == "" {
		gone = len(op.steps)
	}
	op.add(m.forgetZoneStep(args))
	op.committed = func(ctx context.Context) (int, bool, error) {
		_, there, err := m.byDataset(ctx, cmp.Or(args.First, args.Dataset))
		return gone, !there, err
	}
	return op
}

// destroyZonepath destroys what is left of a zone when its roots have gone. In a
// recovery what something stands in the way of is left, and told.
func (m *Manager) destroyZonepath(ctx context.Context, op *operation, args zoneDestroyArgs) error {
	rem, err := m.removalOf(ctx, []string{args.Dataset}, args.Upto, destroyArgs{All: args.All, recovering: args.recovering}, op.verb)
	if err == nil && len(rem.Datasets) > 0 {
		err = m.remove(ctx, rem)
	} else if err == nil {
		op.result.Notes = append(op.result.Notes, rem.notes...)
	}
	if _, refused := errors.AsType[*Error](err); args.recovering && (refused || zfs.Is(err, zfs.Busy) || zfs.Is(err, zfs.Dependents)) {
		op.result.Notes = append(op.result.Notes, fmt.Sprintf("%s is left: %v", args.Dataset, err))
		return nil
	}
	return err
}

// forgetZoneStep takes away what the boot environment that runs has of a zone, where
// that has gone.
func (m *Manager) forgetZoneStep(args zoneDestroyArgs) journal.Step {
	return journal.Step{Name: "remove its settings and its directory", Final: true, Do: func(ctx context.Context) error {
		st, err := m.readAll(ctx)
		if err != nil {
			return err
		}
		if _, there, err := m.byDataset(ctx, args.Dataset); err != nil || there {
			return err
		}
		if err := m.sys.Zones.RemoveSettings(ctx, args.Zone); err != nil {
			return err
		}
		if err := m.removeZoneDir(ctx, args.Zone); err != nil {
			return err
		}
		return m.withholdZones(ctx, st, "")
	}}
}
