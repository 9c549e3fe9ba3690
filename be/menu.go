package be

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"snapbe/bootloader"
	"snapbe/internal/mount"
	"snapbe/internal/zfs"
)

// boots is what is known of how BEs boot, by UUID. One without a kernel is to
// be looked into again.
type boots map[string]bootloader.Boot

// updateMenu derives the menu from the pool and writes it. What fresh holds
// was read just now; of other BEs the menu that stands is believed, unless
// all is set: then every BE is looked into, and the disks are too. The notes
// tell of BEs that are left out.
func (m *Manager) updateMenu(ctx context.Context, fresh boots, all bool) (notes []string, err error) {
	st, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	menu, notes, err := m.menu(ctx, st, fresh, all)
	if err != nil {
		return nil, err
	}
	if err := m.grubMounted(st); err != nil {
		return notes, err
	}
	if menu.Trial != "" {
		if _, err := m.sys.Boot.WriteTrialInitrd(); err != nil {
			return notes, err
		}
	}
	_, err = m.sys.Boot.Write(menu)
	return notes, err
}

// grubMounted makes sure that GRUB's directory is the pool's own, before it is
// written to: a rescue system has another one there.
func (m *Manager) grubMounted(st *state) error {
	mounts, err := m.sys.Host.Mounts()
	if err != nil {
		return err
	}
	dir := m.sys.Boot.Directory()
	if slices.ContainsFunc(mounts, func(x mount.Mounted) bool { return x.Dataset == st.grub && x.Dir == dir }) {
		return nil
	}
	return refuse(Failed, fmt.Sprintf("mount -t zfs -o zfsutil %s %s", st.grub, dir),
		"write the boot menu: %s, GRUB's directory, is not mounted at %s", st.grub, dir)
}

// menu is the menu that follows from the state.
func (m *Manager) menu(ctx context.Context, st *state, fresh boots, all bool) (bootloader.Menu, []string, error) {
	old, err := m.sys.Boot.Read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		all = true // it is derived: what cannot be read is written anew
	}
	menu, notes, err := m.menuHead(ctx, st, old, all)
	if err != nil {
		return menu, nil, err
	}
	known := boots{}
	for _, e := range old.Entries {
		known[e.UUID] = e.Boot
	}
	for _, b := range st.bes {
		if b.Unfinished != "" || b.UUID == "" {
			continue
		}
		boot, ok := fresh[b.UUID]
		if !ok && !b.Running && !all {
			boot = known[b.UUID]
		}
		if boot.Kernel == "" {
			var told []string
			boot, told = m.lookAgain(ctx, b, known[b.UUID])
			notes = append(notes, told...)
		}
		if boot.Kernel != "" {
			menu.Entries = append(menu.Entries, st.entry(b, boot))
		}
	}
	return menu, append(notes, st.bootSomething(&menu)...), nil
}

// lookAgain inspects a BE for its entry. One without a kernel has none; one
// that could not be looked into keeps the entry that it had.
func (m *Manager) lookAgain(ctx context.Context, b BE, was bootloader.Boot) (boot bootloader.Boot, notes []string) {
	boot, note, err := m.inspect(ctx, b)
	if note != "" {
		notes = append(notes, note)
	}
	switch {
	case err == nil:
		return boot, notes
	case !noKernel(err) && was.Kernel != "":
		return was, append(notes, fmt.Sprintf("the entry of %q stays as it was: %v", b.Name, err))
	}
	return bootloader.Boot{}, append(notes, fmt.Sprintf("%q is not in the menu: %v", b.Name, err))
}

