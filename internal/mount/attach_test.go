//go:build linux

package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// host is a directory below a shared mount, as all of a host's are with
// systemd, and a function that lists what another namespace has mounted
// there.
func host(t *testing.T) (dir string, elsewhere func() []string) {
	t.Helper()
	base := t.TempDir()
	require.NoError(t, unix.Mount("host", base, "tmpfs", 0, ""))
	t.Cleanup(func() { _ = unix.Unmount(base, unix.MNT_DETACH) })
	require.NoError(t, unix.Mount("", base, "", unix.MS_SHARED, ""))
	dir = filepath.Join(base, "be 1")
	require.NoError(t, os.Mkdir(dir, 0o755))
	other := role(t, "other", nil)
	tid := ready(t, other)
	return dir, func() []string {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/mountinfo", other.Process.Pid, tid))
		require.NoError(t, err)
		table, err := parseTable(string(text))
		require.NoError(t, err)
		var dirs []string
		for _, m := range table {
			if strings.HasPrefix(m.Dir, dir) {
				dirs = append(dirs, m.Dir)
			}
		}
		return dirs
	}
}

func threeDeep(t *testing.T) Tree {
	t.Helper()
	return Tree{
		{Dataset: dataset(t, "boot/", "var/", "file"), Dir: "."},
		{Dataset: dataset(t, "grub/", "vmlinuz"), Dir: "boot"},
		{Dataset: dataset(t, "grub.cfg"), Dir: "boot/grub"},
		{Dataset: dataset(t, "log/"), Dir: "var"},
	}
}

func TestAttachDetach(t *testing.T) {
	needRoot(t)
	dir, elsewhere := host(t)
	tree := threeDeep(t)
	tree[3].ReadOnly = true
	want := []string{dir, dir + "/boot", dir + "/boot/grub", dir + "/var"}
	for _, force := range []bool{false, true} {
		require.NoError(t, Attach(tree, dir))
		require.ElementsMatch(t, want, mounts(t, dir))
		require.ElementsMatch(t, want, elsewhere(), "for everybody")
		require.FileExists(t, dir+"/boot/grub/grub.cfg")
		require.ErrorIs(t, os.WriteFile(dir+"/var/x", nil, 0o600), unix.EROFS)
		require.ErrorContains(t, Attach(tree, dir), "is a mount point already")
		require.NoError(t, Detach(dir, force))
		require.Empty(t, mounts(t, dir))
		require.Empty(t, elsewhere(), "for everybody")
	}
	require.EqualError(t, Detach(dir, false), fmt.Sprintf("nothing is mounted at %q", dir))
	require.Error(t, Detach("/", false))
	require.ErrorIs(t, Attach(tree, dir+"/none"), unix.ENOENT)
	gone(t, tree)
}

// Without a shared mount above, as in a container, it works too.
func TestAttachPrivate(t *testing.T) {
	needRoot(t)
	tree, dir := threeDeep(t), t.TempDir()
	require.NoError(t, Attach(tree, dir))
	require.Len(t, mounts(t, dir), len(tree))
	require.NoError(t, Detach(dir, false))
	require.Empty(t, mounts(t, dir))
}

func TestAttachFails(t *testing.T) {
	needRoot(t)
	dir, _ := host(t)
	tree := threeDeep(t)
	tree = append(tree, Entry{Dataset: "dir:/none", Dir: "file"})
	require.EqualError(t, Attach(tree, dir), `mount dataset "dir:/none": no such file or directory`)
	require.Empty(t, mounts(t, dir))
	gone(t, tree[:4])
}

func TestDetachBusy(t *testing.T) {
	needRoot(t)
	dir, elsewhere := host(t)
	tree := threeDeep(t)
	for _, e := range tree {
		t.Run(e.Dir, func(t *testing.T) {
			require.NoError(t, Attach(tree, dir))
			before := mounts(t, dir)
			holder := role(t, "hold", nil, "DIR="+filepath.Join(dir, e.Dir))
			ready(t, holder)
			err := Detach(dir, false)
			busy, ok := errors.AsType[*BusyError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, filepath.Join(dir, e.Dir), busy.Dir)
			require.Equal(t, []Process{{holder.Process.Pid, "mount.test"}}, busy.By)
			require.Contains(t, err.Error(), fmt.Sprintf("is busy: in use by process %d (mount.test)", holder.Process.Pid))
			require.Equal(t, before, mounts(t, dir))
			require.NoError(t, Detach(dir, true))
			require.Empty(t, mounts(t, dir))
			require.Empty(t, elsewhere())
			require.NoError(t, holder.Process.Kill())
			_ = holder.Wait()
			gone(t, tree)
		})
	}
}

// A use that the look through /proc misses is met by the kernel; what was
// unmounted until then comes back.
func TestDetachBusyLate(t *testing.T) {
	needRoot(t)
	dir, elsewhere := host(t)
	tree := threeDeep(t)
	require.NoError(t, Attach(tree, dir))
	before := mounts(t, dir)
	f, err := os.Open(dir + "/file")
	require.NoError(t, err)
	all, err := below(dir)
	require.NoError(t, err)
	require.Len(t, all, 4)
	err = unmountAll(all)
	_, ok := errors.AsType[*BusyError](err)
	require.True(t, ok, "%v", err)
	require.ElementsMatch(t, before, mounts(t, dir))
	require.ElementsMatch(t, before, elsewhere())
	require.FileExists(t, dir+"/boot/grub/grub.cfg")
	require.NoError(t, f.Close())
	require.NoError(t, Detach(dir, false))
	require.Empty(t, elsewhere())
	gone(t, tree)
}

func TestAttachKilled(t *testing.T) {
	needRoot(t)
	dir, elsewhere := host(t)
	tree := threeDeep(t)
	var none, whole int
	for i := range 60 {
		cmd := role(t, "attach", tree, "DIR="+dir)
		ready(t, cmd)
		time.Sleep(time.Duration(i) * 100 * time.Microsecond)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		switch n := len(mounts(t, dir)); n {
		case 0:
			none++
		case len(tree):
			whole++
			require.Len(t, elsewhere(), len(tree))
			require.NoError(t, Detach(dir, false))
		default:
			t.Fatalf("%d of %d mounts are there: %q", n, len(tree), mounts(t, dir))
		}
		gone(t, tree)
	}
	t.Logf("killed before %d times, after %d times", none, whole)
}

func TestViewKilled(t *testing.T) {
	needRoot(t)
	tree := threeDeep(t)
	cmd := role(t, "view", tree)
	ready(t, cmd)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	gone(t, tree)
}
