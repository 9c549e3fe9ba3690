package be

import (
	"context"

	"snapbe/bootloader"
	"snapbe/internal/journal"
)

// forgetStep comes before what may arm a trial: what the disks remember of an
// earlier one would be taken for it.
func (m *Manager) forgetStep() journal.Step {
	return journal.Step{Name: "clear what the boot disks remember of a trial", Do: m.forget}
}

// armStep asks for the trial on every disk that can remember it. GRUB takes it when
// one does, and takes it back on all: cut off between two disks, it is armed. One
// that was taken already is not armed again.
func (m *Manager) armStep(uuid string) journal.Step {
	return journal.Step{
		Name: "arm the trial on the boot disks",
		Do: func(ctx context.Context) error {
			st, err := m.read(ctx)
			if err != nil {
				return err
			}
			tried, _, err := m.tried(ctx, st, uuid)
			if err != nil || tried || st.onTrial() {
				return err
			}
			return m.changeEnvs(ctx, func(e bootloader.Env) bootloader.Env { return e.Arm(uuid) })
		},
		Undo: m.forget,
	}
}
