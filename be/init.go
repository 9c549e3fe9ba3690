package be

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"snapbe/bootloader"
	"snapbe/internal/journal"
	"snapbe/internal/mount"
	"snapbe/internal/zfs"
)

// initArgs are the record of an init. Only what it makes before the point of
// no return is in it; all else follows from the state.
type initArgs struct {
	// Running is the running BE's root dataset, Boot its boot dataset.
	Running string `json:"running"`
	Boot    string `json:"boot,omitempty"`
	// Grub is the dataset of GRUB's directory; Move tells that it is made,
	// and the directory moved into it.
	Grub string `json:"grub"`
	Move bool   `json:"move,omitempty"`
	UUID string `json:"uuid,omitempty"`
}

func (Init) plan(ctx context.Context, m *Manager) (*operation, error) {
	const what = "adopt this host"
	a, err := m.survey(ctx, what)
	if err != nil {
		return nil, err
	}
	op := m.initOperation(m.sys.UUID(), a.args)
	op.plan = Plan{root: rootOf(a.args.Running), Title: what + ", with " + a.args.Running + " as the boot environment that runs"}
	kept := op.steps[:0]
	for _, s := range op.steps {
		need, err := a.needs(ctx, s.Name)
		if err != nil {
			return nil, &Error{Code: Failed, Text: what, Err: err}
		}
		if need {
			kept = append(kept, s)
		}
	}
	op.steps = kept
	op.plan.Notes = a.notes
	return op, nil
}

// survey is what init found out about a host that it can serve.
type survey struct {
	m       *Manager
	st      *state
	args    initArgs
	devices []bootloader.Device
	notes   []string
}

