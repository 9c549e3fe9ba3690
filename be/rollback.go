package be

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"snapbe/bootloader"
	"snapbe/internal/journal"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// rollbackArgs are the record of a rollback.
type rollbackArgs struct {
	// Roots are the BE's root dataset and its boot dataset.
	Roots []string `json:"roots"`
	Snap  string   `json:"snap"`
	Newer bool     `json:"newer,omitempty"`
	// Upto is, for each root, when the newest snapshot below it was made
	// that the user was told of; see destroyArgs.
	Upto []uint64 `json:"upto,omitempty"`

	// Loses is how much the root's part of it takes away, in bytes: what was
	// written since the snapshot.
	Loses uint64 `json:"loses,omitempty"`

	// recovering: once the root has gone back there is no other way for the
	// boot dataset, and what appeared there meanwhile, such as another tool's
	// periodic snapshot, goes too.
	recovering bool

	// Upto and the steps are by pool: the root with the zones that lie there, the
	// boot dataset with those, and then the zones of further pools.
	withZonesArgs
}

func (r Rollback) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("roll back to %q", r.Name)
	name, snap, isSnap := splitName(r.Name)
	if !isSnap {
		return nil, refuse(Invalid, "name a snapshot, as in BE@SNAP", "%s: that is no snapshot", what)
	}
	st, err := m.readAllToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	b, err := st.usable(name, what)
	if err != nil {
		return nil, err
	}
	if b.Running {
		return nil, refuse(Busy, fmt.Sprintf("snapbe create -e %s makes a boot environment of it", r.Name), "%s: %q is running", what, name)
	}
	if b.Default {
		return nil, refuse(Busy, "snapbe activate another one first", "%s: %q is the one that boots next", what, name)
	}
	if err := st.refuseLeft(b, what); err != nil {
		return nil, err
	}
	if err := st.refuseMounted(m.withFollowers(b), what, ""); err != nil {
		return nil, err
	}
	args := rollbackArgs{Roots: b.datasets(), Snap: snap, Newer: r.Newer}
	of, notes, err := m.zonesWithSnapshot(ctx, st, b, snap)
	if err != nil {
		return nil, err
	}
	if len(of) > 0 {
		args.UUID, args.Pools, args.Spare = b.UUID, zonePools(args.Roots, of), m.spared(st, nil)
	}
	plan := Plan{root: st.root, Title: what, Notes: notes}
	for i := range args.names() {
		l, err := m.rollbackList(ctx, i, args, what)
		if err != nil {
			return nil, err
		}
		for _, n := range l.goes {
			plan.Notes = append(plan.Notes, "goes: "+n)
		}
		args.Upto = append(args.Upto, l.newest)
		if i == 0 {
			args.Loses = l.loses
		}
	}
	note, err := m.checkKernel(ctx, b, snap)
	if err != nil {
		return nil, err
	} else if note != "" {
		plan.Notes = append(plan.Notes, note)
	}
	op := m.rollbackOperation(m.sys.UUID(), args)
	op.verb, op.plan = what, plan
	op.result.Name = b.Name
	return op, nil
}

// names are what a step is about, in words.
func (a rollbackArgs) names() []string {
	names := slices.Clone(a.Roots)
	for _, p := range a.Pools {
		names = append(names, "the zones in "+p)
	}
	return names
}

// rollbackList is what rolling one pool's part back means.
type rollbackList struct {
	// to are the snapshots to go back to, goes the newer ones.
	to, goes []string
	// newest is the transaction group that the newest of all was made in.
	newest uint64
	// loses is what was written since, in bytes.
	loses uint64
}

