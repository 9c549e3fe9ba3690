//go:build linux && realzfs

package mount

import (
	"context"
	"os"
	"os/exec" //nolint:depguard // the tests are their own programs
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// These run on a host whose root is on ZFS, in a virtual machine; see package
// e2e.

func onHost(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	require.NoError(t, err, "%s: %s", line, out)
	return strings.TrimSpace(string(out))
}

// clone makes a boot environment from the running one, with a dataset at
// /opt, and returns its tree. It is destroyed at the end, in one go: nothing
// may keep it busy.
func clone(t *testing.T) Tree {
	t.Helper()
	running := onHost(t, "findmnt -no SOURCE /")
	be := filepath.Dir(running) + "/mount-test"
	onHost(t, "zfs snapshot "+running+"@mount-test")
	t.Cleanup(func() { onHost(t, "zfs destroy -R "+running+"@mount-test") })
	onHost(t, "zfs clone -o canmount=noauto -o mountpoint=/ "+running+"@mount-test "+be)
	onHost(t, "zfs create -o canmount=noauto "+be+"/opt")
	return Tree{{Dataset: be, Dir: "."}, {Dataset: be + "/opt", Dir: "opt"}}
}

func TestRealViewAndDestroy(t *testing.T) {
	for range 2 {
		t.Run("", func(t *testing.T) {
			tree := clone(t)
			require.NoError(t, View(tree, false, func(root *os.Root) error {
				require.NoError(t, root.WriteFile("opt/new", []byte("x"), 0o600))
				_, err := root.ReadFile("etc/os-release")
				return err
			}))
			require.NoError(t, View(tree, true, func(root *os.Root) error {
				require.ErrorIs(t, root.WriteFile("opt/more", nil, 0o600), unix.EROFS)
				_, err := root.ReadFile("opt/new")
				return err
			}))
		})
	}
}

func TestRealViewOfRunning(t *testing.T) {
	running := onHost(t, "findmnt -no SOURCE /")
	tree := Tree{{Dataset: running, Dir: "."}}
	require.NoError(t, View(tree, true, func(root *os.Root) error {
		require.ErrorIs(t, root.WriteFile("mount-test", nil, 0o600), unix.EROFS)
		_, err := root.ReadFile("etc/os-release")
		return err
	}))
	require.NoError(t, View(tree, false, func(root *os.Root) error {
		require.NoError(t, root.WriteFile("mount-test", nil, 0o600))
		require.FileExists(t, "/mount-test")
		return root.Remove("mount-test")
	}))
	onHost(t, "touch /mount-test && rm /mount-test") // and it is writable still
	dirs, err := At(running)
	require.NoError(t, err)
	require.Equal(t, []string{"/"}, dirs)
}

// What ZFS mounts read-only can be seen, whoever has mounted it before.
func TestRealReadOnlyDatasets(t *testing.T) {
	tree := clone(t)
	opt := tree[1].Dataset
	look := func(root *os.Root) error {
		require.ErrorIs(t, root.WriteFile("opt/x", nil, 0o600), unix.EROFS)
		_, err := root.Stat("opt")
		return err
	}
	onHost(t, "zfs set readonly=on "+opt)
	require.NoError(t, View(tree, false, look), "readonly=on")
	onHost(t, "mount -t zfs -o ro,zfsutil "+opt+" /mnt")
	require.NoError(t, View(tree, false, look), "readonly=on and mounted")
	require.NoError(t, View(tree, true, look))
	onHost(t, "umount /mnt && zfs inherit readonly "+opt)
	onHost(t, "mount -t zfs -o ro,zfsutil "+opt+" /mnt")
	require.NoError(t, View(tree, false, look), "mounted ro")
	onHost(t, "umount /mnt && mount -t zfs -o zfsutil "+opt+" /mnt")
	require.NoError(t, View(tree, true, look), "mounted rw")
	require.NoError(t, View(tree, true, func(root *os.Root) error {
		onHost(t, "umount /mnt && mount -t zfs -o zfsutil "+opt+" /mnt && touch /mnt/x")
		return nil
	}), "a view is in nobody's way")
	onHost(t, "umount /mnt")
}

func TestRealSnapshot(t *testing.T) {
	tree := clone(t)
	require.NoError(t, View(tree[1:2].rooted(), false, func(root *os.Root) error {
		return root.WriteFile("f", []byte("old"), 0o600)
	}))
	snap := tree[1].Dataset + "@s"
	onHost(t, "zfs snapshot "+snap)
	for _, readOnly := range []bool{true, false} {
		require.NoError(t, View(Tree{{Dataset: snap, Dir: "."}}, readOnly, func(root *os.Root) error {
			require.ErrorIs(t, root.WriteFile("f", nil, 0o600), unix.EROFS)
			text, err := root.ReadFile("f")
			require.Equal(t, "old", string(text))
			return err
		}))
	}
	onHost(t, "zfs destroy "+snap)
	err := View(Tree{{Dataset: snap, Dir: "."}}, true, nil)
	require.EqualError(t, err, `mount dataset "`+snap+`": no such dataset`)
}

// rooted is the entries with the first one as the root.
func (t Tree) rooted() Tree {
	r := append(Tree{}, t...)
	r[0].Dir = "."
	return r
}

func TestRealProperties(t *testing.T) {
	tree := clone(t)
	onHost(t, "zfs set exec=off setuid=off devices=off atime=off "+tree[1].Dataset)
	tree[1].NoExec, tree[1].NoSetuid, tree[1].NoDevices = true, true, true
	dir := t.TempDir()
	require.NoError(t, Attach(tree, dir))
	t.Log(onHost(t, "grep "+dir+" /proc/self/mountinfo"))
	table, err := Table()
	require.NoError(t, err)
	for _, m := range table {
		if m.Dir == dir+"/opt" {
			require.Subset(t, m.Options, []string{"rw", "noexec", "nosuid", "nodev"})
			require.Equal(t, tree[1].Dataset, m.Dataset)
		}
	}
	require.Equal(t, "yes\nyes", onHost(t, "zfs get -rHo value mounted "+tree[0].Dataset))
	require.NoError(t, Detach(dir, false))
	require.Equal(t, "no\nno", onHost(t, "zfs get -rHo value mounted "+tree[0].Dataset))
}

func TestRealAttach(t *testing.T) {
	for _, force := range []bool{false, true} {
		t.Run("", func(t *testing.T) {
			tree, dir := clone(t), t.TempDir()
			require.NoError(t, Attach(tree, dir))
			// PID 1's namespace has it, and so has a service that started
			// before with a namespace of its own.
			onHost(t, "nsenter -t 1 -m test -e "+dir+"/etc/os-release")
			onHost(t, "touch "+dir+"/opt/in-snapshot; zfs snapshot "+tree[1].Dataset+"@s")
			out, err := exec.Command("ls", dir+"/opt/.zfs/snapshot/s/").CombinedOutput()
			t.Logf(".zfs: %s %v", out, err)
			onHost(t, "touch "+dir+"/opt/x")
			holder := role(t, "hold", nil, "DIR="+dir+"/opt")
			ready(t, holder)
			require.ErrorContains(t, Detach(dir, false), "is busy")
			require.FileExists(t, dir+"/opt/x")
			require.NoError(t, holder.Process.Kill())
			_ = holder.Wait()
			require.NoError(t, Detach(dir, force))
		})
	}
}

func TestRealKilled(t *testing.T) {
	tree := clone(t)
	for _, name := range []string{"view", "exec"} {
		cmd := role(t, name, tree, "CMD=setsid sleep 9876.5 & touch /opt/x; echo ready; exec sleep 1000")
		ready(t, cmd)
		onHost(t, "! zfs destroy "+tree[1].Dataset)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		start := time.Now()
		require.Eventually(t, func() bool {
			return exec.Command("zfs", "destroy", tree[1].Dataset).Run() == nil
		}, 10*time.Second, 50*time.Millisecond)
		t.Logf("%s: not busy after %v", name, time.Since(start))
		require.Empty(t, processes(t, "9876.5"))
		onHost(t, "zfs create -o canmount=noauto "+tree[1].Dataset)
	}
}

func inside(t *testing.T, tree Tree, script string, env ...string) string {
	t.Helper()
	start := time.Now()
	out, code, err := runContext(t, context.Background(), tree, ExecSpec{
		Argv: []string{"sh", "-c", script},
		Env:  append([]string{"DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "HOME=/root"}, env...),
	})
	t.Logf("%s\n%s(%v)", script, out, time.Since(start))
	require.NoError(t, err)
	require.Zero(t, code)
	return out
}

func TestRealExecAndDestroy(t *testing.T) {
	for range 2 {
		t.Run("", func(t *testing.T) {
			inside(t, clone(t), "touch /opt/x /root/y; setsid sleep 5432.1 &")
			require.Empty(t, processes(t, "5432.1"))
		})
	}
}

// What setting up and running leaves in the boot environment is nothing.
func TestRealNothingIsLeft(t *testing.T) {
	tree := clone(t)
	out := inside(t, tree, "touch /run/x /tmp/y /dev/shm/z; dpkg -l zfsutils-linux | tail -n 1; systemd-detect-virt -c; ls /run /run/systemd")
	require.Contains(t, out, "\ncontainer-other\n")
	dir := t.TempDir()
	require.NoError(t, Attach(tree, dir))
	require.Empty(t, onHost(t, "zfs diff "+onHost(t, "zfs get -Ho value origin "+tree[0].Dataset)+" "+tree[0].Dataset))
	require.NoError(t, Detach(dir, false))
}

// A package that has both an init script and a unit, with the maintainer
// scripts that debhelper writes, and one with an init script alone.
func TestRealServicesDoNotStart(t *testing.T) {
	tree := clone(t)
	require.NoError(t, View(tree, false, func(root *os.Root) error {
		for _, kind := range []string{"both", "script"} {
			file := buildDeb(t, kind)
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, root.WriteFile("opt/"+kind+".deb", text, 0o644))
		}
		return nil
	}))
	before := onHost(t, "systemctl list-units --all --no-legend | wc -l")
	inside(t, tree, "apt-get install -y /opt/both.deb /opt/script.deb 2>&1")
	inside(t, tree, "env -i PATH=$PATH dpkg -r both script 2>&1; env -i PATH=$PATH dpkg -i /opt/both.deb /opt/script.deb 2>&1")
	inside(t, tree, "dpkg -r script; env -u SYSTEMD_OFFLINE systemctl restart both; env -i /bin/systemctl daemon-reload; service both start; env -i PATH=$PATH /etc/init.d/both start; "+
		"deb-systemd-invoke restart both.service; invoke-rc.d both restart; systemctl is-enabled both; ischroot; echo ischroot=$?; systemd-detect-virt -c; systemd-detect-virt -r; echo chroot=$?")
	require.NoError(t, View(tree, true, func(root *os.Root) error {
		for _, name := range []string{"var/lib/both-started", "var/lib/script-started"} {
			_, err := root.Stat(name)
			require.ErrorIs(t, err, os.ErrNotExist, "%s", name)
		}
		_, err := root.Stat("etc/systemd/system/multi-user.target.wants/both.service")
		if err != nil {
			_, err = root.Lstat("etc/systemd/system/multi-user.target.wants/both.service")
		}
		require.NoError(t, err, "the unit is enabled for the next boot")
		return nil
	}))
	require.Equal(t, before, onHost(t, "systemctl list-units --all --no-legend | wc -l"))
}

// buildDeb makes a package whose service leaves /var/lib/NAME-started when it
// is started, by whom ever.
func buildDeb(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(file, text string, mode os.FileMode) {
		file = filepath.Join(dir, name, strings.ReplaceAll(file, "NAME", name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(text, "NAME", name)), mode))
	}
	write("DEBIAN/control", "Package: NAME\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: test\n", 0o644)
	write("etc/init.d/NAME", initScript, 0o755)
	postinst, prerm := postinstScript, prermScript
	if name == "both" {
		write("usr/lib/systemd/system/NAME.service", unit, 0o644)
		postinst, prerm = postinstUnit+postinst, prermUnit+prerm
	}
	write("DEBIAN/postinst", "#!/bin/sh\nset -e\n"+postinst, 0o755)
	write("DEBIAN/prerm", "#!/bin/sh\nset -e\n"+prerm, 0o755)
	onHost(t, "dpkg-deb --root-owner-group -b "+filepath.Join(dir, name)+" "+filepath.Join(dir, name+".deb"))
	return filepath.Join(dir, name+".deb")
}

const (
	unit = "[Unit]\nDescription=NAME\n[Service]\nExecStart=/bin/sh -c 'touch /var/lib/NAME-started; exec sleep 1000'\n" +
		"[Install]\nWantedBy=multi-user.target\n"
	initScript = `#!/bin/sh
### BEGIN INIT INFO
# Provides: NAME
# Required-Start: $remote_fs
# Required-Stop: $remote_fs
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
# Short-Description: NAME
### END INIT INFO
. /lib/lsb/init-functions
case "$1" in start|restart) touch /var/lib/NAME-started; setsid sleep 1000 >/dev/null 2>&1 & ;; esac
exit 0
`
	// As dh_installsystemd and dh_installinit write them.
	postinstUnit = `if [ "$1" = "configure" ]; then
	deb-systemd-helper unmask 'NAME.service' >/dev/null || true
	if deb-systemd-helper --quiet was-enabled 'NAME.service'; then
		deb-systemd-helper enable 'NAME.service' >/dev/null || true
	else
		deb-systemd-helper update-state 'NAME.service' >/dev/null || true
	fi
	if [ -d /run/systemd/system ]; then
		systemctl --system daemon-reload >/dev/null || true
		if [ -n "$2" ]; then _dh_action=restart; else _dh_action=start; fi
		deb-systemd-invoke $_dh_action 'NAME.service' >/dev/null || true
	fi
fi
`
	postinstScript = `if [ "$1" = "configure" ]; then
	if [ -x "/etc/init.d/NAME" ]; then
		update-rc.d NAME defaults >/dev/null
		invoke-rc.d --skip-systemd-native NAME start || exit 1
	fi
fi
`
	prermUnit = `if [ -z "$DPKG_ROOT" ] && [ "$1" = remove ] && [ -d /run/systemd/system ] ; then
	deb-systemd-invoke stop 'NAME.service' >/dev/null || true
fi
`
	prermScript = `if [ -x "/etc/init.d/NAME" ] && [ "$1" = remove ]; then
	invoke-rc.d --skip-systemd-native NAME stop || exit 1
fi
`
)

func TestRealUpdateGrub(t *testing.T) {
	tree := clone(t)
	for _, e := range strings.Fields(onHost(t, "findmnt -no SOURCE /boot/grub || true")) {
		tree = append(tree, Entry{Dataset: e, Dir: "boot/grub"})
	}
	out := inside(t, tree, "grub-probe -t fs /; grub-probe -t fs /boot/grub; grub-probe -t device /; grub-mkconfig -o /tmp/grub.cfg 2>&1; grep -m1 root=ZFS= /tmp/grub.cfg; zpool status -x")
	require.Contains(t, out, "zfs\nzfs\n/dev/")
	require.Contains(t, out, "/mount-test@/boot/vmlinuz-")
	require.Contains(t, out, " root=ZFS="+tree[0].Dataset+" ")
}
