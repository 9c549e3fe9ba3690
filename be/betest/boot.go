package betest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"snapbe/bootloader"
	"snapbe/internal/command"
)

// bootState is what lasts of a Boot in a saved world.
type bootState struct {
	// On tells, by disk, which directory GRUB on it was told to read.
	On map[string]string
	// FAT tells that each disk has a FAT partition, and Envs, by disk, what that
	// remembers.
	FAT  bool
	Envs map[string]bootloader.Env
	// Unreadable makes the pool one that GRUB cannot read.
	Unreadable string
}

// Boot is the boot loader: GRUB's files are the real ones, its disks are not.
type Boot struct {
	bootState
	w *World
	// NoDisks is why no disk can be made out.
	NoDisks error
}

func newBoot(w *World, s bootState) *Boot {
	if s.On == nil {
		s.On = map[string]string{}
	}
	return &Boot{bootState: s, w: w}
}

// grub is the real GRUB set-up in the directory that shows at /boot/grub now.
func (b *Boot) grub() (*bootloader.GRUB, error) {
	on, below := "", ""
	for _, m := range b.w.Host.Mounted {
		if rest, ok := strings.CutPrefix("/boot/grub/", strings.TrimSuffix(m.Dir, "/")+"/"); ok {
			on, below = m.Dataset, rest
		}
	}
	if on == "" {
		return nil, errNoGRUB
	}
	return &bootloader.GRUB{Dir: filepath.Join(b.w.ZFS.Dir(on), below), Runner: nothing{}}, nil
}

// nothing runs no program: what is written here is on disk at once.
type nothing struct{}

func (nothing) Run(context.Context, command.Cmd) ([]byte, error) { return nil, nil }

// Directory is be.Bootloader's.
func (b *Boot) Directory() string { return "/boot/grub" }

// Read is be.Bootloader's.
func (b *Boot) Read() (bootloader.Menu, error) {
	g, err := b.grub()
	if err != nil {
		return bootloader.Menu{}, err
	}
	return g.Read()
}

// Text is the menu's fragment as GRUB reads it.
func (b *Boot) Text() string {
	g, err := b.grub()
	if err != nil {
		return ""
	}
	text, _ := os.ReadFile(filepath.Join(g.Dir, "snapbe.cfg"))
	return string(text)
}

// Write is be.Bootloader's.
func (b *Boot) Write(m bootloader.Menu) (bool, error) {
	if err := b.w.change("write menu"); err != nil {
		return false, err
	}
	g, err := b.grub()
	if err != nil {
		return false, err
	}
	return g.Write(m)
}

// Disks is be.Bootloader's.
func (b *Boot) Disks(ctx context.Context, leaves []string) (disks []bootloader.Disk, err error) {
	devices, err := b.Devices(ctx, leaves)
	for _, d := range devices {
		disks = append(disks, d.Disk)
	}
	return disks, err
}

// Devices is be.Bootloader's: /dev/vda3 is partition 3 of disk vda.
func (b *Boot) Devices(_ context.Context, leaves []string) (devices []bootloader.Device, err error) {
	if b.NoDisks != nil {
		return nil, b.NoDisks
	}
	for i, l := range leaves {
		name := strings.TrimPrefix(strings.TrimSuffix(l, "3"), "/dev/")
		d := bootloader.Device{Path: "/dev/" + name, BIOSBoot: 48, Disk: bootloader.Disk{
			Name: name, Part: 3, PartUUID: fmt.Sprintf("%08d-aaaa-4bbb-8ccc-0123456789ab", i+1), ESP: fmt.Sprintf("AAAA-000%d", i+1)}}
		if b.FAT {
			d.Env, d.EnvPart, d.EnvUUID = "/dev/"+name+"2", 2, fmt.Sprintf("%08d-aaaa-4bbb-8ccc-0123456789ac", i+1)
		}
		devices = append(devices, d)
	}
	return devices, nil
}

// Installable is be.Bootloader's.
func (b *Boot) Installable(bootloader.Device) error { return nil }