// rollbackList lists the snapshots in the part of that number; it refuses what
// would lose more than was agreed to. A zone whose root has no such snapshot stays
// as it is.
func (m *Manager) rollbackList(ctx context.Context, i int, args rollbackArgs, what string) (l rollbackList, err error) {
	parts, err := m.parts(ctx, args.Roots, args.withZonesArgs)
	if err != nil || len(parts[i]) == 0 {
		return l, err
	}
	root := args.Roots[0]
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: parts[i], Depth: -1,
		Kinds: []zfs.Kind{zfs.Filesystem, zfs.Volume, zfs.Snapshot}, Props: []string{"createtxg", "clones", "userrefs", "written", propOp}})
	if err != nil {
		return l, err
	}
	ds = withoutOthers(ds, parts[i], args)
	target := map[string]uint64{}
	for _, d := range ds {
		l.newest = max(l.newest, txg(d))
		if name, snap, ok := splitName(d.Name); ok && snap == args.Snap {
			target[name] = txg(d)
			l.to = append(l.to, d.Name)
		}
	}
	for _, d := range ds {
		name, _, isSnap := splitName(d.Name)
		to, ok := target[name]
		if !ok {
			return l, refuse(NotFound, "snapbe list -s "+path.Base(root)+" shows the snapshots", "%s: %s has no snapshot of that name", what, name)
		}
		if !isSnap || txg(d) > to {
			l.loses += number(d.Value("written"))
		}
		if !isSnap || txg(d) <= to {
			continue
		}
		if txg(d) > upto(args.Upto, i) && !(args.recovering && i > 0) {
			return l, appeared(what, d.Name)
		}
		if err := args.refuse(d, i, what); err != nil {
			return l, err
		}
		l.goes = append(l.goes, d.Name)
	}
	return l, nil
}

// withoutOthers leaves out the zones of a part whose root has no snapshot to go
// back to.
func withoutOthers(ds []zfs.Dataset, part []string, args rollbackArgs) []zfs.Dataset {
	others := slices.DeleteFunc(slices.Clone(part), func(root string) bool {
		return slices.Contains(args.Roots, root) ||
			slices.ContainsFunc(ds, func(d zfs.Dataset) bool { return d.Name == root+"@"+args.Snap })
	})
	return slices.DeleteFunc(ds, func(d zfs.Dataset) bool {
		return slices.ContainsFunc(others, func(root string) bool { return below(d.Name, root) >= 0 })
	})
}

// refuse refuses to lose a snapshot that is newer.
func (a rollbackArgs) refuse(d zfs.Dataset, i int, what string) error {
	switch {
	case d.Value("clones") != "":
		return refuse(Failed, "destroy what was cloned from it first", "%s: the newer snapshot %s is the origin of %s", what, d.Name, d.Value("clones"))
	case number(d.Value("userrefs")) > 0:
		return held(what, d.Name)
	case !a.Newer && !(a.recovering && i > 0) && d.Local(propOp) == "":
		return refuse(Failed, "with --newer it goes", "%s: the newer snapshot %s would be lost", what, d.Name)
	}
	return nil
}

// rollbackOperation: in one pool a rollback is one transaction group. With a
// boot pool there are two, and no way back from the first. The BE is off the
// menu from before the first to after the last.
func (m *Manager) rollbackOperation(id string, args rollbackArgs) *operation {
	what := fmt.Sprintf("roll back to %q", path.Base(args.Roots[0])+"@"+args.Snap)
	op := &operation{kind: "rollback", id: id, args: args, verb: what}
	root := args.Roots[0]
	hide := m.hideStep(root, id, "")
	// The mark may have gone at the very end, with the menu still to do.
	hide.Undo = then(func(ctx context.Context) error { return m.dropMark(ctx, root, id, "") }, m.refreshStep(op, root).Do)
	op.add(hide)
	for i, name := range args.names() {
		op.add(journal.Step{Name: fmt.Sprintf("roll back %s to @%s", name, args.Snap), Final: i > 0, Do: func(ctx context.Context) error {
			if err := m.refuseRunning(root, what); err != nil {
				return err
			}
			l, err := m.rollbackList(ctx, i, args, what)
			if err != nil {
				return err
			}
			if err := m.retell(ctx, l.goes); err != nil {
				return err
			}
			return m.sys.ZFS.Rollback(ctx, l.to, l.goes)
		}})
	}
	op.add(journal.Step{Name: "take the mark off", Final: true, Do: func(ctx context.Context) error {
		d, ok, err := m.byDataset(ctx, root)
		if err != nil || !ok || d.Local(propOp) != id {
			return err
		}
		back, err := m.goneBack(ctx, args)
		if err == nil {
			err = m.setAll(ctx, back)
		}
		if err != nil {
			return err
		}
		return m.dropMark(ctx, root, id, "")
	}})
	op.add(m.refreshStep(op, root))
	op.committed = func(ctx context.Context) (int, bool, error) {
		d, ok, err := m.byDataset(ctx, root)
		if err != nil || !ok || d.Local(propOp) != id {
			return 0, false, err
		}
		return m.rolledBack(ctx, args, what)
	}
	return op
}

