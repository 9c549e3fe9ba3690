package bootloader

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"snapbe/internal/command"
)

// fakeRunner answers by the program's name, and keeps what was run.
type fakeRunner struct {
	answers map[string]func(argv []string) ([]byte, error)
	ran     []string
}

func (r *fakeRunner) Run(_ context.Context, c command.Cmd) ([]byte, error) {
	r.ran = append(r.ran, strings.Join(c.Argv, " "))
	answer := r.answers[c.Argv[0]]
	if answer == nil {
		return nil, &command.Error{Argv: c.Argv, Code: -1, Err: errors.New("not expected by the test")}
	}
	return answer(c.Argv)
}

func says(out string) func([]string) ([]byte, error) {
	return func([]string) ([]byte, error) { return []byte(out), nil }
}

// testHost is a host with two disks as the lab's machine has them. Its
// grub-mkconfig does what the real one does: it runs the hook.
func testHost(t *testing.T) (*GRUB, *fakeRunner) {
	t.Helper()
	dir := t.TempDir()
	g := &GRUB{Dir: filepath.Join(dir, "boot/grub"), Etc: filepath.Join(dir, "etc"), Sys: filepath.Join(dir, "sys"), Lib: filepath.Join(dir, "lib")}
	for _, sub := range []string{"boot/grub/i386-pc", "etc/grub.d", "sys/class/block", "lib"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
	}
	lsblk, err := os.ReadFile("testdata/lsblk.json")
	require.NoError(t, err)
	run := &fakeRunner{answers: map[string]func([]string) ([]byte, error){
		"lsblk":           says(string(lsblk)),
		"zpool":           says(""),
		"grub-bios-setup": says(""),
		"grub-mkconfig": func(argv []string) ([]byte, error) {
			text := "### BEGIN /etc/grub.d/00_header ###\nset default=\"0\"\n"
			if info, err := os.Stat(g.hookPath()); err == nil && info.Mode()&0o111 != 0 {
				out, err := command.Exec{}.Run(t.Context(), command.Cmd{Argv: []string{"sh", g.hookPath()}})
				require.NoError(t, err)
				text += string(out)
			}
			return nil, os.WriteFile(argv[2], []byte(text), 0o644)
		},
		"grub-script-check": func(argv []string) ([]byte, error) {
			return command.Exec{}.Run(t.Context(), command.Cmd{Argv: argv})
		},
	}}
	g.Runner = run
	return g, run
}

func TestHook(t *testing.T) {
	g, run := testHost(t)
	require.False(t, g.Hooked())
	changed, err := g.Hook(t.Context())
	require.NoError(t, err)
	require.True(t, changed)
	require.True(t, g.Hooked())
	require.Equal(t, []string{"grub-mkconfig -o " + g.configPath() + ".snapbe-new", "zpool sync"}, run.ran)
	info, err := os.Stat(g.hookPath())
	require.NoError(t, err)
	require.EqualValues(t, 0o755, info.Mode().Perm())
	config, err := os.ReadFile(g.configPath())
	require.NoError(t, err)
	scriptCheck(t, config)

	changed, err = g.Hook(t.Context())
	require.NoError(t, err)
	require.False(t, changed)
	require.Len(t, run.ran, 2, "a grub.cfg that has the line is left alone")
}

func TestHookLeavesTheAdministratorsScript(t *testing.T) {
	g, _ := testHost(t)
	own := append([]byte("#!/bin/sh\n# mine\n"), HookScript...)
	require.NoError(t, os.WriteFile(g.hookPath(), own, 0o755))
	_, err := g.Hook(t.Context())
	require.NoError(t, err)
	got, err := os.ReadFile(g.hookPath())
	require.NoError(t, err)
	require.Equal(t, own, got)
}

