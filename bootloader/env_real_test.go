//go:build linux && realfat

package bootloader

import (
	"encoding/binary"
	"io/fs"
	"os"
	"os/exec" //nolint:depguard // the tests are their own programs
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// These run as root on a host whose kernel has vfat, in a virtual machine; see
// package e2e.

// makeFAT makes an empty FAT12 of 1 MiB, which needs no mkfs.fat.
func makeFAT(t *testing.T, path string) {
	t.Helper()
	image := make([]byte, 1<<20)
	copy(image, "\xeb\x3c\x90MSDOS5.0")
	put := func(at int, v uint16) { binary.LittleEndian.PutUint16(image[at:], v) }
	put(11, sector)
	image[13] = 1 // sectors in a cluster
	put(14, 1)    // sectors before the first FAT
	image[16] = 2 // FATs
	put(17, 512)  // entries of the top directory
	put(19, 2048) // sectors
	image[21] = 0xf8
	put(22, 6) // sectors of a FAT
	image[38] = 0x29
	copy(image[43:], "SNAPBE     FAT12   ")
	put(510, 0xaa55)
	for _, sectors := range []int{1, 7} {
		copy(image[sectors*sector:], "\xf8\xff\xff")
	}
	require.NoError(t, os.WriteFile(path, image, 0o600))
}

func onHost(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	require.NoError(t, err, "%v: %s", argv, out)
	return strings.TrimSpace(string(out))
}

func loop(t *testing.T, options ...string) Device {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	makeFAT(t, image)
	dev := onHost(t, append(append([]string{"losetup", "--find", "--show"}, options...), image)...)
	t.Cleanup(func() { onHost(t, "losetup", "-d", dev) })
	return Device{Disk: Disk{Name: "vdz"}, Env: dev}
}

func TestRealEnv(t *testing.T) {
	g, d := &GRUB{}, loop(t)
	before := onHost(t, "cat", "/proc/self/mountinfo")
	_, err := g.ReadEnv(t.Context(), d)
	require.ErrorIs(t, err, fs.ErrNotExist)
	for _, e := range envs() {
		require.NoError(t, g.WriteEnv(t.Context(), d, e))
		got, err := g.ReadEnv(t.Context(), d)
		require.NoError(t, err)
		require.Equal(t, e, got)
	}
	require.Equal(t, before, onHost(t, "cat", "/proc/self/mountinfo"))

	// Where an update writes, nothing but the file's own data changes.
	image := func() []byte {
		text, err := os.ReadFile(d.Env)
		require.NoError(t, err)
		return text
	}
	was := image()
	require.NoError(t, g.WriteEnv(t.Context(), d, Env{Generation: 99}))
	var changed []int
	for i, b := range image() {
		if b != was[i] && (len(changed) == 0 || changed[len(changed)-1] != i/sector) {
			changed = append(changed, i/sector)
		}
	}
	require.NotEmpty(t, changed)
	data := 1 + 2*6 + 32 // the sectors before the first cluster
	for _, n := range changed {
		require.True(t, n >= data || n > 12, "sector %d: neither boot sector nor FAT", n)
	}
}

func TestRealEnvMountedElsewhere(t *testing.T) {
	g, d, at := &GRUB{}, loop(t), t.TempDir()
	onHost(t, "mount", "-t", "vfat", d.Env, at)
	require.NoError(t, g.WriteEnv(t.Context(), d, Env{Trial: uuid1}))
	got, err := g.ReadEnv(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, Env{Trial: uuid1}, got)
	text, err := os.ReadFile(filepath.Join(at, "snapbe/grubenv"))
	require.NoError(t, err)
	require.Contains(t, string(text), "snapbe_trial="+uuid1+"\n")
	onHost(t, "umount", at)

	onHost(t, "mount", "-t", "vfat", "-o", "ro", d.Env, at)
	got, err = g.ReadEnv(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, Env{Trial: uuid1}, got)
	err = g.WriteEnv(t.Context(), d, Env{})
	require.ErrorIs(t, err, ErrEnvReadOnly)
	require.ErrorContains(t, err, "disk vdz: "+d.Env)
	onHost(t, "umount", at)
}

func TestRealEnvReadOnlyDevice(t *testing.T) {
	g, d := &GRUB{}, loop(t, "--read-only")
	_, err := g.ReadEnv(t.Context(), d)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, g.WriteEnv(t.Context(), d, Env{}), ErrEnvReadOnly)
}

func TestRealEnvFull(t *testing.T) {
	g, d, at := &GRUB{}, loop(t), t.TempDir()
	fill := func() {
		onHost(t, "mount", "-t", "vfat", d.Env, at)
		f, err := os.OpenFile(filepath.Join(at, "full"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		require.NoError(t, err)
		for err == nil { // by the cluster, or some are left
			_, err = f.Write(make([]byte, sector))
		}
		require.ErrorIs(t, err, unix.ENOSPC)
		require.NoError(t, f.Close())
		onHost(t, "umount", at)
	}
	fill()
	err := g.WriteEnv(t.Context(), d, Env{Generation: 1})
	require.ErrorIs(t, err, ErrEnvFull)
	onHost(t, "mount", "-t", "vfat", d.Env, at)
	require.NoError(t, os.Remove(filepath.Join(at, "full")))
	onHost(t, "umount", at)
	require.NoError(t, g.WriteEnv(t.Context(), d, Env{Generation: 1}))
	fill()
	require.NoError(t, g.WriteEnv(t.Context(), d, Env{Generation: 2}), "what is there needs no room")
	got, err := g.ReadEnv(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, Env{Generation: 2}, got)
}

func TestRealEnvDamaged(t *testing.T) {
	g, d, at := &GRUB{}, loop(t), t.TempDir()
	for _, text := range []string{"x", strings.Repeat("x", envSize)} {
		onHost(t, "mount", "-t", "vfat", d.Env, at)
		require.NoError(t, os.MkdirAll(filepath.Join(at, "snapbe"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(at, "snapbe/grubenv"), []byte(text), 0o600))
		onHost(t, "umount", at)
		got, err := g.ReadEnv(t.Context(), d)
		require.ErrorIs(t, err, ErrEnvDamaged)
		require.Equal(t, Env{}, got)
		require.NoError(t, g.WriteEnv(t.Context(), d, Env{Generation: 3}))
		got, err = g.ReadEnv(t.Context(), d)
		require.NoError(t, err)
		require.Equal(t, Env{Generation: 3}, got)
	}
}