// survey looks at the host and refuses, by reason, one that cannot be served.
func (m *Manager) survey(ctx context.Context, what string) (*survey, error) {
	running, err := m.sys.Host.Root()
	if err != nil {
		return nil, err
	}
	root := rootOf(running)
	if m.sys.Root != "" {
		root = m.sys.Root
	}
	if running == "" || !strings.Contains(rootOf(running), "/") {
		return nil, refuse(Failed, "the root file system must be a dataset POOL/ROOT/NAME, as the OpenZFS guides for Debian and Ubuntu make it",
			"%s: / is %s", what, or(running, "not on ZFS"))
	}
	if rootOf(running) != root {
		return nil, refuse(Failed, "leave -r out", "%s: / is %s, which is not in %s", what, running, root)
	}
	// First of all what no preparation helps against.
	if err := m.sys.Boot.Installable(bootloader.Device{BIOSBoot: 1}); errors.Is(err, bootloader.ErrUEFI) {
		return nil, &Error{Code: Failed, Text: what, Err: err, Hint: "nothing was changed; only hosts that boot by BIOS (legacy boot) are served yet"}
	}
	if !m.sys.Host.HasGRUB() {
		return nil, refuse(Failed, "apt-get install grub2-common grub-pc-bin", "%s: GRUB is not installed", what)
	}
	mounts, err := m.sys.Host.Mounts()
	if err != nil {
		return nil, err
	}
	a := &survey{m: m, args: initArgs{Running: running}}
	if err := a.findBoot(mounts, what); err != nil {
		return nil, err
	}
	if _, err := m.bootable(ctx, BE{Name: path.Base(running), Dataset: running, Running: true}, what); err != nil {
		return nil, err
	}
	if err := m.sys.Boot.CanRead(ctx, "/boot"); err != nil {
		return nil, &Error{Code: Failed, Text: what + ": GRUB cannot read the pool that /boot is on", Err: err,
			Hint: "GRUB reads only pools that were made with compatibility=grub2, not encrypted; put /boot on one of its own (bpool), as the guides do"}
	}
	if a.st, err = m.read(ctx); err != nil {
		return nil, err
	}
	if err := a.st.refusePending(); err != nil {
		return nil, err
	}
	if a.args.Boot != "" {
		a.st.bootRoot = rootOf(a.args.Boot)
		if err := m.readBootDatasets(ctx, a.st); err != nil {
			return nil, err
		}
	}
	if b, ok := a.st.running(); ok && b.UUID == "" {
		a.args.UUID = m.sys.UUID()
	}
	if err := a.findGrub(ctx, mounts, what); err != nil {
		return nil, err
	}
	return a, a.findDisks(ctx, what)
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// findBoot learns where /boot is: in the BE, or a dataset of a boot pool.
func (a *survey) findBoot(mounts []mount.Mounted, what string) error {
	for _, mnt := range mounts {
		if mnt.Dir != "/boot" {
			continue
		}
		switch {
		case mnt.FSType != "zfs":
			return refuse(Failed, "move /boot into the root dataset, or onto a ZFS boot pool: a boot environment must hold its own kernels",
				"%s: /boot is on %s, not on ZFS", what, mnt.FSType)
		case within(mnt.Dataset, a.args.Running):
			return refuse(Failed, fmt.Sprintf("copy its files into /boot of %s and destroy it, or move it to a boot pool, as BPOOL/BOOT/%s",
				a.args.Running, path.Base(a.args.Running)),
				"%s: /boot is a dataset below the root dataset, %s, where the menu would not look for kernels", what, mnt.Dataset)
		case path.Base(mnt.Dataset) != path.Base(a.args.Running):
			return refuse(Failed, fmt.Sprintf("zfs rename %s %s/%s", mnt.Dataset, path.Dir(mnt.Dataset), path.Base(a.args.Running)),
				"%s: the boot dataset %s and the root dataset %s must have the same last name", what, mnt.Dataset, a.args.Running)
		default:
			a.args.Boot = mnt.Dataset
		}
	}
	return nil
}

// findGrub learns which dataset GRUB's directory is on, and whether it must be
// moved out of the BE.
func (a *survey) findGrub(ctx context.Context, mounts []mount.Mounted, what string) error {
	dir := a.m.sys.Boot.Directory()
	on, at := "", ""
	for _, mnt := range mounts {
		if !within(dir, strings.TrimSuffix(mnt.Dir, "/")) || len(mnt.Dir) < len(at) {
			continue
		}
		on, at = mnt.Dataset, mnt.Dir
		if mnt.FSType != "zfs" && at == dir {
			return refuse(Failed, "unmount it, and have GRUB's files in "+dir+" on the pool", "%s: %s is on %s, not on ZFS", what, dir, mnt.FSType)
		}
	}
	inside := within(on, a.args.Running) || a.args.Boot != "" && within(on, a.args.Boot)
	if !inside {
		a.args.Grub = on
		if at != dir {
			return refuse(Failed, "mount a dataset of its own there", "%s: %s is a directory of %s, which is mounted at %s", what, dir, on, at)
		}
		return nil
	}
	a.args.Move = true
	a.args.Grub = a.st.pool() + "/GRUB"
	_, ok, err := a.m.byDataset(ctx, a.args.Grub)
	if err == nil && ok {
		return refuse(Exists, "zfs rename it, or destroy it if nothing needs it", "%s: the dataset %s, where GRUB's directory would go, exists", what, a.args.Grub)
	}
	return err
}

func (a *survey) findDisks(ctx context.Context, what string) error {
	devices, absent, err := a.m.bootDevices(ctx, a.st)
	if err != nil {
		return &Error{Code: Failed, Text: what, Err: err, Hint: "each disk of the boot pool's mirror needs a GPT with a BIOS boot partition"}
	}
	for _, d := range devices {
		if err := a.m.sys.Boot.Installable(d); err != nil {
			if !errors.Is(err, bootloader.ErrNoBIOSBoot) {
				return &Error{Code: Failed, Text: what, Err: err}
			}
			return &Error{Code: Failed, Text: what, Err: err, Hint: "sgdisk -a1 -n0:24K:+1000K -t0:EF02 " + d.Path + " makes a BIOS boot partition where there is room"}
		}
	}
	for _, l := range absent {
		a.notes = append(a.notes, fmt.Sprintf("left out: %s is %s; once it is back: snapbe boot install", l.Path, l.State))
	}
	a.devices = devices
	return nil
}

// The names of init's steps, by which plan leaves out those that are not
// needed.
const (
	stepGrubDir   = "make a dataset for GRUB's directory and copy it there"
	stepGrubMount = "mount it in GRUB's place"
	stepInstall   = "install GRUB on every disk"
	stepMark      = "give the running boot environment its UUID"
	stepNoauto    = "set canmount=noauto on boot environments"
	stepUnits     = "enable snapbe's units"
	stepConfig    = "write the default configuration"
	stepHook      = "see that grub.cfg shows snapbe's menu"
	stepMenu      = "write the boot menu"
)

// needs tells whether a step of that name has anything to do, and notes what it
// touches then.
func (a *survey) needs(ctx context.Context, step string) (bool, error) {
	switch step {
	case stepGrubDir:
		if a.args.Move {
			a.notes = append(a.notes, "GRUB's directory goes to "+a.args.Grub)
		}
		return a.args.Move, nil
	case stepGrubMount:
		return a.args.Move, nil
	case stepInstall:
		need := a.args.Move || a.notInstalled(ctx)
		for _, d := range a.devices {
			if need {
				a.notes = append(a.notes, "GRUB is installed on "+d.Path)
			}
		}
		return need, nil
	case stepMark:
		b, _ := a.st.running()
		return !a.st.adopted() || b.UUID == "" || a.st.grub != a.args.Grub ||
			a.st.props.Local(propBootRoot) != a.st.bootRoot, nil
	case stepNoauto:
		changes, err := a.m.noauto(ctx, a.st.datasets())
		for _, c := range changes {
			a.notes = append(a.notes, "canmount=noauto goes to "+c.Dataset)
		}
		return len(changes) > 0, err
	case stepUnits:
		missing, err := a.m.sys.Host.Units(ctx)
		for _, u := range missing {
			a.notes = append(a.notes, "enables "+u)
		}
		return len(missing) > 0, err
	case stepConfig:
		return a.m.sys.Host.ConfigMissing(), nil
	case stepHook:
		need := a.args.Move || !a.m.sys.Boot.Hooked()
		if need {
			a.notes = append(a.notes, "grub-mkconfig writes grub.cfg anew")
		}
		return need, nil
	case stepMenu:
		return a.menuDiffers(ctx)
	}
	return true, nil
}

func (a *survey) notInstalled(ctx context.Context) bool {
	guid, err := a.m.poolGUID(ctx, a.st)
	return err != nil || slices.ContainsFunc(a.devices, func(d bootloader.Device) bool {
		return a.m.sys.Boot.Installed(d, guid, grubPath(a.args.Grub, "")) != nil
	})
}

func (a *survey) menuDiffers(ctx context.Context) (bool, error) {
	if !a.st.adopted() || a.args.Move {
		return true, nil
	}
	want, _, err := a.m.menu(ctx, a.st, nil, true)
	if err != nil {
		return false, err
	}
	have, err := a.m.sys.Boot.Read()
	return err != nil || string(bootloader.Encode(have)) != string(bootloader.Encode(want)), nil
}

// initOperation: until GRUB's new directory is in place all can be undone, and
// from then on all is done again until it is there: each step looks first.
// The boot loader on the disks reads the old directory until it is installed
// anew, disk by disk, so there is a menu at every moment.
func (m *Manager) initOperation(id string, args initArgs) *operation {
	op := &operation{kind: "init", id: id, args: args, verb: "adopt this host"}
	if args.Move {
		op.add(journal.Step{Name: stepGrubDir, Undo: func(ctx context.Context) error { return m.removeGrub(ctx, id, args) },
			Do: func(ctx context.Context) error { return m.copyGrub(ctx, id, args) }})
		op.add(journal.Step{Name: stepGrubMount, Undo: func(context.Context) error { return m.detachAll(args.Grub) },
			Do: func(ctx context.Context) error { return m.mountGrub(ctx, args) }})
	}
	first := len(op.steps)
	for name, do := range map[string]func(context.Context) error{
		stepMark:    func(ctx context.Context) error { return m.markAdopted(ctx, args) },
		stepInstall: func(ctx context.Context) error { return m.installAll(ctx) },
		stepHook:    func(ctx context.Context) error { _, err := m.sys.Boot.Hook(ctx); return err },
		stepNoauto:  m.setNoauto,
		stepUnits:   m.enableUnits,
		stepConfig:  func(context.Context) error { return m.writeConfig() },
		stepMenu:    m.menuStep(op).Do,
	} {
		op.add(journal.Step{Name: name, Do: do, Final: true})
	}
	order := []string{stepUnits, stepMark, stepInstall, stepHook, stepMenu, stepNoauto, stepConfig}
	slices.SortFunc(op.steps[first:], func(a, b journal.Step) int {
		return slices.Index(order, a.Name) - slices.Index(order, b.Name)
	})
	op.committed = func(ctx context.Context) (int, bool, error) {
		d, ok, err := m.byDataset(ctx, args.Grub)
		return first, !args.Move || ok && d.Local(propOp) == "" && !bareGrub(d), err
	}
	return op
}

// copyGrub makes the dataset and copies GRUB's directory into it; until it is
// mounted in the old one's place it does not mount by itself. What the pool's
// own dataset has for compression may be more than GRUB can read, and using it
// once would close the whole pool to GRUB.
func (m *Manager) copyGrub(ctx context.Context, id string, args initArgs) error {
	err := m.sys.ZFS.Create(ctx, args.Grub, zfs.Props{"canmount": "noauto", "mountpoint": m.sys.Boot.Directory(),
		"compression": "on", "dnodesize": "legacy", propOp: id})
	if err != nil {
		return err
	}
	from, err := m.sys.Host.Tree()
	if err != nil {
		return err
	}
	defer from.Close()
	return m.sys.Host.View(mount.Tree{{Dataset: args.Grub, Dir: "."}}, false, copyDir(from, m.sys.Boot.Directory()[1:]))
}

// mountGrub puts the new directory over the old one, and keeps it.
func (m *Manager) mountGrub(ctx context.Context, args initArgs) error {
	if err := m.sys.Host.Attach(mount.Tree{{Dataset: args.Grub, Dir: "."}}, m.sys.Boot.Directory()); err != nil {
		return err
	}
	return m.sys.ZFS.Set(ctx, []zfs.Change{
		{Dataset: args.Grub, Set: zfs.Props{"canmount": "on"}},
		{Dataset: args.Grub, Inherit: []string{propOp}},
	})
}

// bareGrub tells a dataset that was made and has not got its properties: they
// come one transaction group later, and a power cut may lie between.
func bareGrub(d zfs.Dataset) bool { return d.Local("mountpoint") == "" }

// removeGrub destroys the dataset that copyGrub made, and one that it had only
// begun to make, unless somebody has put files into that meanwhile.
func (m *Manager) removeGrub(ctx context.Context, id string, args initArgs) error {
	d, ok, err := m.byDataset(ctx, args.Grub)
	if err != nil || !ok {
		return err
	}
	if d.Local(propOp) == "" && bareGrub(d) {
		empty := false
		err := m.sys.Host.View(mount.Tree{{Dataset: args.Grub, Dir: "."}}, true, func(root *os.Root) error {
			entries, err := fs.ReadDir(root.FS(), ".")
			empty = len(entries) == 0
			return err
		})
		if err != nil || !empty {
			return err
		}
		return m.sys.ZFS.Destroy(ctx, zfs.Removal{Datasets: []string{args.Grub}})
	}
	return m.destroyTree(ctx, args.Grub, id, "")
}

// markAdopted writes what makes a host adopted: from here the properties of
// the container tell where everything is.
func (m *Manager) markAdopted(ctx context.Context, args initArgs) error {
	st, err := m.read(ctx)
	if err != nil {
		return err
	}
	b, _ := st.running()
	uuid := b.UUID
	if uuid == "" {
		uuid = or(args.UUID, m.sys.UUID())
		if err := m.sys.ZFS.Set(ctx, []zfs.Change{{Dataset: args.Running, Set: zfs.Props{propUUID: uuid, propPolicy: "static"}}}); err != nil {
			return err
		}
	}
	set := zfs.Props{propGrub: args.Grub}
	if args.Boot != "" {
		set[propBootRoot] = rootOf(args.Boot)
	}
	if !st.adopted() {
		set[propDefault] = uuid
	}
	return m.sys.ZFS.Set(ctx, []zfs.Change{{Dataset: st.root, Set: set}})
}

func (m *Manager) installAll(ctx context.Context) error {
	st, err := m.read(ctx)
	if err != nil {
		return err
	}
	devices, _, err := m.bootDevices(ctx, st)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if err := m.install(ctx, st, d); err != nil {
			return err
		}
	}
	return nil
}

