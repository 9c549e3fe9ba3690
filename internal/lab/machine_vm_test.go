//go:build vm

package lab

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// env is $name, or its default.
func env(name, other string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return other
}

// baseImage is trixie with one pool, or what LAB_RELEASE and LAB_LAYOUT say.
func baseImage(t *testing.T) Image {
	return Base(t, env("LAB_RELEASE", "trixie"), env("LAB_LAYOUT", "single"))
}

// TestMachine walks one machine through everything that power can do to it.
func TestMachine(t *testing.T) {
	t.Parallel()
	image := baseImage(t)
	start := time.Now()
	m := Start(t, Config{Image: image})
	m.Expect(`GNU GRUB`, time.Minute)
	t.Logf("GRUB's menu: %v", time.Since(start))
	m.Expect(`\*Debian GNU/Linux`, 10*time.Second)
	m.Send(KeyDown)
	m.Expect(`\*Advanced options`, 10*time.Second)
	m.Send(KeyUp)
	m.Expect(`\*Debian GNU/Linux`, 10*time.Second)
	m.Send(KeyEnter)
	m.WaitSSH(3 * time.Minute)
	t.Logf("ssh: %v", time.Since(start))

	t.Run("run", func(t *testing.T) {
		m.Bind(t)
		require.Equal(t, "all pools are healthy\n", m.MustRun("zpool status -x"))
		out, err := m.Run("echo out; echo err >&2; exit 7")
		require.Equal(t, 7, ExitCode(err))
		require.ElementsMatch(t, []byte("out\nerr\n"), []byte(out))
		out, err = m.Output("echo out; echo err >&2")
		require.NoError(t, err)
		require.Equal(t, "out\n", out)
		t.Logf("%s", m.MustRun("uname -r; zfs version; zfs list; systemd-analyze; systemctl --failed"))
	})

	t.Run("copy", func(t *testing.T) {
		m.Bind(t)
		data := make([]byte, 10<<20)
		_, _ = rand.Read(data)
		local := filepath.Join(t.TempDir(), "data")
		require.NoError(t, os.WriteFile(local, data, 0o600))
		start := time.Now()
		m.Copy(local, "/srv/it's new/data", 0o751)
		t.Logf("10 MiB copied: %v", time.Since(start))
		require.Equal(t, data, m.Fetch("/srv/it's new/data"))
		require.Equal(t, "751\n", m.MustRun("stat -c %a \"/srv/it's new/data\""))
	})

	t.Run("reboot", func(t *testing.T) {
		m.Bind(t)
		start := time.Now()
		m.Reboot()
		t.Logf("reboot: %v", time.Since(start))
		require.Equal(t, 2, m.Starts())
	})

	t.Run("panic", func(t *testing.T) {
		m.Bind(t)
		m.RunReboot("sysctl -qw kernel.panic=1; echo c >/proc/sysrq-trigger", 3*time.Minute)
		require.Equal(t, 3, m.Starts())
	})

	t.Run("power cut", func(t *testing.T) {
		m.Bind(t)
		// GRUB does not replay the intent log: it sees what a transaction group
		// has brought to the disk, and grub-install writes its modules anew.
		m.MustRun("grub-install /dev/disk/by-id/virtio-snapbe-disk2; zpool sync")
		m.MustRun("echo kept >/srv/synced; sync; echo lost >/srv/unsynced")
		m.PowerCut()
		require.False(t, m.Running())
		_, err := m.Run("true")
		require.Equal(t, -1, ExitCode(err))
		m.PowerOn(2)
		m.WaitSSH(3 * time.Minute)
		require.Equal(t, "kept\n", m.MustRun("cat /srv/synced"))
		_, err = m.Run("test -e /srv/unsynced")
		require.Equal(t, 1, ExitCode(err))
		require.Contains(t, m.MustRun("zpool status rpool"), "DEGRADED")
	})

	t.Run("power off", func(t *testing.T) {
		m.Bind(t)
		start := time.Now()
		m.PowerOff()
		t.Logf("power-off: %v", time.Since(start))
	})

	t.Run("other order", func(t *testing.T) {
		m.Bind(t)
		m.PowerOn(2, 1)
		m.WaitSSH(3 * time.Minute)
		require.Equal(t, "/dev/vda\n", m.MustRun("readlink -f /dev/disk/by-id/virtio-snapbe-disk1"))
		out := m.MustRun("zpool wait -t resilver rpool; zpool status -x; zpool status rpool")
		require.NotContains(t, out, "DEGRADED")
		t.Logf("%s", out)
	})
}
