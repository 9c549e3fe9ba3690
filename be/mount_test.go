package be_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/mount"
	"snapbe/internal/zfs"
)

func mountsOf(w *betest.World, dir string) (all []string) {
	for _, m := range w.Host.Mounted {
		if m.Dir == dir || len(m.Dir) > len(dir) && m.Dir[:len(dir)+1] == dir+"/" {
			all = append(all, m.Dataset+" "+m.Dir[len(dir):])
		}
	}
	slices.Sort(all)
	return all
}

func TestMount(t *testing.T) {
	want := map[string][]string{
		"one pool": {"rpool/ROOT/be-2 ", "rpool/ROOT/be-2/opt /opt", "rpool/ROOT/be-2/var /var", "rpool/ROOT/be-2/var/lib /var/lib"},
		"split":    {"bpool/BOOT/be-2 /boot", "rpool/ROOT/be-2 ", "rpool/ROOT/be-2/opt /opt"},
	}
	for name, l := range layouts {
		t.Run(name, func(t *testing.T) {
			w := betest.New(t.TempDir(), l)
			create(t, w, "rpool/ROOT/debian/off", zfs.Props{"canmount": "off", "mountpoint": "/off"})
			create(t, w, "rpool/ROOT/debian/none", zfs.Props{"mountpoint": "none"})
			do(t, w, be.Create{Name: "be-2"})
			dir := filepath.Join(t.TempDir(), "new", "dir")
			res := do(t, w, be.Mount{Name: "be-2", Dir: dir})
			assert.Equal(t, dir, res.Dir)
			assert.Equal(t, want[name], mountsOf(w, dir))
			assert.Equal(t, dir, do(t, w, be.Unmount{Name: dir}).Dir, "by its directory")
			assert.Empty(t, mountsOf(w, dir))

			dir = do(t, w, be.Mount{Name: "be-2"}).Dir
			assert.Equal(t, filepath.Join(w.Directory(), "run/mnt/be-2"), dir)
			assert.Equal(t, "be-2", do(t, w, be.Unmount{Name: "be-2"}).Name)
			assert.NoDirExists(t, dir, "a directory that snapbe made goes")
		})
	}
}

func TestMountRefused(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "be-3"})
		dir := do(t, w, be.Mount{Name: "be-2"}).Dir
		full := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(full, "file"), nil, 0o600))
		for _, c := range []struct {
			request be.Request
			want    refusal
		}{
			{be.Mount{Name: "debian"}, refusal{be.Busy, `mount "debian": it is running, at /`, ""}},
			{be.Mount{Name: "be-2"}, refusal{be.Busy, `mount "be-2": it is mounted at ` + dir, "snapbe unmount be-2"}},
			{be.Mount{Name: "none"}, refusal{be.NotFound, `mount "none": no boot environment has that name in rpool/ROOT`,
				"snapbe list shows those that there are"}},
			{be.Mount{Name: "be-3", Dir: full}, refusal{be.Failed, `mount "be-3" at ` + full + `: the directory is not empty`,
				"name an empty directory, or none"}},
			{be.Unmount{Name: "be-3"}, refusal{be.Failed, `unmount "be-3": it is not mounted`, "snapbe list shows what is mounted"}},
			{be.Unmount{Name: "none"}, refusal{be.NotFound, `unmount "none": no mounted boot environment has that name or directory`,
				"snapbe list shows what is mounted"}},
			{be.Unmount{Name: "debian"}, refusal{be.Busy, `unmount "debian": it is running`, ""}},
			{be.Unmount{Name: "/"}, refusal{be.Busy, `unmount "/": it is running`, ""}},
		} {
			t.Run(c.want.text, func(t *testing.T) { refused(t, w, c.request, c.want) })
		}
	})
}

// A kernel that was put there by hand is in the menu once it is unmounted.
func TestUnmountRefreshesTheMenu(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Mount{Name: "be-2"})
		newKernel(t, w, "be-2")
		do(t, w, be.Unmount{Name: "be-2"})
		assert.Contains(t, w.Boot.Text(), "vmlinuz-6.12.9-amd64")
	})
}

func newKernel(t *testing.T, w *betest.World, name string) {
	t.Helper()
	dataset, dir := named(t, w, name).BootDataset, "."
	if dataset == "" {
		dataset, dir = "rpool/ROOT/"+name, "boot"
	}
	w.Put(dataset, dir+"/vmlinuz-6.12.9-amd64", "kernel")
	w.Put(dataset, dir+"/initrd.img-6.12.9-amd64", "initrd")
}

// spy sees what is asked of the operating system.
type spy struct {
	be.Host
	tree mount.Tree
	spec mount.ExecSpec
}

