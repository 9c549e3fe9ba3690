package be_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/bootloader"
	"snapbe/internal/mount"
	"snapbe/internal/zfs"
)

// fullDisk is a boot loader whose disks have no place for it.
type fullDisk struct{ be.Bootloader }

func (fullDisk) Installable(d bootloader.Device) error {
	return fmt.Errorf("%s: %w", d.Path, bootloader.ErrNoBIOSBoot)
}

// lostDisks is one that finds none of the disks.
type lostDisks struct{ be.Bootloader }

func (lostDisks) Devices(context.Context, []string) ([]bootloader.Device, error) {
	return nil, errors.New("no disk of the pool was found")
}

// A host that cannot be served is told why and what would help, and nothing is
// changed.
func TestInitRefused(t *testing.T) {
	const layout = "the root file system must be a dataset POOL/ROOT/NAME, as the OpenZFS guides for Debian and Ubuntu make it"
	for _, c := range []struct {
		name    string
		split   bool
		arrange func(t *testing.T, w *betest.World, s *be.System)
		want    refusal
	}{
		{"root not on ZFS", false, func(_ *testing.T, w *betest.World, _ *be.System) { w.Host.Running = "" },
			refusal{be.Failed, "adopt this host: / is not on ZFS", layout}},
		{"root is the pool", false, func(_ *testing.T, w *betest.World, _ *be.System) { w.Host.Running = "rpool" },
			refusal{be.Failed, "adopt this host: / is rpool", layout}},
		{"root just below the pool", false, func(_ *testing.T, w *betest.World, _ *be.System) { w.Host.Running = "rpool/debian" },
			refusal{be.Failed, "adopt this host: / is rpool/debian", layout}},
		{"another container", false, func(_ *testing.T, _ *betest.World, s *be.System) { s.Root = "rpool/OTHER" },
			refusal{be.Failed, "adopt this host: / is rpool/ROOT/debian, which is not in rpool/OTHER", "leave -r out"}},
		{"/boot on ext4", false, func(_ *testing.T, w *betest.World, _ *be.System) {
			w.Host.Mounted = append(w.Host.Mounted, mount.Mounted{Dataset: "/dev/vda2", Root: "/", Dir: "/boot", FSType: "ext4"})
		}, refusal{be.Failed, "adopt this host: /boot is on ext4, not on ZFS",
			"move /boot into the root dataset, or onto a ZFS boot pool: a boot environment must hold its own kernels"}},
		{"/boot is a nested dataset", false, func(t *testing.T, w *betest.World, _ *be.System) {
			create(t, w, "rpool/ROOT/debian/boot", zfs.Props{"canmount": "noauto"})
			require.NoError(t, w.Host.Attach(tree("rpool/ROOT/debian/boot"), "/boot"))
		}, refusal{be.Failed, "adopt this host: /boot is a dataset below the root dataset, rpool/ROOT/debian/boot, where the menu would not look for kernels",
			"copy its files into /boot of rpool/ROOT/debian and destroy it, or move it to a boot pool, as BPOOL/BOOT/debian"}},
		{"GRUB's directory on ext4", false, func(_ *testing.T, w *betest.World, _ *be.System) {
			w.Host.Mounted = append(w.Host.Mounted, mount.Mounted{Dataset: "/dev/vda2", Root: "/", Dir: "/boot/grub", FSType: "ext4"})
		}, refusal{be.Failed, "adopt this host: /boot/grub is on ext4, not on ZFS",
			"unmount it, and have GRUB's files in /boot/grub on the pool"}},
		{"no GRUB", false, func(_ *testing.T, w *betest.World, _ *be.System) { w.Host.NoGRUB = true },
			refusal{be.Failed, "adopt this host: GRUB is not installed", "apt-get install grub2-common grub-pc-bin"}},
		{"GRUB cannot read", false, func(_ *testing.T, w *betest.World, _ *be.System) { w.Boot.Unreadable = "unknown filesystem" },
			refusal{be.Failed, "adopt this host: GRUB cannot read the pool that /boot is on: unknown filesystem",
				"GRUB reads only pools that were made with compatibility=grub2, not encrypted; put /boot on one of its own (bpool), as the guides do"}},
		{"the dataset's name is taken", false, func(t *testing.T, w *betest.World, _ *be.System) {
			create(t, w, "rpool/GRUB", zfs.Props{"mountpoint": "none"})
		}, refusal{be.Exists, "adopt this host: the dataset rpool/GRUB, where GRUB's directory would go, exists",
			"zfs rename it, or destroy it if nothing needs it"}},
		{"the names differ", true, func(t *testing.T, w *betest.World, _ *be.System) {
			require.NoError(t, w.ZFS.Rename(t.Context(), "bpool/BOOT/debian", "bpool/BOOT/other"))
			for i := range w.Host.Mounted {
				if w.Host.Mounted[i].Dir == "/boot" {
					w.Host.Mounted[i].Dataset = "bpool/BOOT/other"
				}
			}
		}, refusal{be.Failed, "adopt this host: the boot dataset bpool/BOOT/other and the root dataset rpool/ROOT/debian must have the same last name",
			"zfs rename bpool/BOOT/other bpool/BOOT/debian"}},
		{"no kernel", false, func(t *testing.T, w *betest.World, _ *be.System) {
			removeKernel(t, w, "debian", "vmlinuz-6.12.1-amd64")
		},
			refusal{be.Failed, "adopt this host: no kernel in /boot",
				"apt-get install --reinstall linux-image-amd64 puts a kernel and initrd there"}},
		{"no room on a disk", false, func(_ *testing.T, w *betest.World, s *be.System) { s.Boot = fullDisk{w.Boot} },
			refusal{be.Failed, "adopt this host: /dev/vda: no BIOS boot partition (type EF02) for GRUB's core image",
				"sgdisk -a1 -n0:24K:+1000K -t0:EF02 /dev/vda makes a BIOS boot partition where there is room"}},
		{"no disk", false, func(_ *testing.T, w *betest.World, s *be.System) { s.Boot = lostDisks{w.Boot} },
			refusal{be.Failed, "adopt this host: no disk of the pool was found",
				"each disk of the boot pool's mirror needs a GPT with a BIOS boot partition"}},
		{"not root", false, func(_ *testing.T, w *betest.World, _ *be.System) { w.Host.User = true },
			refusal{be.Denied, "change boot environments: only root may do that", "run it as root, or with sudo"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := betest.New(t.TempDir(), betest.Layout{Split: c.split, Plain: true})
			sys := w.System()
			c.arrange(t, w, &sys)
			before := w.Capture()
			_, err := be.New(sys).Do(t.Context(), be.Init{}, be.Options{})
			require.Error(t, err)
			assertRefusal(t, c.want, err)
			same(t, before, w.Capture())
			assert.False(t, w.Host.Enabled || w.Host.Config)
		})
	}
}

