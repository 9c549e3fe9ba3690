package be

import (
	"context"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"

	"snapbe/internal/journal"
	"snapbe/internal/mount"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// destroyArgs are the record of a destroy. What goes with each dataset is
// worked out anew from the pool when it runs.
type destroyArgs struct {
	// Roots are the BE's root dataset and its boot dataset.
	Roots []string `json:"roots"`
	UUID  string   `json:"uuid,omitempty"`
	// All agrees to the loss of the user's snapshots, With of those.
	All    bool     `json:"all,omitempty"`
	With   []string `json:"with,omitempty"`
	Origin bool     `json:"origin,omitempty"`
	// Kept tells that there may be snapshots elsewhere that were made for it.
	Kept bool `json:"kept,omitempty"`
	// Mark is that of an operation which left the BE unfinished.
	Mark string `json:"mark,omitempty"`
	// Upto is, for each root, when the newest thing below it was made that
	// the user was told of, as a transaction group; newer ones stop it.
	Upto []uint64 `json:"upto,omitempty"`

	// Spare are zones that do not follow, whose roots stay: a recovery may have
	// another configuration. Zones tells that zone BEs go along, ZonesUpto is the
	// bound for those.
	Spare     []string `json:"spare,omitempty"`
	Zones     bool     `json:"zones,omitempty"`
	ZonesUpto uint64   `json:"zonesUpto,omitempty"`

	// recovering: the root dataset has gone, and nothing may stand in the way of
	// the end. Where something appeared below the boot dataset meanwhile, such
	// as another tool's periodic snapshot, that dataset is left.
	recovering bool
	// also are roots that go too, each before what it was cloned from.
	also []string
}

// upto is the bound for a root; one without a bound has none yet.
func upto(bounds []uint64, i int) uint64 {
	if i < len(bounds) {
		return bounds[i]
	}
	return math.MaxUint64
}

// appeared refuses what was made since the plan, which nobody agreed to lose.
func appeared(what, name string) error {
	return refuse(Failed, "run it again to see all that goes", "%s: %s appeared after the plan was made", what, name)
}

func (r Destroy) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("destroy %q", r.Name)
	st, err := m.readToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	name, snap, isSnap := splitName(r.Name)
	// An unfinished one may go: where there is a record, Do refuses before.
	b, err := st.find(name, what)
	if err != nil {
		return nil, err
	}
	if isSnap {
		return m.planDestroySnapshot(ctx, st, b, snap, what)
	}
	if err := m.readZones(ctx, st); err != nil {
		return nil, err
	}
	if b, err = st.find(name, what); err != nil { // with its zone BEs
		return nil, err
	}
	var spare []string
	for _, z := range b.zones { // a pinned one boots in every boot environment
		if m.policy(z.Zone) != ZoneFollows && !slices.Contains(spare, z.Zone) {
			spare = append(spare, z.Zone)
		}
	}
	b = m.withFollowers(b)
	if err := r.refuse(st, b, what); err != nil {
		return nil, err
	}
	args := destroyArgs{Roots: b.datasets(), UUID: b.UUID, All: r.Snapshots, Origin: r.Origin, Mark: b.Unfinished,
		Kept: st.share != "" || len(m.zoneShares(st)) > 0 || slices.ContainsFunc(st.bes, func(b BE) bool { return b.synced != "" })}
	for _, w := range r.With {
		of, s, ok := splitName(w)
		if !ok || of != b.Name {
			return nil, refuse(Invalid, "name them as "+b.Name+"@SNAP", "%s with %q: that is no snapshot of it", what, w)
		}
		args.With = append(args.With, s)
	}
	if err := m.checkWith(ctx, args, b, what); err != nil {
		return nil, err
	}
	args.Zones, args.Spare = len(b.zones) > 0, spare
	goingZones, err := m.zoneRemovals(ctx, b.zones, args, what)
	if err != nil {
		return nil, err
	}
	plan := Plan{root: st.root, Title: what}
	for _, root := range st.zonesAbsent {
		plan.Notes = append(plan.Notes, fmt.Sprintf("the zones below %s are not there: what they have for it becomes orphans, for snapbe zone destroy-orphans", root))
	}
	for i := range args.Roots {
		rem, err := m.removal(ctx, i, args, what)
		if err != nil {
			return nil, err
		}
		plan.Frees += rem.frees
		plan.Notes = append(plan.Notes, rem.notes...)
		args.Upto = append(args.Upto, rem.newest)
	}
	for _, rem := range goingZones {
		plan.Frees += rem.frees
		plan.Notes = append(plan.Notes, rem.notes...)
		args.ZonesUpto = max(args.ZonesUpto, rem.newest)
	}
	goes, err := m.shareSnapsOf(ctx, b)
	if err != nil {
		return nil, err
	}
	for _, share := range slices.Sorted(maps.Keys(goes)) {
		for _, s := range goes[share] {
			plan.Frees += s.Space
			plan.Notes = append(plan.Notes, fmt.Sprintf("goes: %s@%s, the share as it was for %q", share, s.Name, b.Name))
		}
	}
	op := m.destroyOperation(m.sys.UUID(), args, st.mounted(b))
	op.verb, op.plan = what, plan
	op.result.Name = b.Name
	if b.Previous {
		op.plan.Notes = append(op.plan.Notes, "failback will have nothing to go to until another boot environment is activated")
	}
	return op, nil
}

