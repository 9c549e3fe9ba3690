package bootloader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"snapbe/internal/command"
)

func TestInstall(t *testing.T) {
	g, run := testHost(t)
	for _, name := range []string{"boot.img", "zfs.mod", "normal.mod"} {
		require.NoError(t, os.WriteFile(filepath.Join(g.Lib, name), []byte(name+" 2"), 0o644))
	}
	run.answers["grub-install"] = func([]string) ([]byte, error) {
		for _, name := range []string{"boot.img", "zfs.mod", "normal.mod"} {
			require.NoError(t, os.WriteFile(filepath.Join(g.Dir, "i386-pc", name), []byte(name+" 2"), 0o644))
		}
		return nil, os.WriteFile(filepath.Join(g.Dir, "i386-pc/load.cfg"), []byte(loadConfig), 0o644)
	}
	install := "grub-install --target=i386-pc --no-bootsector --boot-directory=" + filepath.Dir(g.Dir) + " "
	setup := "grub-bios-setup --directory=" + filepath.Join(g.Dir, "i386-pc") + " "

	// The modules are on the pool before the first disk needs them, and are
	// not touched for the second.
	d := Device{Path: "/dev/vda", BIOSBoot: 2048}
	require.NoError(t, g.Install(t.Context(), d, testPool, "/GRUB@"))
	d.Path = "/dev/vdb"
	require.NoError(t, g.Install(t.Context(), d, testPool, "/GRUB@"))
	require.Equal(t, []string{install + "/dev/vda", "zpool sync", setup + "/dev/vda", setup + "/dev/vdb"}, run.ran)

	// A new version of the package has new modules.
	require.NoError(t, os.WriteFile(filepath.Join(g.Dir, "i386-pc/zfs.mod"), []byte("1"), 0o644))
	run.ran = nil
	require.NoError(t, g.Install(t.Context(), d, testPool, "/GRUB@"))
	require.Equal(t, []string{install + "/dev/vdb", "zpool sync", setup + "/dev/vdb"}, run.ran)

	// No disk is written to where grub-install made something else.
	run.ran = nil
	require.ErrorIs(t, g.Install(t.Context(), d, testPool, "/OTHER@"), ErrNotInstalled)
	require.Equal(t, []string{install + "/dev/vdb", "zpool sync"}, run.ran)
}

func TestInstallRefuses(t *testing.T) {
	g, run := testHost(t)
	require.ErrorIs(t, g.Install(t.Context(), Device{Path: "/dev/vdb"}, testPool, "/GRUB@"), ErrNoBIOSBoot)
	require.NoError(t, os.MkdirAll(filepath.Join(g.Sys, "firmware/efi"), 0o755))
	require.ErrorIs(t, g.Install(t.Context(), Device{Path: "/dev/vdb", BIOSBoot: 2048}, testPool, "/GRUB@"), ErrUEFI)
	require.Empty(t, run.ran)
}

const (
	testPool   = 0xabcdef0123456789
	testStart  = 4 // sectors
	loadConfig = "search.fs_uuid abcdef0123456789 root hd0,gpt3 hd1,gpt3 \nset prefix=($root)'/GRUB@'\n"
)

// installedDisk makes a disk image as grub-install leaves it, and what that
// leaves in GRUB's directory.
func installedDisk(t *testing.T, g *GRUB) (Device, []byte) {
	t.Helper()
	core := bytes.Repeat([]byte("core"), 1000)
	disk := make([]byte, testStart*sector+len(core)+3*sector)
	copy(disk[0x180:], "GRUB \x00Geom\x00Hard Disk")
	disk[signature], disk[signature+1] = 0x55, 0xaa
	binary.LittleEndian.PutUint64(disk[kernelSector:], testStart)
	copy(disk[testStart*sector:], core)
	// What differs by disk: the block list, and the redundancy's length.
	copy(disk[testStart*sector+sector-24:], "another list of blocks..")
	copy(disk[testStart*sector+redundancy:], "\x01\x02\x03\x04")
	images := filepath.Join(g.Dir, "i386-pc")
	require.NoError(t, os.WriteFile(filepath.Join(images, "core.img"), core, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(images, "load.cfg"),
		[]byte(loadConfig), 0o644))
	path := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(path, disk, 0o644))
	return Device{Path: path, BIOSBoot: testStart}, disk
}

func TestInstalled(t *testing.T) {
	cases := map[string]struct {
		change func(t *testing.T, g *GRUB, d *Device, disk []byte)
		want   string
	}{
		"installed": {func(*testing.T, *GRUB, *Device, []byte) {}, ""},
		"blank boot sector": {func(_ *testing.T, _ *GRUB, _ *Device, disk []byte) { clear(disk[:sector]) },
			"the boot sector is not GRUB's"},
		"points elsewhere": {func(_ *testing.T, _ *GRUB, _ *Device, disk []byte) { disk[kernelSector]++ },
			"points elsewhere"},
		"older core": {func(_ *testing.T, _ *GRUB, _ *Device, disk []byte) { disk[testStart*sector+3000]++ },
			"another core image"},
		"no partition": {func(_ *testing.T, _ *GRUB, d *Device, _ []byte) { d.BIOSBoot = 0 },
			"no BIOS boot partition"},
		"never installed": {func(t *testing.T, g *GRUB, _ *Device, _ []byte) {
			require.NoError(t, os.RemoveAll(filepath.Join(g.Dir, "i386-pc")))
		}, "there is no i386-pc/load.cfg"},
		"another pool": {func(t *testing.T, g *GRUB, _ *Device, _ []byte) {
			require.NoError(t, os.WriteFile(filepath.Join(g.Dir, "i386-pc/load.cfg"),
				[]byte("search.fs_uuid 1111111111111111 root\nset prefix=($root)'/GRUB@'\n"), 0o644))
		}, "another pool"},
		"another directory": {func(t *testing.T, g *GRUB, _ *Device, _ []byte) {
			require.NoError(t, os.WriteFile(filepath.Join(g.Dir, "i386-pc/load.cfg"),
				[]byte("search.fs_uuid abcdef0123456789 root\nset prefix=($root)'/ROOT/debian@/boot/grub'\n"), 0o644))
		}, "another directory than /GRUB@"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g, _ := testHost(t)
			d, disk := installedDisk(t, g)
			c.change(t, g, &d, disk)
			require.NoError(t, os.WriteFile(d.Path, disk, 0o644))
			err := g.Installed(d, testPool, "/GRUB@")
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrNotInstalled)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestCanRead(t *testing.T) {
	g, run := testHost(t)
	run.answers["grub-probe"] = says("zfs\n")
	require.NoError(t, g.CanRead(t.Context(), "/boot"))
	run.answers["grub-probe"] = says("ext2\n")
	require.ErrorContains(t, g.CanRead(t.Context(), "/boot"), "grub-probe finds ext2")
	run.answers["grub-probe"] = func(argv []string) ([]byte, error) {
		return nil, &command.Error{Argv: argv, Stderr: "grub-probe: error: unknown filesystem.\n", Code: 1, Err: errors.New("exit status 1")}
	}
	require.ErrorContains(t, g.CanRead(t.Context(), "/boot"), "unknown filesystem")
}