func TestInitTwice(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		before := w.Capture()
		res := do(t, w, be.Init{})
		assert.Empty(t, res.Plan.Steps)
		same(t, before, w.Capture())
		assert.Empty(t, status(t, w).Problems)
	})
}

// What was undone by hand, init mends, and nothing else.
func TestInitMends(t *testing.T) {
	for _, c := range []struct {
		name    string
		arrange func(t *testing.T, w *betest.World)
		steps   []string
	}{
		{"a dataset that mounts by itself", func(t *testing.T, w *betest.World) {
			set(t, w, "rpool/ROOT/debian/opt", zfs.Props{"canmount": "on"})
		}, []string{"set canmount=noauto on boot environments"}},
		{"the hook", func(t *testing.T, w *betest.World) { w.Put(status(t, w).Grub, "grub.cfg", "# plain") },
			[]string{"see that grub.cfg shows snapbe's menu"}},
		{"the menu", func(t *testing.T, w *betest.World) { w.Put(status(t, w).Grub, "snapbe.cfg", "# broken") },
			[]string{"write the boot menu"}},
		{"a disk", func(_ *testing.T, w *betest.World) { w.Boot.On["vdb"] = "/other" }, []string{"install GRUB on every disk"}},
		{"the units", func(_ *testing.T, w *betest.World) { w.Host.Enabled = false }, []string{"enable snapbe's units"}},
		{"the configuration", func(_ *testing.T, w *betest.World) { w.Host.Config = false }, []string{"write the default configuration"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachLayout(t, func(t *testing.T, w *betest.World) {
				before := w.Capture()
				c.arrange(t, w)
				assert.Equal(t, c.steps, do(t, w, be.Init{}).Plan.Steps)
				same(t, before, w.Capture())
				assert.Empty(t, do(t, w, be.Init{}).Plan.Steps)
			})
		})
	}
}