// checkWith refuses a name that no snapshot has: it would be a slip.
func (m *Manager) checkWith(ctx context.Context, args destroyArgs, b BE, what string) error {
	if len(args.With) == 0 {
		return nil
	}
	if length := len(strings.Join(args.With, `","`)); length > journal.MaxRecord/2 {
		return refuse(Invalid, "-s takes all of its snapshots along; or snapbe destroy BE@SNAP one by one before",
			"%s: more snapshots are named than can be recorded", what)
	}
	snaps, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: args.Roots, Depth: -1, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{"type"}})
	if err != nil {
		return err
	}
	for _, w := range args.With {
		if !slices.ContainsFunc(snaps, func(s zfs.Dataset) bool { return strings.HasSuffix(s.Name, "@"+w) }) {
			return refuse(NotFound, "snapbe list -s "+b.Name+" shows the snapshots", "%s with %q: no such snapshot", what, b.Name+"@"+w)
		}
	}
	return nil
}

// refuse refuses what must never go.
func (r Destroy) refuse(st *state, b BE, what string) error {
	switch {
	case b.Running:
		return refuse(Busy, "snapbe activate another one and reboot into it first", "%s: it is running", what)
	case b.Default:
		return refuse(Busy, "snapbe activate another one first", "%s: it is the one that boots next", what)
	}
	if err := st.refuseLeft(b, what); err != nil {
		return err
	}
	if !r.Force {
		return st.refuseMounted(b, what, ", or -f")
	}
	return nil
}

// removal is what destroying the tree below one root takes.
type removal struct {
	zfs.Removal
	// frees is a lower bound, in bytes: what snapshots share among
	// themselves is not known before.
	frees uint64
	notes []string
	// newest is the transaction group that the newest of all was made in.
	newest uint64
}

var removalProps = []string{"guid", "createtxg", "clones", "origin", "used", "usedbydataset", "usedbyrefreservation", "userrefs", propOp}

// removal works out, for the datasets below the root of that number: which clones elsewhere are
// promoted, which snapshots thereby go over to them, which ones are lost, and
// which origins nobody needs any more.
func (m *Manager) removal(ctx context.Context, i int, args destroyArgs, what string) (removal, error) {
	return m.removalOf(ctx, args.Roots[i:i+1], upto(args.Upto, i), args, what)
}

// removalOf is removal for the trees below several roots of one pool.
func (m *Manager) removalOf(ctx context.Context, roots []string, bound uint64, args destroyArgs, what string) (removal, error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: roots, Depth: -1,
		Kinds: []zfs.Kind{zfs.Filesystem, zfs.Volume, zfs.Snapshot}, Props: removalProps})
	if zfs.Is(err, zfs.NotFound) {
		return removal{}, nil
	} else if err != nil {
		return removal{}, err
	}
	t := taking{m: m, roots: roots, args: args, what: what, snaps: map[string][]zfs.Dataset{}}
	for _, d := range ds {
		made := txg(d)
		if made > bound {
			if args.recovering {
				return removal{notes: []string{fmt.Sprintf("%s is left, since %s appeared; promote what was cloned from it before you destroy it", strings.Join(roots, ", "), d.Name)}}, nil
			}
			return removal{}, appeared(what, d.Name)
		}
		t.rem.newest = max(t.rem.newest, made)
		if name, _, ok := splitName(d.Name); ok {
			t.snaps[name] = append(t.snaps[name], d)
		}
	}
	if err := t.lookWanted(ctx); err != nil {
		return removal{}, err
	}
	for _, d := range ds {
		if d.Kind == zfs.Snapshot {
			continue
		}
		if err := t.dataset(d); err != nil {
			return removal{}, err
		}
	}
	if err := t.refuseClashes(ctx); err != nil {
		return removal{}, err
	}
	if err := t.origins(ctx); err != nil {
		return removal{}, err
	}
	t.rem.Datasets = append(bottomUp(t.gone), t.after...)
	return t.rem, nil
}

