package be

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"snapbe/bootloader"
	"snapbe/internal/journal"
	"snapbe/internal/mount"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// createArgs are the record of a create: enough to find what it made.
type createArgs struct {
	Name string `json:"name"`
	// From is the source's root dataset, Boot its boot dataset.
	From string `json:"from"`
	Boot string `json:"boot,omitempty"`
	// Snap is the snapshot's name; Own tells that this operation makes it.
	Snap string `json:"snap"`
	Own  bool   `json:"own"`
	UUID string `json:"uuid"`
	// Zones tells that zones are cloned too.
	Zones bool `json:"zones,omitempty"`
}

// notCopied are properties that a clone cannot be given, or must not have:
// set once and for all when a dataset is made (zfsprops(7)), the key of an
// encrypted one, and what belongs to the source alone.
var notCopied = map[string]bool{
	"canmount": true, "volsize": true, "volblocksize": true,
	"utf8only": true, "normalization": true, "casesensitivity": true, "version": true,
	"encryption": true, "keyformat": true, "keylocation": true, "pbkdf2iters": true,
	propUUID: true, propDescription: true, propOp: true, propBooted: true, propFailed: true, propSynced: true, propHad: true,
	zones.PropParent: true, zones.PropActive: true, zones.PropUpgraded: true,
}

func (r Create) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := "create a boot environment"
	if r.Name != "" {
		what = fmt.Sprintf("create %q", r.Name)
		if err := checkNew(r.Name); err != nil {
			return nil, refuse(Invalid, "", "%s: %v", what, err)
		}
	}
	st, err := m.readToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	if _, _, isSnap := splitName(r.Name); isSnap {
		return r.planSnapshot(ctx, m, st)
	}
	src, snap, err := r.source(st, what)
	if err != nil {
		return nil, err
	}
	if r.Name == "" {
		r.Name = nextName(src.Name, st.takenNames())
		what = fmt.Sprintf("create %q", r.Name)
	}
	if err := r.check(st, what); err != nil {
		return nil, err
	}
	if err := m.readZones(ctx, st); err != nil {
		return nil, err
	}
	zoneBEs, err := m.chosenZones(st, src, r.Zones, what)
	if err != nil {
		return nil, err
	}
	roots := src.datasets()
	for _, z := range zoneBEs {
		roots = append(roots, z.Dataset)
	}
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: roots, Depth: -1})
	if err != nil {
		return nil, err
	}
	args := createArgs{Name: r.Name, From: src.Dataset, Boot: src.BootDataset, Snap: snap, UUID: m.sys.UUID(), Zones: len(zoneBEs) > 0}
	var without []string
	if snap == "" {
		args.Own = true
		args.Snap = m.autoSnap()
	} else if ds, without, err = m.withSnapshot(ctx, roots, src, ds, snap, what); err != nil {
		return nil, err
	}
	zoneBEs = slices.DeleteFunc(zoneBEs, func(z zones.BE) bool { return slices.Contains(without, z.Dataset) })
	had, err := m.factsAt(ctx, st, src, zoneBEs, snap)
	if err != nil {
		return nil, err
	}
	c := creation{m: m, st: st, id: m.sys.UUID(), args: args, zones: st.zoneClones(zoneBEs), had: had}
	if err := checkLengths(ds, args.Snap, what, c.target); err != nil {
		return nil, err
	}
	op := c.operation(src, ds, r)
	for _, d := range without {
		op.plan.Notes = append(op.plan.Notes, fmt.Sprintf("left out: %s has no snapshot %q", d, snap))
	}
	if r.Activate {
		op.next = Activate{Name: r.Name}
		op.nextSteps = m.activateOperation("activate", "", "", c.activation(), boots{}, nil, false).stepNames()
	}
	return op, nil
}

// readAdopted is read, for what needs a host that init has adopted.
func (m *Manager) readAdopted(ctx context.Context, what string) (*state, error) {
	st, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	return st, st.refusePlain(what)
}

// refusePlain refuses a host that init has not adopted.
func (st *state) refusePlain(what string) error {
	if st.adopted() {
		return nil
	}
	return refuse(Failed, "snapbe init --dry-run shows what adopting this host changes; snapbe init does it",
		"%s: snapbe has not adopted this host yet", what)
}