func TestHookRefuses(t *testing.T) {
	t.Run("not executable", func(t *testing.T) {
		g, run := testHost(t)
		require.NoError(t, os.WriteFile(g.hookPath(), HookScript, 0o644))
		_, err := g.Hook(t.Context())
		require.ErrorContains(t, err, "is not executable")
		require.Empty(t, run.ran)
	})
	// The grub.cfg that is there stays, whatever becomes of the new one.
	old := []byte("# what boots now\n")
	kept := func(t *testing.T, g *GRUB) {
		text, err := os.ReadFile(g.configPath())
		require.NoError(t, err)
		require.Equal(t, old, text)
		beside, err := filepath.Glob(g.configPath() + "?*")
		require.NoError(t, err)
		require.Empty(t, beside)
	}
	t.Run("script without the line", func(t *testing.T) {
		g, _ := testHost(t)
		require.NoError(t, os.WriteFile(g.configPath(), old, 0o644))
		require.NoError(t, os.WriteFile(g.hookPath(), []byte("#!/bin/sh\n"), 0o755))
		_, err := g.Hook(t.Context())
		require.ErrorIs(t, err, ErrNotSourced)
		kept(t, g)
	})
	t.Run("grub-mkconfig fails", func(t *testing.T) {
		g, run := testHost(t)
		require.NoError(t, os.WriteFile(g.configPath(), old, 0o644))
		run.answers["grub-mkconfig"] = func(argv []string) ([]byte, error) {
			require.NoError(t, os.WriteFile(argv[2], []byte("half"), 0o644))
			return nil, &command.Error{Argv: argv, Code: 1, Err: errors.New("exit status 1")}
		}
		_, err := g.Hook(t.Context())
		require.ErrorContains(t, err, "exit status 1")
		kept(t, g)
	})
}

// leafOf makes a link to a device of the recorded lsblk, as /dev/disk/by-id is.
func leafOf(t *testing.T, kname string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, kname), nil, 0o644))
	link := filepath.Join(dir, "virtio-disk-part")
	require.NoError(t, os.Symlink(kname, link))
	return link
}

func sysfs(t *testing.T, g *GRUB, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(g.Sys, "class/block", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o644))
	}
}

func TestDisks(t *testing.T) {
	g, run := testHost(t)
	sysfs(t, g, map[string]string{
		"vda3/partition": "3", "vda1/start": "2048", "vda2/partition": "2",
		"vdb3/partition": "3", "vdb1/start": "2048",
		"nvme0n1p2/partition": "2", "sdc2/partition": "2",
	})
	got, err := g.Devices(t.Context(), []string{leafOf(t, "vdb3"), leafOf(t, "vda3"), leafOf(t, "nvme0n1p2"), leafOf(t, "sdc2"), leafOf(t, "vda2")})
	require.NoError(t, err)
	require.Equal(t, []Device{
		{Disk{"vdb", "7d1f2a3c-0002-4cc5-8f4e-9a3e5f0d1b22", 3, "5BE0-0002"}, "/dev/vdb", 2048},
		{Disk{"vda", "7d1f2a3c-0001-4cc5-8f4e-9a3e5f0d1b22", 3, "5BE0-0001"}, "/dev/vda", 2048},
		{Disk{"nvme0n1", "7d1f2a3c-0003-4cc5-8f4e-9a3e5f0d1b22", 2, "AB12-CD34"}, "/dev/nvme0n1", 0},
		{Disk{"sdc", "7d1f2a3c-0004-4cc5-8f4e-9a3e5f0d1b22", 2, ""}, "/dev/sdc", 0},
	}, got)
	require.Len(t, run.ran, 1, "one process, however many disks")

	disks, err := g.Disks(t.Context(), []string{leafOf(t, "vda3")})
	require.NoError(t, err)
	require.Equal(t, []Disk{got[1].Disk}, disks)
}

func TestDisksRefuses(t *testing.T) {
	g, run := testHost(t)
	cases := map[string]struct {
		kname, want string
		err         error
	}{
		"whole disk": {"sdb", "a whole disk has no room for GRUB", ErrNoPartition},
		"encrypted":  {"dm-0", "type crypt", ErrNoPartition},
		"msdos":      {"sdd1", "type part of dos", ErrNoPartition},
		"unknown":    {"sdz1", "no block device", nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			leaf := leafOf(t, c.kname)
			_, err := g.Disks(t.Context(), []string{leaf})
			require.ErrorContains(t, err, leaf+": ")
			require.ErrorContains(t, err, c.want)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
			}
		})
	}
	_, err := g.Disks(t.Context(), []string{"/nonexistent/vda3"})
	require.ErrorIs(t, err, os.ErrNotExist)
	run.answers["lsblk"] = says("lsblk: unknown column\n")
	_, err = g.Disks(t.Context(), nil)
	require.ErrorContains(t, err, "lsblk: ")
}

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