// remove destroys, when what others have of it is told by what stays.
func (m *Manager) remove(ctx context.Context, rem removal) error {
	if err := m.retell(ctx, rem.Datasets); err != nil {
		return err
	}
	return m.sys.ZFS.Destroy(ctx, rem.Removal)
}

// taking is a removal being worked out.
type taking struct {
	m     *Manager
	roots []string
	args  destroyArgs
	what  string
	snaps map[string][]zfs.Dataset
	rem   removal
	// gone is what lies below the root, after what goes when that is gone:
	// origins that only it was cloned from.
	gone  []zfs.Dataset
	after []string
	// wanted are snapshots that BEs which stay have taken over, by GUID: what
	// they have in common is told by them.
	wanted map[string]bool
	// origin are the origins of datasets that stay clones until they go.
	origin []string
	// moves tells which snapshot names each promoted clone receives.
	moves map[string][]string
}

// takes tells whether a name lies below one of the roots.
func (t *taking) takes(name string) bool {
	return slices.ContainsFunc(t.roots, func(root string) bool { return within(name, root) })
}

// dataset decides about one dataset and its snapshots.
func (t *taking) dataset(d zfs.Dataset) error {
	t.gone = append(t.gone, d)
	t.rem.frees += number(d.Value("usedbydataset")) + number(d.Value("usedbyrefreservation"))
	snaps := t.snaps[d.Name]
	at, clone := youngestOrigin(snaps, t.stays)
	if clone != "" {
		t.rem.Promote = append(t.rem.Promote, clone)
		t.rem.notes = append(t.rem.notes, "promotes "+clone)
		t.moved(snaps[:at+1], clone)
	} else if o := d.Value("origin"); o != "" {
		t.origin = append(t.origin, o)
	}
	for _, s := range snaps[at+1:] {
		if err := t.lose(s); err != nil {
			return err
		}
	}
	return nil
}

// lookWanted reads what is wanted when the snapshots that no promotion brings
// elsewhere have gone: sync points, and by a retelling any other snapshot.
func (t *taking) lookWanted(ctx context.Context) (err error) {
	lost := map[string]bool{}
	for _, snaps := range t.snaps {
		at, _ := youngestOrigin(snaps, t.stays)
		for _, s := range snaps[at+1:] {
			lost[s.Value("guid")] = true
		}
	}
	t.wanted, err = t.m.wantedWithout(ctx, t.goes, func(s zfs.Dataset) bool { return lost[s.Value("guid")] })
	return err
}

// goes tells whether a dataset lies in what goes.
func (t *taking) goes(dataset string) bool {
	return t.takes(dataset) || slices.ContainsFunc(t.args.also, func(root string) bool { return within(dataset, root) })
}

// stays tells whether a clone is there when the tree has gone; "" is none.
func (t *taking) stays(clone string) bool {
	return clone != "" && !t.takes(clone) && !slices.ContainsFunc(t.args.also, func(root string) bool { return within(clone, root) })
}

// youngestOrigin finds the youngest snapshot with a clone that stays; at is -1
// where there is none. The snapshots come oldest first.
func youngestOrigin(snaps []zfs.Dataset, stays func(clone string) bool) (at int, clone string) {
	for i, s := range slices.Backward(snaps) {
		for _, c := range strings.Split(s.Value("clones"), ",") {
			if stays(c) {
				return i, c
			}
		}
	}
	return -1, ""
}

// moved follows snapshots that go over to a promoted clone: those that snapbe
// made, and that no clone will need, go.
func (t *taking) moved(snaps []zfs.Dataset, clone string) {
	if t.moves == nil {
		t.moves = map[string][]string{}
	}
	for _, s := range snaps {
		_, snap, _ := splitName(s.Name)
		t.moves[clone] = append(t.moves[clone], snap)
		needed := slices.ContainsFunc(strings.Split(s.Value("clones"), ","), func(c string) bool {
			return c != clone && t.stays(c)
		})
		if !needed && s.Local(propOp) != "" && number(s.Value("userrefs")) == 0 && !t.wanted[s.Value("guid")] {
			t.after = append(t.after, clone+"@"+snap)
			t.rem.frees += number(s.Value("used"))
		}
	}
}