// readToChange is readAdopted, for what must not begin while an interrupted
// operation waits.
func (m *Manager) readToChange(ctx context.Context, what string) (*state, error) {
	st, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := st.refusePending(); err != nil {
		return nil, err
	}
	return st, st.refusePlain(what)
}

// source is the BE that is copied, and the snapshot where one was named.
func (r Create) source(st *state, what string) (BE, string, error) {
	if r.From == "" {
		src, ok := st.running()
		if !ok {
			return src, "", refuse(Invalid, "name the source with -e", "%s: no boot environment of %s is running", what, st.root)
		}
		return src, "", nil
	}
	name, snap, isSnap := splitName(r.From)
	src, err := st.usable(name, what+" from "+fmt.Sprintf("%q", name))
	if err == nil && isSnap && snap == "" {
		err = refuse(Invalid, "name it as BE@SNAP", "%s from %q: the snapshot's name is empty", what, r.From)
	}
	return src, snap, err
}

// check refuses names that are bad or taken, and properties that are not the
// user's to give.
func (r Create) check(st *state, what string) error {
	if err := checkName(r.Name); err != nil {
		return refuse(Invalid, "", "%s: %v", what, err)
	}
	for _, t := range st.taken {
		if path.Base(t) == r.Name {
			return refuse(Exists, st.wayOut(r.Name, t), "%s: the dataset %s exists", what, t)
		}
	}
	for p := range r.Props {
		if notCopied[p] && !strings.Contains(p, ":") && p != "canmount" {
			return refuse(Invalid, "", "%s: the property %s is the source's, and cannot be set on a clone", what, p)
		}
		if p == "canmount" || p == "mountpoint" || strings.HasPrefix(p, "org.snapbe:") || strings.HasPrefix(p, "org.opensolaris.libbe:") {
			return refuse(Invalid, "", "%s: the property %s is snapbe's own to set", what, p)
		}
	}
	if strings.ContainsRune(r.Description, 0) || len(r.Description) > 1024 {
		return refuse(Invalid, "", "%s: a description has at most 1024 bytes, and no NUL", what)
	}
	return nil
}

func (st *state) takenNames() []string {
	names := make([]string, 0, len(st.taken))
	for _, t := range st.taken {
		names = append(names, path.Base(t))
	}
	return names
}

// wayOut is what helps where a name is taken by a dataset.
func (st *state) wayOut(name, dataset string) string {
	if slices.ContainsFunc(st.bes, func(b BE) bool { return b.Name == name }) {
		return "take another name, or snapbe destroy " + name + " first"
	}
	return "take another name, or zfs destroy " + dataset + " if nothing needs it"
}

// autoSnap names a snapshot as libbe does, in UTC. The milliseconds keep two
// creates of one second apart.
func (m *Manager) autoSnap() string {
	now := m.sys.Now().UTC()
	return now.Format("2006-01-02-15:04:05") + fmt.Sprintf(".%03d", now.Nanosecond()/1e6)
}

// withSnapshot keeps those datasets that have the snapshot, and tells which
// have not. The root and the boot dataset must have it; a nested dataset that
// was made later has no part in it.
func (m *Manager) withSnapshot(ctx context.Context, roots []string, src BE, ds []zfs.Dataset, snap, what string) (with []zfs.Dataset, without []string, err error) {
	snaps, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: roots, Depth: -1,
		Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{"creation"}})
	if err != nil {
		return nil, nil, err
	}
	has := map[string]bool{}
	for _, s := range snaps {
		has[s.Name] = true
	}
	for _, root := range src.datasets() {
		if !has[root+"@"+snap] {
			return nil, nil, refuse(NotFound, "snapbe list -s "+src.Name+" shows the snapshots that there are",
				"%s: %s has no snapshot %q", what, root, snap)
		}
	}
	for _, d := range ds {
		name, up := d.Name+"@"+snap, parent(d.Name)+"@"+snap
		switch {
		case has[name] && !has[up] && !slices.Contains(roots, d.Name):
			return nil, nil, refuse(Failed, "", "%s: %s is there, but not %s above it", what, name, up)
		case has[name]:
			with = append(with, d)
		default:
			without = append(without, d.Name)
		}
	}
	return with, without, nil
}