// TestCheck holds that a sound menu has no problems, and each unsound thing
// its own.
func TestCheck(t *testing.T) {
	m := menus()["two"]
	kernel, initrd := m.Entries[0].Kernel, m.Entries[0].Initrd
	cases := map[string]struct {
		change func(t *testing.T, g *GRUB, m *Menu, files map[string]string)
		want   []Problem
	}{
		"sound": {func(*testing.T, *GRUB, *Menu, map[string]string) {}, nil},
		"kernel gone": {func(_ *testing.T, _ *GRUB, _ *Menu, files map[string]string) {
			delete(files, "boot/"+kernel)
		}, []Problem{{BE: "2026-11", Text: kernel + ": no such file"}, {BE: "debian", Text: kernel + ": no such file"}}},
		"empty initrd": {func(_ *testing.T, _ *GRUB, _ *Menu, files map[string]string) {
			files["boot/"+initrd] = ""
		}, []Problem{{BE: "2026-11", Text: initrd + " is empty"}, {BE: "debian", Text: initrd + " is empty"}}},
		"other state": {func(_ *testing.T, _ *GRUB, m *Menu, _ map[string]string) {
			m.Default, m.Previous = m.Previous, m.Default
		}, []Problem{{Text: "is not what follows from the pool's state"}}},
		"fragment gone": {func(t *testing.T, g *GRUB, _ *Menu, _ map[string]string) {
			require.NoError(t, os.Remove(g.fragmentPath()))
		}, []Problem{{Text: "snapbe.cfg: no such file"}}},
		"broken grub.cfg": {func(t *testing.T, g *GRUB, _ *Menu, _ map[string]string) {
			require.NoError(t, os.WriteFile(g.configPath(), append([]byte("menuentry {\n"), HookScript...), 0o644))
		}, []Problem{{Text: "syntax error"}}},
		"line gone": {func(t *testing.T, g *GRUB, _ *Menu, _ map[string]string) {
			require.NoError(t, os.WriteFile(g.configPath(), []byte("set timeout=5\n"), 0o644))
		}, []Problem{{Text: "grub.cfg does not read snapbe.cfg"}}},
		"grub.cfg gone": {func(t *testing.T, g *GRUB, _ *Menu, _ map[string]string) {
			require.NoError(t, os.Remove(g.configPath()))
		}, []Problem{{Text: "grub.cfg: no such file"}}},
		"other default": {func(t *testing.T, g *GRUB, _ *Menu, _ map[string]string) {
			f, err := os.OpenFile(g.configPath(), os.O_APPEND|os.O_WRONLY, 0)
			require.NoError(t, err)
			defer f.Close()
			_, err = f.WriteString("set default=3\n")
			require.NoError(t, err)
		}, []Problem{{Text: "chooses another default after snapbe's: set default=3"}}},
		"hook off": {func(t *testing.T, g *GRUB, _ *Menu, _ map[string]string) {
			require.NoError(t, os.Chmod(g.hookPath(), 0o644))
		}, []Problem{{Text: "is not executable"}}},
		"one-shot": {func(t *testing.T, g *GRUB, _ *Menu, _ map[string]string) {
			env := "# GRUB Environment Block\nsaved_entry=0\nnext_entry=2\n####"
			require.NoError(t, os.WriteFile(filepath.Join(g.Dir, "grubenv"), []byte(env), 0o644))
		}, []Problem{{Text: `grub-reboot chose "2", which has no effect`}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g, _ := testHost(t)
			m := menus()["two"]
			_, err := g.Write(m)
			require.NoError(t, err)
			_, err = g.Hook(t.Context())
			require.NoError(t, err)
			files := map[string]string{"boot/" + kernel: "k", "boot/" + initrd: "i"}
			c.change(t, g, &m, files)
			root := tree(t, files)
			got := g.Check(t.Context(), m, func(_ Entry, f func(*os.Root, string) error) error { return f(root, "/boot") })
			require.Len(t, got, len(c.want), "%v", got)
			for i, p := range c.want {
				require.Equal(t, p.BE, got[i].BE)
				require.Contains(t, got[i].Text, p.Text)
				require.NotContains(t, got[i].Text, "\n")
			}
		})
	}
}

func TestCheckTellsOfTreesThatDoNotOpen(t *testing.T) {
	g, _ := testHost(t)
	m := menus()["one"]
	_, err := g.Write(m)
	require.NoError(t, err)
	_, err = g.Hook(t.Context())
	require.NoError(t, err)
	got := g.Check(t.Context(), m, func(Entry, func(*os.Root, string) error) error { return errors.New("mount: busy") })
	require.Equal(t, []Problem{{BE: "debian", Text: "mount: busy", Hint: updateHint}}, got)
}