// Install is be.Bootloader's.
func (b *Boot) Install(_ context.Context, d bootloader.Device, _ uint64, path string) error {
	if err := b.w.change("install GRUB"); err != nil {
		return err
	}
	b.On[d.Name] = path
	return nil
}

// Installed is be.Bootloader's.
func (b *Boot) Installed(d bootloader.Device, _ uint64, path string) error {
	if b.On[d.Name] != path {
		return fmt.Errorf("%w: it reads %q", bootloader.ErrNotInstalled, b.On[d.Name])
	}
	return nil
}

// CanRead is be.Bootloader's.
func (b *Boot) CanRead(context.Context, string) error {
	if b.Unreadable != "" {
		return fmt.Errorf("%s", b.Unreadable)
	}
	return nil
}

// Hook is be.Bootloader's; it writes what grub-mkconfig would.
func (b *Boot) Hook(context.Context) (bool, error) {
	if b.Hooked() {
		return false, nil
	}
	if err := b.w.change("update-grub"); err != nil {
		return false, err
	}
	g, err := b.grub()
	if err != nil {
		return false, err
	}
	return true, os.WriteFile(filepath.Join(g.Dir, "grub.cfg"), []byte(sourced), 0o644)
}

const sourced = "# grub.cfg\nsource \"${config_directory}/snapbe.cfg\"\n"

// Hooked is be.Bootloader's.
func (b *Boot) Hooked() bool {
	g, err := b.grub()
	if err != nil {
		return false
	}
	text, _ := os.ReadFile(filepath.Join(g.Dir, "grub.cfg"))
	return string(text) == sourced
}

// Check is be.Bootloader's: the kernels' part of it.
func (b *Boot) Check(_ context.Context, want bootloader.Menu, look bootloader.Look) (problems []bootloader.Problem) {
	if b.Text() != string(bootloader.Encode(want)) {
		problems = append(problems, bootloader.Problem{Text: "the menu is not what follows from the pool's state"})
	}
	for _, e := range want.Entries {
		err := look(e, func(root *os.Root, dir string) error {
			for _, f := range []string{e.Kernel, e.Initrd} {
				if _, err := root.Stat(filepath.Join(dir, f)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			problems = append(problems, bootloader.Problem{BE: e.Name, Text: err.Error()})
		}
	}
	return problems
}

// WriteTrialInitrd is be.Bootloader's.
func (b *Boot) WriteTrialInitrd() (bool, error) {
	if err := b.w.change("write the trial's initrd"); err != nil {
		return false, err
	}
	g, err := b.grub()
	if err != nil {
		return false, err
	}
	return g.WriteTrialInitrd()
}

// ReadEnv is be.Bootloader's.
func (b *Boot) ReadEnv(_ context.Context, d bootloader.Device) (bootloader.Env, error) {
	e, ok := b.Envs[d.Name]
	switch {
	case d.Env == "":
		return e, bootloader.ErrNoEnv
	case !ok:
		return e, os.ErrNotExist
	}
	return e, nil
}

// WriteEnv is be.Bootloader's.
func (b *Boot) WriteEnv(_ context.Context, d bootloader.Device, e bootloader.Env) error {
	if d.Env == "" {
		return bootloader.ErrNoEnv
	}
	if err := e.Validate(); err != nil {
		return err
	}
	if err := b.w.change("write what " + d.Name + " remembers"); err != nil {
		return err
	}
	if b.Envs == nil {
		b.Envs = map[string]bootloader.Env{}
	}
	b.Envs[d.Name] = e
	return nil
}

// taken is what GRUB does before it shows a menu: where a disk asks for the BE that
// is on trial, and it was not tried, it boots once.
func (b *Boot) taken(m bootloader.Menu) (uuid string) {
	armed, tried := false, false
	for _, e := range b.Envs {
		armed = armed || m.Trial != "" && e.Trial == m.Trial
		tried = tried || m.Trial != "" && e.Tried == m.Trial
	}
	for name, e := range b.Envs {
		e.Trial = ""
		if armed && !tried {
			e.Tried = m.Trial
		}
		b.Envs[name] = e
	}
	if armed && !tried {
		return m.Trial
	}
	return ""
}