// bootSomething gives a menu whose default has gone, or cannot boot, another
// one, so that the machine still boots by itself: the BE that runs, else the
// previous one, else any.
func (st *state) bootSomething(menu *bootloader.Menu) (notes []string) {
	has := func(uuid string) bool {
		return slices.ContainsFunc(menu.Entries, func(e bootloader.Entry) bool { return e.UUID == uuid })
	}
	if !has(menu.Previous) {
		menu.Previous = ""
	}
	if !has(menu.Trial) {
		menu.Trial, menu.TrialCmdline = "", nil
	}
	if has(menu.Default) || len(menu.Entries) == 0 {
		return nil
	}
	run, _ := st.running()
	for _, uuid := range []string{run.UUID, menu.Previous, menu.Entries[len(menu.Entries)-1].UUID} {
		if has(uuid) {
			menu.Default = uuid
			break
		}
	}
	if menu.Previous == menu.Default {
		menu.Previous = ""
	}
	if menu.Trial == menu.Default {
		menu.Trial, menu.TrialCmdline = "", nil
	}
	b, _ := st.byUUID(menu.Default)
	return []string{fmt.Sprintf("what is to boot next is not in the menu, which boots %q instead: snapbe activate NAME chooses", b.Name)}
}

// menuHead is the menu without its entries. A disk that cannot be made out, such
// as one that was pulled a moment ago, is no reason to leave the menu without a
// new kernel: then the disks stay those that it had.
func (m *Manager) menuHead(ctx context.Context, st *state, old bootloader.Menu, all bool) (menu bootloader.Menu, notes []string, err error) {
	menu = bootloader.Menu{
		PoolGUID: old.PoolGUID,
		GrubPath: grubPath(st.grub, ""),
		Disks:    old.Disks,
	}
	if b, ok := st.byUUID(st.props.Local(propDefault)); ok {
		menu.Default = b.UUID
	}
	if b, ok := st.byUUID(st.props.Local(propPrevious)); ok {
		menu.Previous = b.UUID
	}
	if b, _, ok := st.trial(); ok && !b.Default {
		menu.Trial, menu.TrialCmdline = b.UUID, m.sys.TrialCmdline
	}
	if !all && menu.PoolGUID != 0 && menu.Trial == "" {
		return menu, nil, nil
	}
	if menu.PoolGUID, err = m.poolGUID(ctx, st); err != nil {
		return menu, nil, err
	}
	disks, err := m.bootDisks(ctx, st)
	if err != nil {
		return menu, []string{fmt.Sprintf("the entries for single disks stay as they were: %v", err)}, nil
	}
	menu.Disks = disks
	return menu, nil, nil
}

// bootDisks are the disks that the pool with the boot files lies on, those
// that are there.
func (m *Manager) bootDisks(ctx context.Context, st *state) ([]bootloader.Disk, error) {
	leaves, err := m.bootLeaves(ctx, st)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, l := range leaves {
		if present(l) {
			paths = append(paths, l.Path)
		}
	}
	return m.sys.Boot.Disks(ctx, paths)
}

// bootLeaves are the data leaves of the pool with the boot files.
func (m *Manager) bootLeaves(ctx context.Context, st *state) ([]zfs.Leaf, error) {
	leaves, err := m.sys.ZFS.Leaves(ctx, st.pool())
	var data []zfs.Leaf
	for _, l := range leaves {
		if l.Class == "" {
			data = append(data, l)
		}
	}
	return data, err
}

func present(l zfs.Leaf) bool { return l.State == "ONLINE" || l.State == "DEGRADED" }

func (st *state) entry(b BE, boot bootloader.Boot) bootloader.Entry {
	files := grubPath(b.Dataset, "/boot")
	if b.BootDataset != "" {
		files = grubPath(b.BootDataset, "")
	}
	return bootloader.Entry{UUID: b.UUID, Name: b.Name, Description: b.Description,
		Dataset: b.Dataset, Path: files, Boot: boot}
}

// grubPath is how GRUB names a directory of a dataset: /ROOT/debian@/boot.
func grubPath(dataset, dir string) string {
	pool := zfs.PoolOf(dataset)
	return path.Clean("/"+dataset[len(pool):]) + "@" + dir
}