// checkLengths refuses names that ZFS would refuse half-way; target gives the
// new name of a dataset.
func checkLengths(ds []zfs.Dataset, snap, what string, target func(string) string) error {
	for _, d := range ds {
		if max(len(d.Name), len(target(d.Name)))+1+len(snap) > maxDataset {
			return refuse(Invalid, "take a shorter name", "%s: the dataset names below it would be longer than the %d bytes of ZFS", what, maxDataset)
		}
	}
	return nil
}

// creation is a create on its way, or one that is being recovered.
type creation struct {
	m    *Manager
	st   *state
	id   string
	args createArgs
	// zones are the new roots of zones by those they are cloned from, had the
	// facts of all those when the snapshot was made.
	zones map[string]string
	had   map[string]facts
	// tree is where the new BE's datasets will show, held the mount points
	// that its roots are given at the end; boot is what it was found to boot
	// with.
	tree mount.Tree
	held []zfs.Change
	boot bootloader.Boot
}

// target is the new dataset for one of the source's.
func (c *creation) target(source string) string {
	if c.args.Boot != "" && within(source, c.args.Boot) {
		return c.st.bootRoot + "/" + c.args.Name + source[len(c.args.Boot):]
	}
	for from, to := range c.zones {
		if within(source, from) {
			return to + source[len(from):]
		}
	}
	return c.st.root + "/" + c.args.Name + source[len(c.args.From):]
}

func within(name, root string) bool {
	return name == root || strings.HasPrefix(name, root+"/")
}

// roots are the datasets whose marks tell that this operation made them.
func (c *creation) roots() []string {
	if c.args.Boot == "" {
		return []string{c.st.root + "/" + c.args.Name}
	}
	return []string{c.st.root + "/" + c.args.Name, c.st.bootRoot + "/" + c.args.Name}
}

func (c *creation) operation(src BE, ds []zfs.Dataset, r Create) *operation {
	op := &operation{verb: fmt.Sprintf("create %q", c.args.Name), kind: "create", id: c.id, args: c.args}
	op.plan = Plan{root: c.st.root, Title: fmt.Sprintf("create %q from %q", c.args.Name, src.Name)}
	if r.From != "" {
		op.plan.Title = fmt.Sprintf("create %q from %q", c.args.Name, r.From)
	}
	op.result = Result{Name: c.args.Name}
	clones := c.clones(ds, r)
	c.tree = c.hostTree(ds, clones)
	c.hold(clones)
	c.addSteps(op, ds, clones)
	return op
}

// hold keeps the clones below the roots from mounting until the new BE is kept.
// ZFS makes a clone in one transaction group and sets its properties in the
// next; a power cut between them leaves one that mounts at boot, over what
// runs, where it inherits a mount point.
func (c *creation) hold(clones []zfs.Clone) {
	for _, x := range clones {
		nested := slices.ContainsFunc(clones, func(y zfs.Clone) bool { return parent(y.Target) == x.Target })
		if mp, ok := x.Props["mountpoint"]; ok && nested && slices.Contains(slices.Concat(c.roots(), c.zoneRoots()), x.Target) {
			c.held = append(c.held, zfs.Change{Dataset: x.Target, Set: zfs.Props{"mountpoint": mp}})
			x.Props["mountpoint"] = "none"
		}
	}
}

func (c *creation) addSteps(op *operation, ds []zfs.Dataset, clones []zfs.Clone) {
	if c.args.Own {
		op.add(c.snapshotStep(ds))
	}
	op.add(c.cloneStep(clones))
	for _, s := range c.lastSteps(op) {
		op.add(s)
	}
	op.committed = func(ctx context.Context) (int, bool, error) {
		ok, err := c.kept(ctx)
		return len(op.steps) - 1, ok, err
	}
}

// recoverCreate rebuilds a create that was interrupted. Its first steps can
// only be undone, and that needs no list of what they were to make.
func (m *Manager) recoverCreate(st *state, id string, args createArgs) *operation {
	c := creation{m: m, st: st, id: id, args: args}
	op := &operation{verb: fmt.Sprintf("create %q", args.Name), result: Result{Name: args.Name}}
	c.addSteps(op, nil, nil)
	return op
}

