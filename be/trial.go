package be

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"snapbe/bootloader"
	"snapbe/internal/zfs"
)

// trial is a BE that boots once: the default, bootfs and the previous BE stay as
// they are until it is confirmed. It is a property of the BE root container; that
// the BE boots is asked for on the boot disks, where GRUB takes it back.
type trial struct {
	// UUID is the BE's, Previous that of the one which failback leads to when it is
	// confirmed.
	UUID, Previous string
	// Once is for one that is not confirmed, however it does.
	Once bool
}

const once = "once"

func (t trial) String() string {
	text := strings.TrimSpace(t.UUID + " " + t.Previous)
	if t.Once {
		text += " " + once
	}
	return text
}

func parseTrial(text string) (t trial, ok bool) {
	for i, f := range strings.Fields(text) {
		switch {
		case i == 0:
			t.UUID = f
		case f == once:
			t.Once = true
		default:
			t.Previous = f
		}
	}
	return t, t.UUID != ""
}

// trial is the one that is armed, or is going on; ok is false where there is none.
func (st *state) trial() (b BE, t trial, ok bool) {
	if t, ok = parseTrial(st.props.Local(propTrial)); ok {
		b, ok = st.byUUID(t.UUID)
	}
	return b, t, ok
}

// onTrial tells whether that is the BE which runs.
func (st *state) onTrial() bool {
	b, _, ok := st.trial()
	return ok && b.Running
}

// refuseInTrial refuses what chooses another BE in one that is on trial: what looks
// after the trial would leave it in the middle of that.
func (st *state) refuseInTrial(what string) error {
	if b, _, ok := st.trial(); ok && b.Running {
		return refuse(Failed, "snapbe confirm first; or snapbe reject --reboot, back to the one before", "%s: %q runs on trial", what, b.Name)
	}
	return nil
}

// Failure is when and why a trial was no good.
type Failure struct {
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}

func (f Failure) String() string { return f.At.UTC().Format(time.RFC3339) + " " + f.Why }

func parseFailure(text string) *Failure {
	at, why, ok := strings.Cut(text, " ")
	if !ok {
		return nil
	}
	when, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return nil
	}
	return &Failure{when, why}
}

// maxWhy keeps the property short.
const maxWhy = 512

// setFailed marks a BE. What is said comes from what has run in it.
func setFailed(dataset string, at time.Time, why string) zfs.Change {
	why = strings.Join(strings.FieldsFunc(why, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(why) > maxWhy {
		why = strings.ToValidUTF8(why[:maxWhy], "") + "…"
	}
	return zfs.Change{Dataset: dataset, Set: zfs.Props{propFailed: Failure{at, why}.String()}}
}

// refuseFailed refuses one whose trial was no good.
func refuseFailed(b BE, force bool, what string) error {
	if b.Failed == nil || force {
		return nil
	}
	return refuse(Failed, "snapbe activate --force "+b.Name+" tries it all the same",
		"%s: its trial of %s was no good: %s", what, b.Failed.At.UTC().Format("2006-01-02 15:04"), b.Failed.Why)
}

// trialNotes tell what activating on trial comes to.
func (st *state) trialNotes(b BE, once bool) []string {
	old, after := st.nameOf(st.props.Local(propDefault)), ""
	if !once {
		after = ", until it is confirmed"
	}
	return []string{fmt.Sprintf("it boots once, at the next start; what boots by itself stays %s%s", old, after)}
}

// confirmUnit is where that is when it is enabled.
const confirmUnit = "etc/systemd/system/multi-user.target.wants/snapbe-confirm.service"

// planTrial tells whether a trial can be made: GRUB shows snapbe's menu, and there is
// a disk that it can write to. The notes tell of disks that remember nothing.
func (m *Manager) planTrial(ctx context.Context, st *state, b BE, what string) (notes []string, err error) {
	if !m.sys.Boot.Hooked() {
		return nil, refuse(Failed, "snapbe init mends that; --no-trial goes without a trial", "%s: GRUB does not show snapbe's menu, so it cannot boot it on trial", what)
	}
	disks, err := m.trialDisks(ctx, st)
	if err != nil {
		return nil, &Error{Code: Failed, Text: what, Err: err, Hint: "--no-trial goes without a trial"}
	}
	err = m.look(ctx, b, func(root *os.Root) error {
		if _, err := root.Lstat(confirmUnit); err != nil {
			notes = append(notes, fmt.Sprintf("%q has no snapbe-confirm.service enabled, and is not confirmed by itself: snapbe confirm does it by hand", b.Name))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	able := 0
	for _, d := range disks {
		switch {
		case errors.Is(d.err, bootloader.ErrNoEnv):
			notes = append(notes, fmt.Sprintf("disk %s has no part in the trial: %v", d.Name, bootloader.ErrNoEnv))
		case d.err != nil:
			return nil, &Error{Code: Failed, Text: what, Err: d.err, Hint: "--no-trial goes without a trial"}
		default:
			able++
		}
	}
	if able == 0 {
		return nil, refuse(Failed, "--no-trial goes without a trial", "%s: no boot disk has a FAT partition, on which GRUB could remember a trial", what)
	}
	return notes, nil
}

// trialDisk is a boot disk that is there, with what it remembers.
type trialDisk struct {
	bootloader.Device
	env bootloader.Env
	err error
}

// trialDisks are the boot disks that are there and whole. One that nothing was
// written to yet remembers nothing, and so does one with nonsense.
func (m *Manager) trialDisks(ctx context.Context, st *state) ([]trialDisk, error) {
	devices, _, err := m.bootDevices(ctx, st)
	if err != nil {
		return nil, err
	}
	disks := make([]trialDisk, 0, len(devices))
	for _, d := range devices {
		t := trialDisk{Device: d, err: bootloader.ErrNoEnv}
		if d.Env != "" {
			t.env, t.err = m.sys.Boot.ReadEnv(ctx, d)
		}
		if errors.Is(t.err, fs.ErrNotExist) || errors.Is(t.err, bootloader.ErrEnvDamaged) {
			t.err = nil
		}
		disks = append(disks, t)
	}
	return disks, nil
}

// changeEnvs makes all of the disks that can remember what change makes of it, one
// after the other.
func (m *Manager) changeEnvs(ctx context.Context, change func(bootloader.Env) bootloader.Env) error {
	st, err := m.read(ctx)
	if err != nil {
		return err
	}
	disks, err := m.trialDisks(ctx, st)
	if err != nil {
		return err
	}
	for _, d := range disks {
		switch env := change(d.env); {
		case errors.Is(d.err, bootloader.ErrNoEnv):
		case d.err != nil:
			return d.err
		case env != d.env:
			if err := m.sys.Boot.WriteEnv(ctx, d.Device, env); err != nil {
				return err
			}
		}
	}
	return nil
}

// forget makes the disks ask for nothing, and remember no trial.
func (m *Manager) forget(ctx context.Context) error {
	return m.changeEnvs(ctx, func(e bootloader.Env) bootloader.Env { return bootloader.Env{Generation: e.Generation} })
}

// tried tells whether GRUB has taken a trial; armed, whether a disk asks for it
// still.
func (m *Manager) tried(ctx context.Context, st *state, uuid string) (tried, armed bool, err error) {
	disks, err := m.trialDisks(ctx, st)
	for _, d := range disks {
		tried = tried || d.err == nil && d.env.Tried == uuid
		armed = armed || d.err == nil && d.env.Trial == uuid
	}
	return tried, armed, err
}