// Ubuntu has GRUB's directory on a dataset of its own: it stays there.
func TestInitUbuntu(t *testing.T) {
	w := betest.New(t.TempDir(), betest.Layout{Split: true, Plain: true, Nested: []string{"var", "var/lib"}})
	create(t, w, "bpool/grub", zfs.Props{"mountpoint": "/boot/grub"})
	w.Put("bpool/grub", "grub.cfg", "# grub.cfg of Ubuntu\n")
	require.NoError(t, w.Host.Attach(tree("bpool/grub"), "/boot/grub"))
	res := do(t, w, be.Init{})
	assert.NotContains(t, res.Plan.Steps, "make a dataset for GRUB's directory and copy it there")
	s := status(t, w)
	assert.Equal(t, "bpool/grub", s.Grub)
	assert.Empty(t, s.Problems)
	assert.Empty(t, do(t, w, be.Init{}).Plan.Steps)
	do(t, w, be.Create{Name: "be-2", Activate: true})
	require.NoError(t, w.Reboot())
	assert.Equal(t, "rpool/ROOT/be-2", w.Host.Running)
}

// A disk that is away is named, and the others are served.
func TestInitWithoutADisk(t *testing.T) {
	w := betest.New(t.TempDir(), betest.Layout{Plain: true})
	w.ZFS.SetLeaves("rpool", zfs.Leaf{Path: "/dev/vda3", State: "ONLINE", Mirror: "mirror-0"},
		zfs.Leaf{Path: "/dev/vdb3", State: "UNAVAIL", Mirror: "mirror-0"})
	res := do(t, w, be.Init{})
	assert.Contains(t, res.Plan.Notes, "left out: /dev/vdb3 is UNAVAIL; once it is back: snapbe boot install")
	assert.NotContains(t, res.Plan.Notes, "GRUB is installed on /dev/vdb")
	assert.Equal(t, map[string]string{"vda": "/GRUB@"}, w.Boot.On)
	assert.NotEmpty(t, w.File("rpool/ROOT/debian", "boot/grub/grub.cfg"), "the absent disk still boots by it")
	assert.Equal(t, []string{"disk vdb3 is UNAVAIL"}, status(t, w).Problems)
}

// uefi is the boot loader of a host that boots by UEFI.
type uefi struct{ be.Bootloader }

func (uefi) Installable(bootloader.Device) error { return bootloader.ErrUEFI }

// No partition, and no package, would help there.
func TestInitUEFI(t *testing.T) {
	w := betest.New(t.TempDir(), betest.Layout{Plain: true})
	w.Host.NoGRUB = true
	before := w.Capture()
	sys := w.System()
	sys.Boot = uefi{w.Boot}
	_, err := be.New(sys).Do(t.Context(), be.Init{}, be.Options{})
	assertRefusal(t, refusal{be.Failed, "adopt this host: the host boots by UEFI; snapbe installs GRUB for BIOS only",
		"nothing was changed; only hosts that boot by BIOS (legacy boot) are served yet"}, err)
	same(t, before, w.Capture())
}

// Before init, what would change things says that it is to come first.
func TestNotAdopted(t *testing.T) {
	w := betest.New(t.TempDir(), betest.Layout{Plain: true})
	for text, r := range map[string]be.Request{
		`create "x"`:                be.Create{Name: "x"},
		"create a boot environment": be.Create{},
		`activate "debian"`:         be.Activate{Name: "debian"},
		"fail back":                 be.Failback{},
		`destroy "debian"`:          be.Destroy{Name: "debian"},
		`rename "debian"`:           be.Rename{From: "debian", To: "x"},
		`roll back to "debian@x"`:   be.Rollback{Name: "debian@x"},
		"update the boot menu":      be.BootUpdate{},
		"install GRUB":              be.BootInstall{},
	} {
		refused(t, w, r, refusal{be.Failed, text + ": snapbe has not adopted this host yet",
			"snapbe init --dry-run shows what adopting this host changes; snapbe init does it"})
	}
	assert.Equal(t, []string{"debian"}, names(t, w), "listing needs no init")
	assert.Equal(t, []string{"this host is not adopted yet: snapbe init"}, status(t, w).Problems)
}

// What lies beside the boot environments is mounted as before.
func TestInitLeavesOtherDatasetsAlone(t *testing.T) {
	w := betest.New(t.TempDir(), betest.Layout{Split: true, Plain: true})
	create(t, w, "rpool/ROOT/data", zfs.Props{"mountpoint": "/srv/data"})
	create(t, w, "bpool/BOOT/debian/x", nil)
	res := do(t, w, be.Init{})
	assert.Equal(t, "on", props(t, w, "rpool/ROOT/data", "canmount")["canmount"].Value)
	assert.Equal(t, "noauto", props(t, w, "bpool/BOOT/debian/x", "canmount")["canmount"].Value)
	assert.Contains(t, res.Plan.Notes, "canmount=noauto goes to bpool/BOOT/debian/x")
	assert.NotContains(t, fmt.Sprint(res.Plan.Notes), "ROOT/data")
	assert.Empty(t, do(t, w, be.Init{}).Plan.Steps)
}