func (s *spy) Exec(ctx context.Context, t mount.Tree, x mount.ExecSpec) (int, error) {
	s.tree, s.spec = t, x
	return s.Host.Exec(ctx, t, x)
}

func TestExec(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		w.Host.Command = func(root *os.Root, argv []string) int {
			assert.Equal(t, []string{"apt-get", "upgrade"}, argv)
			for _, f := range []string{"boot/vmlinuz-6.12.9-amd64", "boot/initrd.img-6.12.9-amd64"} {
				assert.NoError(t, root.WriteFile(f, []byte("x"), 0o644))
			}
			// update-grub of a BE whose packages do not know snapbe.
			assert.NoError(t, root.WriteFile("boot/grub/grub.cfg", []byte("# plain"), 0o644))
			return 7
		}
		sys := w.System()
		host := &spy{Host: sys.Host}
		sys.Host = host
		code, _, err := be.New(sys).Exec(t.Context(), be.Exec{Name: "be-2", ExecSpec: mount.ExecSpec{Argv: []string{"apt-get", "upgrade"}}})
		require.NoError(t, err)
		assert.Equal(t, 7, code)
		assert.Contains(t, host.spec.Env, "SNAPBE_EXEC=be-2")
		assert.Contains(t, host.spec.Env, "PATH="+os.Getenv("PATH"))
		assert.Equal(t, []mount.Entry{{Dataset: status(t, w).Grub, Dir: "boot/grub"}}, host.spec.Extra)
		assert.Equal(t, mount.Entry{Dataset: "rpool/ROOT/be-2", Dir: "."}, host.tree[0])
		assert.Contains(t, w.Boot.Text(), "vmlinuz-6.12.9-amd64", "the menu follows")
		assert.True(t, w.Boot.Hooked(), "and GRUB's own menu keeps it")
	})
}

// A command that took the kernel away has left a BE that cannot boot.
func TestExecTellsOfTheMenu(t *testing.T) {
	w := onePool(t)
	do(t, w, be.Create{Name: "be-2"})
	w.Host.Command = func(root *os.Root, _ []string) int {
		entries, err := fs.ReadDir(root.FS(), "boot")
		assert.NoError(t, err)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "initrd") {
				assert.NoError(t, root.Remove("boot/"+e.Name()))
			}
		}
		return 0
	}
	_, notes, err := be.New(w.System()).Exec(t.Context(), be.Exec{Name: "be-2"})
	require.NoError(t, err)
	require.Len(t, notes, 1)
	assert.Contains(t, notes[0], "be-2")
}

func TestExecRefused(t *testing.T) {
	w := onePool(t)
	do(t, w, be.Create{Name: "half"})
	set(t, w, "rpool/ROOT/half", zfs.Props{"org.snapbe:op": "x", "org.snapbe:description": "y"})
	for name, want := range map[string]refusal{
		"debian": {be.Busy, `run a command in "debian": it is running`, "run the command itself"},
		"none": {be.NotFound, `run a command in "none": no boot environment has that name in rpool/ROOT`,
			"snapbe list shows those that there are"},
		"half": {be.Failed, `run a command in "half": it is unfinished, and no record tells of what`,
			"snapbe destroy half takes it away"},
	} {
		before := w.Capture()
		_, _, err := be.New(w.System()).Exec(t.Context(), be.Exec{Name: name})
		assertRefusal(t, want, err)
		same(t, before, w.Capture())
	}
}

// Another command holds the lock when this one ends: the menu waits its turn.
func TestExecWhileAnotherWorks(t *testing.T) {
	w := onePool(t)
	do(t, w, be.Create{Name: "be-2"})
	w.Host.Command = func(*os.Root, []string) int { return 0 }
	newKernel(t, w, "be-2")
	done := make(chan error, 1)
	started := false
	_, err := be.New(w.System()).Do(t.Context(), be.BootUpdate{}, be.Options{Step: func(be.StepDone) {
		if !started {
			started = true
			go func() {
				_, _, err := be.New(w.System()).Exec(context.Background(), be.Exec{Name: "be-2", Patience: time.Minute})
				done <- err
			}()
		}
	}})
	require.NoError(t, err)
	require.NoError(t, <-done)
}

