// Package betest is a host without ZFS and GRUB for the tests of package be
// and of the commands: a fake pool whose datasets have directories, a boot
// loader whose menu is the real one in such a directory, and an operating
// system that mounts by copying. Every change, of whatever kind, can be
// stopped at (World.Stop).
package betest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"snapbe/be"
	"snapbe/internal/zfs"
	"snapbe/internal/zfs/zfsfake"
)

// World is a whole host.
type World struct {
	ZFS  *zfsfake.Fake
	Host *Host
	Boot *Boot
	// Zones is the platform of zones.
	Zones *Zones
	// Stop, where set, is called before every change, with n counting from
	// 1 on; an error fails the change, a panic is a power cut.
	Stop func(what string, n int) error

	mu    sync.Mutex
	n     int
	dir   string
	clock time.Time
	uuids int
}

// Layout is how the host's pools are laid out.
type Layout struct {
	// Split puts /boot on a pool of its own.
	Split bool
	// Pools are further pools.
	Pools []string
	// Nested are datasets below the BE, by their place below it.
	Nested []string
	// Plain leaves the host as the installation guides do, before init.
	Plain bool
}

// kept is what a saved world has beside the pool.
type kept struct {
	Host  hostState
	Boot  bootState
	Zones zonesState
	Clock time.Time
	UUIDs int
}

// New makes a host with one BE, "debian", that runs. Its files lie in dir.
func New(dir string, l Layout) *World {
	pools := append([]string{"rpool"}, l.Pools...)
	if l.Split {
		pools = append(pools, "bpool")
	}
	f := zfsfake.NewIn(filepath.Join(dir, "data"), pools...)
	w := link(dir, f, kept{Clock: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)})
	w.install(l)
	return w
}

// link puts the parts together.
func link(dir string, f *zfsfake.Fake, k kept) *World {
	w := &World{ZFS: f, dir: dir, clock: k.Clock, uuids: k.UUIDs}
	w.Host = &Host{w: w, hostState: k.Host, tmp: filepath.Join(dir, "tmp")}
	w.Boot = newBoot(w, k.Boot)
	w.Zones = &Zones{w: w, zonesState: k.Zones}
	f.Clock = func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.clock
	}
	f.Hook = func(verb string, _ int) error { return w.change("zfs " + verb) }
	return w
}

// change announces a change to Stop.
func (w *World) change(what string) error {
	w.mu.Lock()
	w.n++
	n, stop := w.n, w.Stop
	w.mu.Unlock()
	if stop == nil {
		return nil
	}
	return stop(what, n)
}

// Reset starts the count of changes anew and takes Stop away.
func (w *World) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n, w.Stop = 0, nil
}

// Changes is how many changes were announced since Reset.
func (w *World) Changes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// System is what a be.Manager works with. Time goes on by a second with each
// look at the clock, and UUIDs count, so that output can be compared.
func (w *World) System() be.System {
	return be.System{
		ZFS: w.ZFS, Boot: w.Boot, Host: w.Host, Zones: w.Zones,
		LockFile:   filepath.Join(w.dir, "run", "lock"),
		LogDir:     filepath.Join(w.dir, "log"),
		Command:    "snapbe",
		BeforeFile: func(what string) error { return w.change("file: " + what) },
		Now: func() time.Time {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.clock = w.clock.Add(time.Second)
			return w.clock
		},
		UUID: func() string {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.uuids++
			return fmt.Sprintf("00000000-0000-4000-8000-%012d", w.uuids)
		},
	}
}

// Reboot starts the BE that the menu has as its default, and does what snapbe's
// units do before any service starts.
func (w *World) Reboot() error {
	if err := w.Start(); err != nil {
		return err
	}
	for _, r := range []be.Request{be.ShareMount{}, be.Handover{Boot: true}, be.ZoneMount{}} {
		if _, err := be.New(w.System()).Do(ctx, r, be.Options{}); err != nil {
			return err
		}
	}
	return nil
}

// Start starts the BE that the menu has as its default, or the one on trial: what runs is then
// that one, nothing is mounted aside, and no lock is held.
func (w *World) Start() error {
	m, err := w.Boot.Read()
	if err != nil {
		return err
	}
	boots := cmp.Or(w.Boot.taken(m), m.Default)
	for _, e := range m.Entries {
		if e.UUID == boots {
			w.Host.Boot(e.Dataset)
			return nil
		}
	}
	return fmt.Errorf("the menu's default %q is no entry", m.Default)
}