// goneBack are the changes of what was told of the roots as they were: what they had
// taken over since, and that they were upgraded.
func (m *Manager) goneBack(ctx context.Context, args rollbackArgs) (changes []zfs.Change, err error) {
	parts, err := m.parts(ctx, args.Roots[:1], args.withZonesArgs)
	if err != nil {
		return nil, err
	}
	st, err := m.readAll(ctx)
	if err != nil {
		return nil, err
	}
	of := st.withZoneStates()
	l, err := m.lines(ctx, of...)
	if err != nil {
		return nil, err
	}
	for _, root := range slices.Concat(parts...) {
		i := slices.IndexFunc(l.snaps[root], func(s zfs.Dataset) bool { return s.Name == root+"@"+args.Snap })
		if i < 0 {
			continue // a zone that was left as it is
		}
		at := l.snaps[root][i]
		c := setHad(root, l.hadAt(at.Name))
		c.Inherit = append(c.Inherit, propSynced, zones.PropUpgraded)
		changes = append(changes, c)
		for _, st := range of {
			if i := slices.IndexFunc(st.bes, func(b BE) bool { return b.Dataset == root }); i >= 0 {
				changes = append(changes, setPartly(root, l.partlyAt(st, st.bes[i], at)))
			}
		}
	}
	return changes, nil
}

// rolledBack tells whether an interrupted rollback goes on, and from which step:
// from the first, where nothing is lost by that but what was agreed to; behind
// the root's, where that has gone back and somebody's snapshot has come since.
// Otherwise somebody has used the BE, or kept what it held: it stays as it is.
func (m *Manager) rolledBack(ctx context.Context, args rollbackArgs, what string) (from int, forward bool, err error) {
	bound := args.Upto
	args.Upto, args.Newer = nil, true // to look, and not to refuse
	l, err := m.rollbackList(ctx, 0, args, what)
	var refused *Error
	if errors.As(err, &refused) {
		return 0, false, nil // nothing can go back any more
	} else if err != nil {
		return 0, false, err
	}
	switch appeared := l.newest > upto(bound, 0); {
	case !appeared && (l.loses == args.Loses || l.loses == 0):
		return 0, true, nil
	case appeared && l.loses == 0 && args.Loses != 0:
		return 2, true, nil
	}
	return 0, false, nil
}

// refuseRunning is for an operation that goes on after a power cut: somebody
// may have booted the BE that it is about to change, by hand.
func (m *Manager) refuseRunning(root, what string) error {
	running, err := m.sys.Host.Root()
	if err == nil && running == root {
		err = refuse(Busy, "boot another boot environment; it is ended there", "%s: %q is running", what, path.Base(root))
	}
	return err
}

// dropMark takes an operation's mark off a dataset that is there, and puts
// the mark of an earlier one back.
func (m *Manager) dropMark(ctx context.Context, dataset, id, earlier string) error {
	d, ok, err := m.byDataset(ctx, dataset)
	if err != nil || !ok || d.Local(propOp) != id {
		return err
	}
	c := zfs.Change{Dataset: dataset, Inherit: []string{propOp}}
	if earlier != "" {
		c = zfs.Change{Dataset: dataset, Set: zfs.Props{propOp: earlier}}
	}
	return m.sys.ZFS.Set(ctx, []zfs.Change{c})
}

// refreshMenu writes the menu after the files of one BE have changed.
func (m *Manager) refreshMenu(ctx context.Context, dataset string) (notes []string, err error) {
	st, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	fresh := boots{}
	for _, b := range st.bes {
		if b.Dataset == dataset {
			fresh[b.UUID] = bootloader.Boot{}
		}
	}
	return m.updateMenu(ctx, fresh, false)
}

// refreshStep is refreshMenu as a step.
func (m *Manager) refreshStep(op *operation, dataset string) journal.Step {
	return journal.Step{Name: "write the boot menu", Do: func(ctx context.Context) error {
		notes, err := m.refreshMenu(ctx, dataset)
		op.result.Notes = append(op.result.Notes, notes...)
		return err
	}}
}

// checkKernel tells of a snapshot without a kernel that could boot.
func (m *Manager) checkKernel(ctx context.Context, b BE, snap string) (note string, err error) {
	t, err := m.tree(ctx, b)
	if err != nil {
		return "", err
	}
	for i := range t {
		t[i].Dataset += "@" + snap
	}
	err = m.sys.Host.View(bootTree(t), true, func(root *os.Root) error {
		_, _, err := readBoot(root)
		return err
	})
	if !noKernel(err) {
		return "", err
	}
	return fmt.Sprintf("it will not be in the boot menu: %v", err), nil
}
