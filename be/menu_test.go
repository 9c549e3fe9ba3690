package be_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/bootloader"
	"snapbe/internal/zfs"
)

// The menu follows from the pool alone: written anew it is the same, byte for
// byte, whatever was done before.
func TestMenuIsDerived(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "a", Description: "the first"})
		do(t, w, be.Create{Name: "b"})
		do(t, w, be.Activate{Name: "a"})
		require.NoError(t, w.Reboot())
		do(t, w, be.Rename{From: "b", To: "c"})
		do(t, w, be.Destroy{Name: "c"})
		text := w.Boot.Text()
		do(t, w, be.BootUpdate{})
		assert.Equal(t, text, w.Boot.Text())
		for _, broken := range []string{"", "nonsense", text[:len(text)/2]} {
			w.Put(status(t, w).Grub, "snapbe.cfg", broken)
			assert.NotEmpty(t, status(t, w).Problems)
			do(t, w, be.BootUpdate{})
			assert.Equal(t, text, w.Boot.Text())
		}
	})
}

// A menu that cannot be read does not stop other operations.
func TestMenuUnreadable(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		w.Put(status(t, w).Grub, "snapbe.cfg", "nonsense")
		do(t, w, be.Create{Name: "a"})
		_, err := w.Boots()
		require.NoError(t, err)
	})
}

func TestCheck(t *testing.T) {
	check := func(w *betest.World) []be.Problem {
		p, err := be.New(w.System()).Check(t.Context())
		require.NoError(t, err)
		return p
	}
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "a"})
		assert.Empty(t, check(w))
		removeKernel(t, w, "a", "vmlinuz-6.12.1-amd64")
		assert.Contains(t, check(w), be.Problem{Text: `"a" is not in the menu: no kernel in /boot`})
		do(t, w, be.BootUpdate{})
		w.Boot.On["vdb"] = "/other"
		assert.Contains(t, check(w), be.Problem{Text: `/dev/vdb: GRUB is not installed: it reads "/other"`, Hint: "snapbe boot install"})
		do(t, w, be.BootInstall{})
		assert.Equal(t, w.Boot.On["vda"], w.Boot.On["vdb"])
		assert.Equal(t, []string{"yes", "yes"}, boots(t, w))
	})
}

// A disk that was pulled a moment ago keeps no new kernel from the menu.
func TestMenuWithoutTheDisks(t *testing.T) {
	w := onePool(t)
	do(t, w, be.BootUpdate{})
	require.Contains(t, w.Boot.Text(), "vdb")
	w.Boot.NoDisks = errors.New("/dev/vdb3: no block device")
	w.Put("rpool/ROOT/debian", "boot/vmlinuz-6.12.9-amd64", "kernel")
	w.Put("rpool/ROOT/debian", "boot/initrd.img-6.12.9-amd64", "initrd")
	res := do(t, w, be.BootUpdate{})
	assert.Equal(t, []string{"the entries for single disks stay as they were: /dev/vdb3: no block device"}, res.Notes)
	assert.Contains(t, w.Boot.Text(), "vmlinuz-6.12.9-amd64")
	assert.Contains(t, w.Boot.Text(), "vdb")
}

func boots(t *testing.T, w *betest.World) (all []string) {
	for _, d := range status(t, w).Disks {
		all = append(all, d.Boots)
	}
	return all
}

func TestStatus(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "a"})
		do(t, w, be.Activate{Name: "a"})
		s := status(t, w)
		assert.Equal(t, []string{"debian", "a", "debian"}, []string{s.Running, s.Default, s.Previous})
		assert.Empty(t, s.Problems)
		assert.True(t, s.Adopted)
		assert.Empty(t, s.Pending+s.Busy)
		pool := zfs.PoolOf(s.Grub)
		w.ZFS.SetLeaves(pool, zfs.Leaf{Path: "/dev/vda3", State: "ONLINE", Resilvering: true, Mirror: "mirror-0"},
			zfs.Leaf{Path: "/dev/vdb3", State: "FAULTED", Mirror: "mirror-0"}, zfs.Leaf{Path: "/dev/vdc3", State: "ONLINE", Class: "logs"})
		s = status(t, w)
		assert.Equal(t, []string{"disk vda3 is being resilvered; boot from the other one until that is done", "disk vdb3 is FAULTED"}, s.Problems)
		require.Len(t, s.Disks, 2, "a log device boots nothing")
		assert.Equal(t, be.DiskStatus{Leaf: "/dev/vdb3", Disk: "vdb3", State: "FAULTED", Boots: "no"}, s.Disks[1])
		res := do(t, w, be.BootInstall{})
		assert.Equal(t, []string{"left out: /dev/vdb3 is FAULTED"}, res.Plan.Notes)
	})
}

// The default was destroyed with plain zfs.
func TestDefaultHasGone(t *testing.T) {
	w := onePool(t)
	do(t, w, be.Create{Name: "a"})
	do(t, w, be.Activate{Name: "a"})
	gone := slices.DeleteFunc(w.ZFS.Names(), func(name string) bool { return !strings.HasPrefix(name, "rpool/ROOT/a") })
	slices.SortFunc(gone, func(a, b string) int { return len(b) - len(a) }) // snapshots first
	require.NoError(t, w.ZFS.Destroy(t.Context(), zfs.Removal{Datasets: gone}))
	assert.Equal(t, []string{"the default boot environment has gone: snapbe activate NAME"}, status(t, w).Problems)
	res := do(t, w, be.Create{Name: "b"})
	assert.Equal(t, []string{`what is to boot next is not in the menu, which boots "debian" instead: snapbe activate NAME chooses`}, res.Notes)
	require.NoError(t, w.Reboot())
	assert.Equal(t, "rpool/ROOT/debian", w.Host.Running)
	do(t, w, be.Activate{Name: "debian"})
	assert.Empty(t, status(t, w).Problems)
	chosen(t, w)
}

// A disk's leaf that GRUB's tools cannot place must not stop status.
type blind struct{ be.Bootloader }

func (blind) Devices(context.Context, []string) ([]bootloader.Device, error) {
	return nil, os.ErrPermission
}

func TestStatusWithoutDisks(t *testing.T) {
	w := onePool(t)
	sys := w.System()
	sys.Boot = blind{w.Boot}
	s, err := be.New(sys).Status(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "unknown", s.Disks[0].Boots)
	assert.Equal(t, []string{"leaf /dev/vda3: permission denied", "leaf /dev/vdb3: permission denied"}, s.Problems)
}