// Save writes the world to its directory, for Load.
func (w *World) Save() error {
	if err := w.ZFS.Save(filepath.Join(w.dir, "pool.json")); err != nil {
		return err
	}
	b, err := json.MarshalIndent(kept{Host: w.Host.hostState, Boot: w.Boot.bootState, Zones: w.Zones.zonesState, Clock: w.clock, UUIDs: w.uuids}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, "host.json"), b, 0o644)
}

// Load reads a world that was saved in dir.
func Load(dir string) (*World, error) {
	f, err := zfsfake.Load(filepath.Join(dir, "pool.json"))
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "host.json"))
	if err != nil {
		return nil, err
	}
	var k kept
	if err := json.Unmarshal(b, &k); err != nil {
		return nil, err
	}
	return link(dir, f, k), nil
}

// LoadCopy reads a world that was saved in dir from a copy of it.
func LoadCopy(dir, to string) (*World, error) {
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		return nil, err
	}
	return Load(to)
}

// Directory is where the world's files are.
func (w *World) Directory() string { return w.dir }

// install lays the host out.
func (w *World) install(l Layout) {
	w.create("rpool/ROOT", zfs.Props{"canmount": "off", "mountpoint": "none"})
	w.create("rpool/ROOT/debian", zfs.Props{"canmount": "noauto", "mountpoint": "/"})
	w.create("rpool/home", zfs.Props{"mountpoint": "/home"})
	files := "rpool/ROOT/debian"
	boot := "boot"
	if l.Split {
		w.create("bpool/BOOT", zfs.Props{"canmount": "off", "mountpoint": "none"})
		w.create("bpool/BOOT/debian", zfs.Props{"mountpoint": "/boot"})
		files, boot = "bpool/BOOT/debian", "."
	}
	for _, n := range l.Nested {
		w.create("rpool/ROOT/debian/"+n, nil)
	}
	w.Put(files, filepath.Join(boot, "vmlinuz-6.12.1-amd64"), "kernel 6.12.1")
	w.Put(files, filepath.Join(boot, "initrd.img-6.12.1-amd64"), "initrd 6.12.1")
	w.Put(files, filepath.Join(boot, "grub/grub.cfg"), "# grub.cfg as grub-mkconfig wrote it\n")
	w.Put(files, filepath.Join(boot, "grub/i386-pc/core.img"), "core")
	w.Put("rpool/ROOT/debian", "etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\n")
	w.Put("rpool/ROOT/debian", "etc/default/grub", "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n")
	w.Put("rpool/ROOT/debian", "etc/fstab", "# what is mounted\nrpool/ROOT/debian/srv /srv zfs defaults 0 0\n/dev/vda2 /boot/efi vfat nofail 0 1\n")
	for _, unit := range []string{"local-fs.target.wants/snapbe-handover.service", "local-fs.target.wants/snapbe-share.service",
		"multi-user.target.wants/snapbe-confirm.service"} {
		w.Put("rpool/ROOT/debian", "etc/systemd/system/"+unit, "# as init enables it\n")
	}
	for _, dir := range []string{"boot", "mnt"} {
		if err := os.MkdirAll(filepath.Join(w.ZFS.Dir("rpool/ROOT/debian"), dir), 0o755); err != nil {
			panic(err)
		}
	}
	w.Host.Boot("rpool/ROOT/debian")
	if !l.Plain {
		w.adopt(l)
	}
}

func (w *World) create(name string, props zfs.Props) {
	if err := w.ZFS.Create(ctx, name, props); err != nil {
		panic(err)
	}
}

// Put writes a file of a dataset.
func (w *World) Put(dataset, name, text string) {
	p := filepath.Join(w.ZFS.Dir(dataset), name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		panic(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		panic(err)
	}
}

// File reads a file of a dataset; "" where there is none.
func (w *World) File(dataset, name string) string {
	b, _ := os.ReadFile(filepath.Join(w.ZFS.Dir(dataset), name))
	return string(b)
}

// adopt runs the real init, with the steps' clock and UUIDs as they come.
func (w *World) adopt(Layout) {
	if _, err := be.New(w.System()).Do(ctx, be.Init{}, be.Options{}); err != nil {
		panic(err)
	}
	w.Reset()
}

// SetClock sets the host's clock.
func (w *World) SetClock(now time.Time) { w.clock = now }
