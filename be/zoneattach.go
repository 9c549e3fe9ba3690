package be

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"snapbe/internal/zfs"
	"snapbe/zones"
)

// AttachChoice decides what ZoneAttach would not decide by itself.
type AttachChoice string

// The choices, by the names that they have on Solaris (solaris(7)).
const (
	// AttachLastBooted takes the candidate that was booted last.
	AttachLastBooted AttachChoice = "attach-last-booted-zbe"
	// ForceClone clones an orphan, which stays as it is, rather than to take it
	// over.
	ForceClone AttachChoice = "force-zbe-clone"
	// DenyClone refuses where the zone's root would have to be cloned.
	DenyClone AttachChoice = "deny-zbe-clone"
	// DestroyOrphans destroys the zone's other orphans afterwards.
	DestroyOrphans AttachChoice = "destroy-orphan-zbes"
)

// ZoneAttach gives a zone a root in a boot environment. Which one that is made of
// is never guessed: where there are several, they are compared, and one has to be
// named.
type ZoneAttach struct {
	Name string
	// BE is the boot environment; "" is the one that runs.
	BE string
	// ZBE is the zone BE to take; "" takes the only one there is.
	ZBE     string
	Choices []AttachChoice
	// Container is where the zone was received, if no other zone of this host is
	// there yet; "" is POOL/zones.
	Container string
}

func (r ZoneAttach) has(c AttachChoice) bool { return slices.Contains(r.Choices, c) }

// takeArgs are the record of a zone's root that is given to a boot environment
// without a copy.
type takeArgs struct {
	Zone string `json:"zone"`
	Root string `json:"root"`
	UUID string `json:"uuid"`
	// Off is the name of the zone BE that it replaces, Shown tells that this one
	// is mounted, Show that the boot environment runs.
	Off   string `json:"off,omitempty"`
	Shown bool   `json:"shown,omitempty"`
	Show  bool   `json:"show,omitempty"`
	Was   tame   `json:"was"`
	// New is the container of the zone, where that is the first one in it.
	New string `json:"new,omitempty"`

	recovering bool
}

func (r ZoneAttach) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("attach the zone %q", r.Name)
	if r.has(ForceClone) && r.has(DenyClone) || r.ZBE != "" && r.has(AttachLastBooted) {
		return nil, refuse(Invalid, "give one of the two", "%s: the choices contradict each other", what)
	}
	st, b, z, err := r.find(ctx, m, what)
	if err != nil {
		return nil, err
	}
	active, err := z.Active(b.UUID)
	if _, two := errors.AsType[*zones.TwoError](err); two {
		return nil, refuseZone(what, z, b, err)
	}
	chosen, notes, err := r.choose(ctx, m, st, b, z, active, what)
	if err != nil {
		return &operation{result: Result{Notes: notes}}, err
	}
	op, err := r.give(ctx, m, st, b, z, active, chosen, what)
	if err != nil {
		return nil, err
	}
	op.verb, op.plan.root, op.plan.Title = what, st.root, fmt.Sprintf("%s to %q", what, b.Name)
	return op, r.thenDestroy(ctx, m, st, z, chosen, op)
}

// find reads the zone, and the boot environment that it is to be attached to, and
// refuses what must not be.
func (r ZoneAttach) find(ctx context.Context, m *Manager, what string) (*state, BE, zones.Zone, error) {
	st, b, err := m.readZonesToChange(ctx, what)
	if err == nil && r.BE != "" && r.BE != b.Name {
		b, err = st.usable(r.BE, fmt.Sprintf("%s to %q", what, r.BE))
	}
	if err != nil {
		return nil, b, zones.Zone{}, err
	}
	z, err := r.findZone(ctx, m, st, what)
	if err != nil {
		return nil, b, z, err
	}
	switch {
	case m.policy(z.Name) == ZoneExcluded:
		return nil, b, z, refuse(Invalid, "policy in the table of that zone in /etc/snapbe/snapbe.toml says so", "%s: its policy is %q", what, ZoneExcluded)
	case b.UUID == "":
		return nil, b, z, refuse(Failed, "snapbe activate gives it one", "%s to %q: that has no UUID", what, b.Name)
	}
	if b.Running {
		err = m.refuseUp(ctx, z.Name, what)
		if err == nil {
			err = m.refuseOther(ctx, st, b, z, what)
		}
	}
	return st, b, z, err
}