func TestBootMount(t *testing.T) {
	t.Run("one pool", func(t *testing.T) {
		assert.Empty(t, do(t, onePool(t), be.BootMount{}).Plan.Steps)
	})
	t.Run("split", func(t *testing.T) {
		w := split(t)
		assert.Empty(t, do(t, w, be.BootMount{}).Plan.Steps, "it is there")
		require.NoError(t, w.Host.Detach("/boot", false))
		do(t, w, be.BootMount{})
		assert.Contains(t, mountsOf(w, "/boot"), "bpool/BOOT/debian ")
	})
	t.Run("with what lies below it", func(t *testing.T) {
		w := split(t)
		create(t, w, "bpool/BOOT/debian/x", zfs.Props{"canmount": "noauto"})
		require.NoError(t, w.Host.Detach("/boot", false))
		do(t, w, be.BootMount{})
		assert.NotEmpty(t, mountsOf(w, "/boot/x"))
	})
	t.Run("another one is there", func(t *testing.T) {
		w := split(t)
		do(t, w, be.Create{Name: "be-2"})
		require.NoError(t, w.Host.Detach("/boot", false))
		require.NoError(t, w.Host.Attach(tree("bpool/BOOT/be-2"), "/boot"))
		do(t, w, be.BootMount{})
		assert.Equal(t, []string{"bpool/BOOT/debian "}, mountsOf(w, "/boot"))
	})
	t.Run("another one is there, and in use", func(t *testing.T) {
		w := split(t)
		do(t, w, be.Create{Name: "be-2"})
		require.NoError(t, w.Host.Detach("/boot", false))
		require.NoError(t, w.Host.Attach(tree("bpool/BOOT/be-2"), "/boot"))
		require.NoError(t, w.Host.Attach(tree("bpool/GRUB"), "/boot/grub"))
		refused(t, w, be.BootMount{}, refusal{be.Busy,
			"mount /boot: bpool/BOOT/be-2 is there, not bpool/BOOT/debian of the running boot environment, and /boot/grub below it is mounted",
			"umount -R /boot, and then: systemctl restart snapbe-boot-mount.service"})
	})
	t.Run("something else is there", func(t *testing.T) {
		w := split(t)
		w.Host.Mounted = append(w.Host.Mounted, mount.Mounted{Dataset: "/dev/vda2", Root: "/", Dir: "/boot", FSType: "ext4"})
		refused(t, w, be.BootMount{}, refusal{be.Failed,
			"mount /boot: /dev/vda2 is there, not bpool/BOOT/debian of the running boot environment",
			"umount -R /boot, and then: systemctl restart snapbe-boot-mount.service"})
	})
	t.Run("while something is pending", func(t *testing.T) {
		w := split(t)
		set(t, w, "rpool/ROOT", zfs.Props{"org.snapbe:journal": "not json"})
		require.NoError(t, w.Host.Detach("/boot", false))
		do(t, w, be.BootMount{})
		assert.Contains(t, mountsOf(w, "/boot"), "bpool/BOOT/debian ")
	})
}

// The menu's entry of the BE that runs is made from its own boot dataset, also
// where another one shows at /boot, or none.
func TestMenuWithoutBoot(t *testing.T) {
	for _, other := range []string{"", "bpool/BOOT/be-2"} {
		w := split(t)
		do(t, w, be.Create{Name: "be-2"})
		for _, file := range []string{"vmlinuz-6.99.0-amd64", "initrd.img-6.99.0-amd64"} {
			require.NoError(t, os.WriteFile(filepath.Join(w.ZFS.Dir("bpool/BOOT/be-2"), file), []byte("new"), 0o644))
		}
		require.NoError(t, w.Host.Detach("/boot", false))
		require.NoError(t, os.Mkdir(filepath.Join(w.ZFS.Dir("rpool/ROOT/debian"), "boot/grub"), 0o755))
		if other != "" {
			require.NoError(t, w.Host.Attach(tree(other), "/boot"))
		}
		require.NoError(t, w.Host.Attach(tree("bpool/GRUB"), "/boot/grub"))
		res := do(t, w, be.BootUpdate{})
		assert.Empty(t, res.Notes, other)
		menu, err := w.Boot.Read()
		require.NoError(t, err)
		for _, e := range menu.Entries {
			assert.Equal(t, e.Name == "be-2", e.Kernel == "vmlinuz-6.99.0-amd64", "%s boots %s", e.Name, e.Kernel)
		}
		assert.Len(t, menu.Entries, 2, other)
	}
}

// Without its own directory in place, GRUB's menu is not written: what lies at
// /boot/grub then is another system's.
func TestMenuNeedsItsDirectory(t *testing.T) {
	w := onePool(t)
	require.NoError(t, w.Host.Detach("/boot/grub", false))
	w.Reset()
	_, err := try(t, w, be.BootUpdate{})
	assertRefusal(t, refusal{be.Failed, "write the boot menu: rpool/GRUB, GRUB's directory, is not mounted at /boot/grub",
		"mount -t zfs -o zfsutil rpool/GRUB /boot/grub"}, err)
	assert.Zero(t, w.Changes())
}