// noauto is what keeps the filesystems at and below the roots from mounting by
// themselves: they would do so in every BE, over its own.
func (m *Manager) noauto(ctx context.Context, roots []string) (changes []zfs.Change, err error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: roots, Depth: -1, Kinds: []zfs.Kind{zfs.Filesystem}, Props: treeProps})
	for _, d := range ds {
		if d.Value("canmount") == "on" && strings.HasPrefix(d.Value("mountpoint"), "/") {
			changes = append(changes, zfs.Change{Dataset: d.Name, Set: zfs.Props{"canmount": "noauto"}})
		}
	}
	return changes, err
}

func (m *Manager) setNoauto(ctx context.Context) error {
	st, err := m.read(ctx)
	if err != nil {
		return err
	}
	changes, err := m.noauto(ctx, st.datasets())
	if err != nil {
		return err
	}
	return m.sys.ZFS.Set(ctx, changes)
}

func (m *Manager) enableUnits(ctx context.Context) error {
	missing, err := m.sys.Host.Units(ctx)
	if err != nil || len(missing) == 0 {
		return err
	}
	return m.sys.Host.EnableUnits(ctx, missing)
}

func (m *Manager) writeConfig() error {
	if !m.sys.Host.ConfigMissing() {
		return nil
	}
	return m.sys.Host.WriteConfig()
}