// findZone finds the zone, also where it was received to this host as its first.
func (r ZoneAttach) findZone(ctx context.Context, m *Manager, st *state, what string) (zones.Zone, error) {
	z, err := st.zone(r.Name, what)
	c := cmp.Or(r.Container, zfs.PoolOf(st.root)+"/zones")
	if err == nil && r.Container == "" || slices.Contains(st.zoneRoots, c) {
		return r.inContainer(z, err, what)
	}
	if _, there, failed := m.byDataset(ctx, c); failed != nil || !there {
		return r.inContainer(z, cmp.Or(failed, err), what)
	}
	st.zonesMore = []string{c}
	if err := m.readZones(ctx, st); err != nil {
		return z, err
	}
	z, err = st.zone(r.Name, what)
	return r.inContainer(z, err, what)
}

// inContainer refuses a zone that is not where it was said to have been received.
func (r ZoneAttach) inContainer(z zones.Zone, err error, what string) (zones.Zone, error) {
	if err == nil && r.Container != "" && parent(z.Dataset) != r.Container {
		err = refuse(NotFound, "snapbe zone attach "+r.Name+" takes that one", "%s: it is not in %s, but %s", what, r.Container, z.Dataset)
	}
	return z, err
}

// newContainer is the container of a zone that is the first one there.
func (st *state) newContainer(z zones.Zone) string {
	if c := parent(z.Dataset); slices.Contains(st.zonesMore, c) {
		return c
	}
	return ""
}

// candidates are the zone BEs that a boot environment's root may be made of. One
// that has a root may still be lacking what an orphan has.
func candidates(st *state, z zones.Zone, active zones.BE) (of []zones.BE) {
	for _, x := range z.BEs {
		if x.Unfinished == "" && (active.Dataset == "" || x.Dataset == active.Dataset || st.orphan(x)) {
			of = append(of, x)
		}
	}
	return of
}

// choose finds the zone BE that was meant; notes compare those that there are.
func (r ZoneAttach) choose(ctx context.Context, m *Manager, st *state, b BE, z zones.Zone, active zones.BE, what string) (zones.BE, []string, error) {
	of := candidates(st, z, active)
	switch {
	case r.ZBE != "":
		i := slices.IndexFunc(z.BEs, func(x zones.BE) bool { return x.Name == r.ZBE && x.Unfinished == "" })
		if i < 0 {
			return zones.BE{}, nil, refuse(NotFound, "snapbe zone list shows those that there are", "%s: it has no zone BE %q that is whole", what, r.ZBE)
		}
		return z.BEs[i], nil, nil
	case len(of) == 0:
		return zones.BE{}, nil, refuse(NotFound, "", "%s: it has no zone BE that is whole", what)
	case len(of) == 1:
		return of[0], nil, nil
	case r.has(AttachLastBooted):
		slices.SortStableFunc(of, func(a, c zones.BE) int { return c.Booted.Compare(a.Booted) })
		if !of[0].Booted.Equal(of[1].Booted) {
			return of[0], nil, nil
		}
		what += " by what was booted last"
	}
	notes, newest := m.compareRoots(ctx, st, of)
	hint := fmt.Sprintf("snapbe zone attach --zbe %s %s takes the one with the newest files; --zbe NAME another one", newest, z.Name)
	if r.Container != "" {
		hint = strings.Replace(hint, "attach ", "attach --container "+r.Container+" ", 1)
	}
	if r.BE != "" {
		hint = strings.Replace(hint, "attach ", "attach --be "+b.Name+" ", 1)
	}
	return zones.BE{}, notes, refuse(Failed, hint, "%s: it has %s to choose from", what, count(len(of), "zone BE"))
}

// give plans how the chosen zone BE becomes the boot environment's.
func (r ZoneAttach) give(ctx context.Context, m *Manager, st *state, b BE, z zones.Zone, active, chosen zones.BE, what string) (*operation, error) {
	at := lastAt(st.mounts, m.sys.Zones.RootDir(z.Name)).Dataset
	if chosen.Dataset == active.Dataset {
		op := &operation{}
		if b.Running && at != chosen.Dataset {
			op.add(m.showStep(op, z.Name, chosen.Dataset, at, false))
		}
		return op, nil
	}
	mine := chosen.Parent == b.UUID || st.orphan(chosen)
	if !mine && r.has(DenyClone) {
		return nil, refuse(Failed, "without -x "+string(DenyClone)+" it is cloned", "%s: %s is %s, and would have to be cloned", what, chosen.Name, st.orOrphan(chosen))
	}
	if !mine || r.has(ForceClone) {
		args := rootArgs{Kind: "zone-attach-clone", Zone: z.Name, From: chosen.Dataset, To: parent(chosen.Dataset) + "/" + nextName(chosen.Name, z.Names()),
			Snap: m.autoSnap(), UUID: b.UUID, Off: active.Name, Shown: at != "" && at == active.Dataset, Show: b.Running, New: st.newContainer(z)}
		return m.planRoot(ctx, args, what)
	}
	return m.planTake(ctx, st, b, z, chosen, takeArgs{Zone: z.Name, Root: chosen.Dataset, UUID: b.UUID, Off: active.Name,
		Shown: at != "" && at == active.Dataset, Show: b.Running, New: st.newContainer(z)}, what)
}