// snapshotStep: one zfs snapshot per pool is atomic; with a boot pool there are
// two, which is why the snapshots are marked and the journal stands before.
func (c *creation) snapshotStep(ds []zfs.Dataset) journal.Step {
	name := fmt.Sprintf("snapshot %s@%s", c.args.From, c.args.Snap) + c.andZones()
	if len(ds) > 0 { // a recovery does not know, and only undoes
		name += fmt.Sprintf(" (%s)", count(len(ds), "dataset"))
	}
	byPool := map[string][]string{}
	for _, d := range ds {
		p := zfs.PoolOf(d.Name)
		byPool[p] = append(byPool[p], d.Name+"@"+c.args.Snap)
	}
	return journal.Step{
		Name: name,
		Do: func(ctx context.Context) error {
			for _, p := range slices.Sorted(maps.Keys(byPool)) {
				props := zfs.Props{propOp: c.id}
				maps.Copy(props, c.had[c.args.From].props())
				if err := c.m.sys.ZFS.Snapshot(ctx, byPool[p], props); err != nil {
					return err
				}
			}
			return c.m.setAll(ctx, c.zoneFacts())
		},
		Undo: c.dropSnapshots,
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// dropSnapshots takes away the snapshots that bear this operation's mark.
func (c *creation) dropSnapshots(ctx context.Context) error {
	roots := []string{c.args.From}
	if c.args.Boot != "" {
		roots = append(roots, c.args.Boot)
	}
	if c.args.Zones {
		roots = append(roots, c.st.zoneRoots...)
	}
	return c.m.destroyMarked(ctx, roots, c.id, func(name string) bool {
		return strings.HasSuffix(name, "@"+c.args.Snap)
	})
}

// destroyMarked destroys the snapshots below the roots that bear the mark.
func (m *Manager) destroyMarked(ctx context.Context, roots []string, id string, want func(string) bool) error {
	for _, root := range roots {
		snaps, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{root}, Depth: -1, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{propOp}})
		if zfs.Is(err, zfs.NotFound) {
			continue
		} else if err != nil {
			return err
		}
		var drop []string
		for _, s := range snaps {
			if want(s.Name) && s.Local(propOp) == id {
				drop = append(drop, s.Name)
			}
		}
		if len(drop) == 0 {
			continue
		}
		if err := m.sys.ZFS.Destroy(ctx, zfs.Removal{Datasets: drop}); err != nil {
			return err
		}
	}
	return nil
}

// clones are those to make: what is local in the source is local in the
// clone, what is inherited stays inherited; nothing mounts by itself.
func (c *creation) clones(ds []zfs.Dataset, r Create) []zfs.Clone {
	out := make([]zfs.Clone, 0, len(ds))
	for _, d := range ds {
		props := copiedProps(d)
		switch d.Name {
		case c.args.From:
			maps.Copy(props, r.Props)
			props[propUUID] = c.args.UUID
			props[propPolicy] = "static"
			props[propOp] = c.id
			maps.Copy(props, c.had[d.Name].props())
			if r.Description != "" {
				props[propDescription] = r.Description
			}
		case c.args.Boot:
			props[propOp] = c.id
		default:
			if c.zones[d.Name] != "" {
				maps.Copy(props, zfs.Props{zones.PropParent: c.args.UUID, zones.PropActive: "on", propOp: c.id})
				maps.Copy(props, c.had[d.Name].props())
			}
		}
		out = append(out, zfs.Clone{Snapshot: d.Name + "@" + c.args.Snap, Target: c.target(d.Name), Props: props})
	}
	return out
}

// copiedProps are what a clone of a dataset is given.
func copiedProps(d zfs.Dataset) zfs.Props {
	props := zfs.Props{}
	for name, p := range d.Props {
		if (p.Source == zfs.SourceLocal || p.Source == zfs.SourceReceived) && !notCopied[name] {
			props[name] = p.Value
		}
	}
	if d.Kind == zfs.Filesystem {
		props["canmount"] = "noauto"
		if d.Local("canmount") == "off" {
			props["canmount"] = "off"
		}
	}
	return props
}