// lose takes a snapshot that nothing was cloned from; one of the user's only
// where that was agreed to.
func (t *taking) lose(s zfs.Dataset) error {
	_, snap, _ := splitName(s.Name)
	if number(s.Value("userrefs")) > 0 {
		return held(t.what, s.Name)
	}
	if s.Local(propOp) == "" && !t.args.All && !slices.Contains(t.args.With, snap) {
		return refuse(Failed, "-s takes all of its snapshots along; naming it takes this one",
			"%s: the snapshot %s, which snapbe did not make, would be lost", t.what, s.Name)
	}
	if s.Local(propOp) == "" {
		t.rem.notes = append(t.rem.notes, "goes: "+s.Name)
	}
	t.gone = append(t.gone, s)
	t.rem.frees += number(s.Value("used"))
	return nil
}

// held refuses to lose a snapshot with a hold on it (zfs-hold(8)).
func held(what, snapshot string) error {
	return refuse(Busy, "zfs holds "+snapshot+" shows who holds it; zfs release lets it go", "%s: the snapshot %s is held", what, snapshot)
}

// refuseClashes refuses a promotion that would bring a clone a second snapshot
// of one name, which ZFS refuses too, but half-way.
func (t *taking) refuseClashes(ctx context.Context) error {
	if len(t.moves) == 0 {
		return nil
	}
	snaps, err := t.m.sys.ZFS.Get(ctx, zfs.Query{Roots: t.rem.Promote, Depth: 1, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{"creation"}})
	if err != nil {
		return err
	}
	for _, s := range snaps {
		name, snap, _ := splitName(s.Name)
		if slices.Contains(t.moves[name], snap) {
			return refuse(Failed, fmt.Sprintf("zfs rename %s to another name", s.Name),
				"%s: %s, which is to be promoted, has a snapshot %q of its own", t.what, name, snap)
		}
	}
	return nil
}

// origins takes along the origins of what goes, where snapbe made them and no
// other clone is left.
func (t *taking) origins(ctx context.Context) error {
	if len(t.origin) == 0 {
		return nil
	}
	slices.Sort(t.origin)
	ds, err := t.m.sys.ZFS.Get(ctx, zfs.Query{Roots: slices.Compact(t.origin), Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{"clones", "used", "userrefs", "guid", propOp}})
	if err != nil {
		return err
	}
	for _, o := range ds {
		other := slices.ContainsFunc(strings.Split(o.Value("clones"), ","), t.stays)
		also := slices.ContainsFunc(t.args.also, func(root string) bool { return within(parent(o.Name), root) })
		if other || also || t.takes(parent(o.Name)) || number(o.Value("userrefs")) > 0 {
			continue
		}
		if (o.Local(propOp) != "" || t.args.Origin) && !t.wanted[o.Value("guid")] {
			t.after = append(t.after, o.Name)
			t.rem.frees += number(o.Value("used"))
		}
	}
	return nil
}

// destroyOperation: the mark hides the BE first, from the menu too. Then each
// pool's part goes in one transaction group; until the root dataset has gone
// there is a way back, after that only forward.
func (m *Manager) destroyOperation(id string, args destroyArgs, mounted []mount.Mounted) *operation {
	root := args.Roots[0]
	op := &operation{kind: "destroy", id: id, args: args, verb: fmt.Sprintf("destroy %q", path.Base(root))}
	for _, mnt := range mounted {
		op.add(journal.Step{Name: "unmount it from " + mnt.Dir, Do: func(context.Context) error { return m.sys.Host.Detach(mnt.Dir, true) }})
	}
	op.add(m.hideStep(root, id, args.Mark))
	first := len(op.steps)
	for i, r := range args.Roots {
		op.add(journal.Step{Name: "destroy " + r, Final: i > 0, Do: func(ctx context.Context) error {
			rem, err := m.removal(ctx, i, args, op.verb)
			if err != nil || len(rem.Datasets) == 0 {
				op.result.Notes = append(op.result.Notes, rem.notes...)
				return err
			}
			return m.remove(ctx, rem)
		}})
	}
	if args.Zones {
		op.add(m.destroyZonesStep(op, args))
	}
	op.add(journal.Step{Name: "forget it as the previous one", Final: true, Do: func(ctx context.Context) error {
		return m.forgetPrevious(ctx, rootOf(root), args.UUID)
	}})
	if args.Kept {
		op.add(journal.Step{Name: "drop what was kept for it: sync points, snapshots of the share", Final: true, Do: func(ctx context.Context) error {
			notes, err := m.pruneShare(ctx, 0, func(s ShareSnap) bool { return args.UUID != "" && s.uuid == args.UUID })
			if err == nil {
				var more []string
				more, err = m.dropOldPoints(ctx)
				notes = append(notes, more...)
			}
			op.result.Notes = append(op.result.Notes, notes...)
			return err
		}})
	}
	op.committed = func(ctx context.Context) (int, bool, error) {
		_, ok, err := m.byDataset(ctx, root)
		return first + 1, !ok, err
	}
	return op
}