func (m *Manager) planTake(ctx context.Context, st *state, b BE, z zones.Zone, chosen zones.BE, args takeArgs, what string) (*operation, error) {
	for _, mnt := range st.mounts {
		if within(mnt.Dataset, chosen.Dataset) {
			return nil, refuse(Busy, "umount "+mnt.Dir, "%s: %s is mounted at %s", what, mnt.Dataset, mnt.Dir)
		}
	}
	var err error
	if args.Was, _, err = m.tameOf(ctx, chosen.Dataset); err != nil {
		return nil, err
	}
	op := m.takeOperation(m.sys.UUID(), args)
	if chosen.Parent != b.UUID {
		op.plan.Notes = append(op.plan.Notes, fmt.Sprintf("%s, %s, becomes that of %q: no copy of it stays behind", chosen.Name, st.orOrphan(chosen), b.Name))
	}
	if args.Off != "" {
		op.plan.Notes = append(op.plan.Notes, fmt.Sprintf("%s stays, and boots no more: snapbe zone attach --zbe %s %s takes it back", args.Off, args.Off, z.Name))
	}
	return op, nil
}

// takeOperation: the root counts with the change of properties that takes the
// other one's turn from it: at every instant there is exactly one.
func (m *Manager) takeOperation(id string, args takeArgs) *operation {
	op := &operation{kind: "zone-attach", id: id, args: args, verb: fmt.Sprintf("attach the zone %q", args.Zone)}
	op.result.Name = args.Zone
	off := ""
	if args.Off != "" {
		off = parent(args.Root) + "/" + args.Off
	}
	op.add(m.tameStep(args.Root, id, args.Was))
	var also []string
	op.add(m.keepStep("make it the one that boots",
		func(ctx context.Context) ([]zfs.Change, error) {
			c, err := m.giveChanges(ctx, args.Root, args.UUID, off, id)
			if err != nil {
				return nil, err
			}
			also = unmarked(c, args.Root)
			return m.naming(ctx, c, args.New)
		},
		func(ctx context.Context) ([]zfs.Change, error) {
			return m.unnaming(ctx, takeBackChanges(args.Root, off, id, args.Was, also), args.New)
		}))
	if args.Show {
		old := ""
		if args.Shown {
			old = off
		}
		op.add(m.showStep(op, args.Zone, args.Root, old, args.recovering))
	}
	op.committed = func(ctx context.Context) (int, bool, error) {
		ok, err := m.keptZone(ctx, args.Root, args.UUID)
		return 1, ok, err // once more: with two pools it is not all or none
	}
	return op
}

// unmarked are the datasets that changes take a mark off, but for one.
func unmarked(changes []zfs.Change, but string) (names []string) {
	for _, c := range changes {
		if c.Dataset != but && slices.Contains(c.Inherit, propOp) {
			names = append(names, c.Dataset)
		}
	}
	return names
}

// thenDestroy lets the destruction of the zone's other orphans follow, where that
// was chosen, and tells of them before.
func (r ZoneAttach) thenDestroy(ctx context.Context, m *Manager, st *state, z zones.Zone, chosen zones.BE, op *operation) error {
	if !r.has(DestroyOrphans) {
		return nil
	}
	next := ZoneDestroyOrphans{Names: []string{z.Name}, but: chosen.Dataset}
	if r.has(ForceClone) {
		next.but = "" // a copy was made of it
	}
	then, err := next.orphans(ctx, m, st, fmt.Sprintf("attach the zone %q", z.Name))
	if err != nil || then.empty() {
		return err
	}
	op.next, op.nextSteps = next, then.stepNames()
	op.plan.Notes = append(op.plan.Notes, then.plan.Notes...)
	op.plan.Frees = cmp.Or(op.plan.Frees, then.plan.Frees)
	return nil
}