func (c *creation) cloneStep(clones []zfs.Clone) journal.Step {
	name := "clone to " + c.roots()[0]
	if len(clones) > 0 { // a recovery does not know, and only undoes
		name = fmt.Sprintf("clone %s to %s", count(len(clones), "dataset"), c.roots()[0]) + c.andZones()
	}
	return journal.Step{
		Name: name,
		Do:   func(ctx context.Context) error { return c.m.sys.ZFS.Clone(ctx, clones) },
		Undo: c.dropClones,
	}
}

// dropClones takes the clones away whose root bears this operation's mark: all
// below such a root was made by it.
func (c *creation) dropClones(ctx context.Context) error {
	for i, root := range c.roots() {
		origin := []string{c.args.From, c.args.Boot}[i] + "@" + c.args.Snap
		if err := c.m.destroyTree(ctx, root, c.id, origin); err != nil {
			return err
		}
	}
	return c.dropZoneClones(ctx)
}

// destroyTree destroys what the operation made at root, a clone of origin
// where that is not "".
func (m *Manager) destroyTree(ctx context.Context, root, id, origin string) error {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{root}, Depth: -1,
		Kinds: []zfs.Kind{zfs.Filesystem, zfs.Volume, zfs.Snapshot}, Props: []string{"origin", "written", propOp, propUUID}})
	if zfs.Is(err, zfs.NotFound) {
		return nil
	} else if err != nil {
		return err
	}
	ours := ds[0].Local(propOp) == id
	if !ours && origin != "" && ds[0].Value("origin") == origin {
		if ours, err = m.bareClone(ctx, ds, id); err != nil {
			return err
		}
	}
	if !ours {
		return nil
	}
	if err := m.detachAll(root); err != nil {
		return err
	}
	return m.sys.ZFS.Destroy(ctx, zfs.Removal{Datasets: bottomUp(ds)})
}

// bareClone tells whether a clone and what lies below it is the operation's,
// though it has no mark: ZFS makes a clone in one transaction group and gives
// it its properties in the next. One of a snapshot that the operation made is;
// of a user's snapshot only one that nothing was done with.
func (m *Manager) bareClone(ctx context.Context, ds []zfs.Dataset, id string) (bool, error) {
	if ds[0].Local(propOp) != "" || ds[0].Local(propUUID) != "" {
		return false, nil
	}
	origin, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{ds[0].Value("origin")}, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{propOp}})
	if err != nil {
		return false, err
	}
	return origin[0].Local(propOp) == id || len(ds) == 1 && number(ds[0].Value("written")) == 0, nil
}

