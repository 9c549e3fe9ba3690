package bootloader

import (
	"context"
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
		"vdb2/partition": "2", "nvme0n1p9/partition": "9",
	})
	got, err := g.Devices(t.Context(), []string{leafOf(t, "vdb3"), leafOf(t, "vda3"), leafOf(t, "nvme0n1p2"), leafOf(t, "sdc2"), leafOf(t, "vda2")})
	require.NoError(t, err)
	require.Equal(t, []Device{
		{Disk{"vdb", "7d1f2a3c-0002-4cc5-8f4e-9a3e5f0d1b22", 3, "5BE0-0002",
			"0d7e1c11-0004-4a53-9d60-0d4e0b8a1c01", 2}, "/dev/vdb", 2048, "/dev/vdb2"},
		{Disk{"vda", "7d1f2a3c-0001-4cc5-8f4e-9a3e5f0d1b22", 3, "5BE0-0001",
			"0d7e1c11-0002-4a53-9d60-0d4e0b8a1c01", 2}, "/dev/vda", 2048, "/dev/vda2"},
		{Disk{"nvme0n1", "7d1f2a3c-0003-4cc5-8f4e-9a3e5f0d1b22", 2, "AB12-CD34",
			"0d7e1c11-0006-4a53-9d60-0d4e0b8a1c01", 9}, "/dev/nvme0n1", 0, "/dev/nvme0n1p9"},
		{Disk{"sdc", "7d1f2a3c-0004-4cc5-8f4e-9a3e5f0d1b22", 2, "", "", 0}, "/dev/sdc", 0, ""},
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