// hideStep marks a BE as on its way out, and takes it off the menu.
func (m *Manager) hideStep(root, id, mark string) journal.Step {
	return journal.Step{
		Name: "take it off the boot menu",
		Do: func(ctx context.Context) error {
			if err := m.sys.ZFS.Set(ctx, []zfs.Change{{Dataset: root, Set: zfs.Props{propOp: id}}}); err != nil {
				return err
			}
			return m.undoMenu(ctx)
		},
		Undo: func(ctx context.Context) error {
			if err := m.dropMark(ctx, root, id, mark); err != nil {
				return err
			}
			return m.undoMenu(ctx)
		},
	}
}

func (m *Manager) forgetPrevious(ctx context.Context, root, uuid string) error {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{root}, Props: []string{propPrevious}})
	if err != nil || uuid == "" || ds[0].Local(propPrevious) != uuid {
		return err
	}
	return m.sys.ZFS.Set(ctx, []zfs.Change{{Dataset: root, Inherit: []string{propPrevious}}})
}

// planDestroySnapshot plans destroy BE@SNAP.
func (m *Manager) planDestroySnapshot(ctx context.Context, st *state, b BE, snap, what string) (*operation, error) {
	args := snapshotArgs{Roots: b.datasets(), Snap: snap}
	of, notes, err := m.zonesWithSnapshot(ctx, st, b, snap)
	if err != nil {
		return nil, err
	}
	if len(of) > 0 {
		args.UUID, args.Pools, args.Spare = b.UUID, zonePools(args.Roots, of), m.spared(st, nil)
	}
	op := m.destroySnapshotOperation(m.sys.UUID(), args)
	op.verb = what
	op.plan = Plan{root: st.root, Title: what, Notes: notes}
	op.result.Name = b.Name + "@" + snap
	found := false
	for _, roots := range args.together(args.Roots, of) {
		snaps, err := m.named(ctx, snap, roots...)
		if err != nil {
			return nil, err
		}
		for _, s := range snaps {
			found = true
			if c := s.Value("clones"); c != "" {
				return nil, refuse(Failed, "destroy those first", "%s: %s is the origin of %s", what, s.Name, c)
			}
			if number(s.Value("userrefs")) > 0 {
				return nil, held(what, s.Name)
			}
			op.plan.Frees += number(s.Value("used"))
		}
	}
	if !found {
		return nil, refuse(NotFound, "snapbe list -s "+b.Name+" shows the snapshots", "%s: no such snapshot", what)
	}
	return op, nil
}

// zonesWithSnapshot are the zones of a boot environment whose active root has a
// snapshot of that name.
func (m *Manager) zonesWithSnapshot(ctx context.Context, st *state, b BE, snap string) (with []zones.BE, notes []string, err error) {
	if err := m.readZones(ctx, st); err != nil {
		return nil, nil, err
	}
	of, notes := m.followers(st, b.UUID, b.Name, nil, nil)
	with, lacking, err := m.haveSnapshot(ctx, of, snap)
	return with, append(notes, lacking...), err
}

// named lists the snapshots of one name below roots.
func (m *Manager) named(ctx context.Context, snap string, roots ...string) ([]zfs.Dataset, error) {
	if len(roots) == 0 {
		return nil, nil
	}
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: roots, Depth: -1, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{"clones", "userrefs", "used"}})
	return slices.DeleteFunc(ds, func(d zfs.Dataset) bool { return !strings.HasSuffix(d.Name, "@"+snap) }), err
}

// destroySnapshotOperation: each pool's part is atomic, and with the first one
// there is no way back.
func (m *Manager) destroySnapshotOperation(id string, args snapshotArgs) *operation {
	op := &operation{kind: "destroy-snapshot", id: id, args: args, verb: fmt.Sprintf("destroy %q", path.Base(args.Roots[0])+"@"+args.Snap)}
	for i, name := range args.names() {
		op.add(journal.Step{Name: "destroy " + name, Final: i > 0, Do: func(ctx context.Context) error {
			parts, err := m.parts(ctx, args.Roots, args.withZonesArgs)
			if err != nil {
				return err
			}
			snaps, err := m.named(ctx, args.Snap, parts[i]...)
			if err != nil || len(snaps) == 0 {
				return err
			}
			return m.remove(ctx, removal{Removal: zfs.Removal{Datasets: bottomUp(snaps)}})
		}})
	}
	op.committed = func(ctx context.Context) (int, bool, error) {
		left, err := m.named(ctx, args.Snap, args.Roots[0])
		return 0, len(left) == 0, err
	}
	return op
}