// detachAll unmounts what lies below a root wherever it is mounted: one that
// was not given its properties mounts by itself when the machine starts.
func (m *Manager) detachAll(root string) error {
	mounts, err := m.sys.Host.Mounts()
	if err != nil {
		return err
	}
	for _, mnt := range slices.Backward(mounts) {
		if mnt.FSType == "zfs" && within(mnt.Dataset, root) {
			if err := m.sys.Host.Detach(mnt.Dir, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// bottomUp orders a listing for destruction: what lies below a dataset comes
// before it, and what was cloned from a snapshot before that.
func bottomUp(ds []zfs.Dataset) []string {
	before := map[string][]string{}
	for _, d := range ds {
		before[parent(d.Name)] = append(before[parent(d.Name)], d.Name)
		before[d.Value("origin")] = append(before[d.Value("origin")], d.Name)
	}
	names := make([]string, 0, len(ds))
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, b := range before[name] {
			visit(b)
		}
		names = append(names, name)
	}
	for _, d := range ds {
		visit(d.Name)
	}
	return names
}

// parent is the dataset that another one, or a snapshot, lies below.
func parent(name string) string {
	if i := strings.LastIndexAny(name, "/@"); i >= 0 {
		return name[:i]
	}
	return ""
}

// activation is what activating the new BE would be recorded as, as far as its
// steps' names depend on it.
func (c *creation) activation() activateArgs {
	args := activateArgs{Dataset: c.roots()[0], Share: c.st.share, ZoneShares: len(c.m.zoneShares(c.st)) > 0}
	if run, ok := c.st.running(); ok && run.UUID != "" {
		args.Source, args.Zones = run.Dataset, len(c.zones) > 0
	}
	return args
}

// newBE is the new one as later steps see it.
func (c *creation) newBE() BE {
	b := BE{Name: c.args.Name, UUID: c.args.UUID, Dataset: c.roots()[0]}
	if c.args.Boot != "" {
		b.BootDataset = c.roots()[1]
	}
	return b
}

// lastSteps come after the clones, and are what a recovery can bring to its
// end: from "keep" on the new BE is one like any other.
func (c *creation) lastSteps(op *operation) []journal.Step {
	return []journal.Step{
		{Name: "prepare its fstab and check that it can boot", Do: c.prepare},
		{Name: fmt.Sprintf("keep %q", c.args.Name), Do: c.keep, Undo: func(ctx context.Context) error {
			if err := c.unkeep(ctx); err != nil {
				return err
			}
			return c.m.undoMenu(ctx)
		}},
		{Name: "write the boot menu", Do: func(ctx context.Context) error {
			fresh := boots{}
			if c.boot.Kernel != "" {
				fresh[c.args.UUID] = c.boot
			}
			notes, err := c.m.updateMenu(ctx, fresh, false)
			op.result.Notes = append(op.result.Notes, notes...)
			return err
		}},
	}
}

// undoMenu writes the menu of the state as it is then.
func (m *Manager) undoMenu(ctx context.Context) error {
	_, err := m.updateMenu(ctx, nil, false)
	return err
}

// prepare mends the names of datasets in the new BE's fstab, and looks whether
// GRUB will find its kernel there.
func (c *creation) prepare(context.Context) error {
	b := c.newBE()
	return c.m.sys.Host.View(bootTree(c.tree), false, func(root *os.Root) error {
		renames := map[string]string{c.args.From: b.Dataset}
		if c.args.Boot != "" {
			renames[c.args.Boot] = b.BootDataset
		}
		if err := renameInFstab(root, renames); err != nil {
			return err
		}
		var err error
		c.boot, _, err = readBoot(root)
		if noKernel(err) {
			return &Error{Code: Failed, Text: fmt.Sprintf("create %q: the source cannot boot", c.args.Name), Err: err,
				Hint: "apt-get install --reinstall linux-image-amd64 in the source puts a kernel and initrd there"}
		}
		return err
	})
}

// keep takes the marks off: from here the new BE is whole. Zones and the boot
// dataset go first, since the root's mark is what decides.
func (c *creation) keep(ctx context.Context) error {
	if err := c.m.sys.ZFS.Set(ctx, c.held); err != nil {
		return err
	}
	var marked []zfs.Change
	for _, root := range c.zoneRoots() {
		marked = append(marked, zfs.Change{Dataset: root, Inherit: []string{propOp}})
	}
	if err := c.m.setAll(ctx, marked); err != nil {
		return err
	}
	for _, root := range slices.Backward(c.roots()) {
		if err := c.m.sys.ZFS.Set(ctx, []zfs.Change{{Dataset: root, Inherit: []string{propOp}}}); err != nil {
			return err
		}
	}
	return nil
}

// unkeep marks again what is to be taken away, where it is this operation's:
// the UUID tells.
func (c *creation) unkeep(ctx context.Context) error {
	b, ok, err := c.m.byDataset(ctx, c.roots()[0])
	if err != nil || !ok || b.Local(propUUID) != c.args.UUID {
		return err
	}
	for _, root := range c.roots() {
		if _, ok, err := c.m.byDataset(ctx, root); err != nil || !ok {
			return err
		}
		if err := c.m.sys.ZFS.Set(ctx, []zfs.Change{{Dataset: root, Set: zfs.Props{propOp: c.id}}}); err != nil {
			return err
		}
	}
	return c.unkeepZones(ctx)
}

// byDataset reads one dataset's marks; ok is false where it is not there.
func (m *Manager) byDataset(ctx context.Context, name string) (d zfs.Dataset, ok bool, err error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{name}, Props: []string{propUUID, propOp, propPolicy, "mountpoint"}})
	if zfs.Is(err, zfs.NotFound) {
		return d, false, nil
	} else if err != nil {
		return d, false, err
	}
	return ds[0], true, nil
}

// kept tells whether the new BE stands without a mark.
func (c *creation) kept(ctx context.Context) (bool, error) {
	d, ok, err := c.m.byDataset(ctx, c.roots()[0])
	return ok && d.Local(propUUID) == c.args.UUID && d.Local(propOp) == "", err
}
