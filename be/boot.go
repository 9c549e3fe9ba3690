package be

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"

	"snapbe/bootloader"
	"snapbe/internal/journal"
	"snapbe/internal/zfs"
)

func (BootUpdate) plan(ctx context.Context, m *Manager) (*operation, error) {
	const what = "update the boot menu"
	// Also while an interrupted operation waits: what is unfinished is marked,
	// and a menu without a kernel that has gone must not wait.
	st, err := m.readAdopted(ctx, what)
	if err != nil {
		return nil, err
	}
	op := &operation{verb: what, plan: Plan{root: st.root, Title: what}}
	op.add(m.hookStep(st))
	op.add(m.menuStep(op))
	return op, nil
}

func (m *Manager) hookStep(st *state) journal.Step {
	return journal.Step{Name: stepHook, Do: func(ctx context.Context) error {
		if err := m.grubMounted(st); err != nil {
			return err
		}
		_, err := m.sys.Boot.Hook(ctx)
		return err
	}}
}

// menuStep writes the menu after looking into every BE.
func (m *Manager) menuStep(op *operation) journal.Step {
	return journal.Step{Name: "write the boot menu", Do: func(ctx context.Context) error {
		notes, err := m.updateMenu(ctx, nil, true)
		op.result.Notes = append(op.result.Notes, notes...)
		return err
	}}
}

// knownMenuStep writes it with what is known of BEs that were not changed.
func (m *Manager) knownMenuStep(op *operation, fresh boots) journal.Step {
	return journal.Step{Name: "write the boot menu", Do: func(ctx context.Context) error {
		notes, err := m.updateMenu(ctx, fresh, false)
		op.result.Notes = append(op.result.Notes, notes...)
		return err
	}}
}

func (BootInstall) plan(ctx context.Context, m *Manager) (*operation, error) {
	const what = "install GRUB"
	st, err := m.readToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	op := &operation{verb: what, plan: Plan{root: st.root, Title: what + " on every disk of " + st.pool()}}
	devices, absent, err := m.bootDevices(ctx, st)
	if err != nil {
		return nil, &Error{Code: Failed, Text: what, Err: err}
	}
	for _, l := range absent {
		op.plan.Notes = append(op.plan.Notes, fmt.Sprintf("left out: %s is %s", l.Path, l.State))
	}
	for _, d := range devices {
		op.add(m.installStep(st, d))
	}
	op.add(m.hookStep(st))
	op.add(m.menuStep(op))
	return op, nil
}

func (m *Manager) installStep(st *state, d bootloader.Device) journal.Step {
	return journal.Step{Name: "install GRUB on " + d.Path, Final: true,
		Do: func(ctx context.Context) error { return m.install(ctx, st, d) }}
}

// install makes a disk boot with the GRUB that reads the shared directory.
func (m *Manager) install(ctx context.Context, st *state, d bootloader.Device) error {
	guid, err := m.poolGUID(ctx, st)
	if err != nil {
		return err
	}
	return m.sys.Boot.Install(ctx, d, guid, grubPath(st.grub, ""))
}

// bootDevices are the boot disks that are there, and the leaves that are not.
func (m *Manager) bootDevices(ctx context.Context, st *state) (devices []bootloader.Device, absent []zfs.Leaf, err error) {
	leaves, err := m.bootLeaves(ctx, st)
	if err != nil {
		return nil, nil, err
	}
	var paths []string
	for _, l := range leaves {
		if present(l) {
			paths = append(paths, l.Path)
		} else {
			absent = append(absent, l)
		}
	}
	devices, err = m.sys.Boot.Devices(ctx, paths)
	return devices, absent, err
}

// Check verifies that every file which the boot menu names is there, and that
// GRUB can make sense of the menu. It needs root, to look into the BEs.
func (m *Manager) Check(ctx context.Context) ([]Problem, error) {
	const what = "check the boot menu"
	if !m.sys.Host.Privileged() {
		return nil, refuse(Denied, "run it as root, or with sudo", "%s: only root can look into boot environments", what)
	}
	st, err := m.readAdopted(ctx, what)
	if err != nil {
		return nil, err
	}
	want, notes, err := m.menu(ctx, st, nil, true)
	if err != nil {
		return nil, err
	}
	var problems []Problem
	for _, n := range notes {
		problems = append(problems, Problem{Text: n})
	}
	look := func(e bootloader.Entry, f func(*os.Root, string) error) error {
		b, ok := st.byUUID(e.UUID)
		if !ok {
			return errors.New("the boot environment has gone")
		}
		return m.look(ctx, b, func(root *os.Root) error { return f(root, "boot") })
	}
	for _, p := range m.sys.Boot.Check(ctx, want, look) {
		problems = append(problems, Problem{Entry: p.BE, Text: p.Text, Hint: p.Hint})
	}
	return append(problems, m.diskProblems(ctx, st)...), nil
}

// diskProblems tells of disks that would not boot.
func (m *Manager) diskProblems(ctx context.Context, st *state) []Problem {
	devices, absent, err := m.bootDevices(ctx, st)
	if err != nil {
		return []Problem{{Text: err.Error()}}
	}
	guid, err := m.poolGUID(ctx, st)
	if err != nil {
		return []Problem{{Text: err.Error()}}
	}
	var problems []Problem
	for _, l := range absent {
		problems = append(problems, Problem{Text: fmt.Sprintf("disk %s is %s", path.Base(l.Path), l.State)})
	}
	for _, d := range devices {
		if err := m.sys.Boot.Installed(d, guid, grubPath(st.grub, "")); err != nil {
			problems = append(problems, Problem{Text: fmt.Sprintf("%s: %v", d.Path, err), Hint: "snapbe boot install"})
		}
	}
	return problems
}

func (m *Manager) poolGUID(ctx context.Context, st *state) (uint64, error) {
	props, err := m.sys.ZFS.PoolGet(ctx, st.pool(), []string{"guid"})
	return number(props["guid"].Value), err
}
