//go:build vm

package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

// TestExec: a BE's own tools work in it, nothing stays behind when snapbe is
// killed, and users without privileges can read.
func TestExec(t *testing.T) {
	t.Parallel()
	m := adopted(t, "trixie", "single")
	m.MustRun("snapbe create be-2")
	t.Run("update-grub", func(t *testing.T) {
		m.Bind(t)
		m.MustRun("snapbe exec be-2 -- update-grub 2>&1")
		config := string(m.Fetch("/boot/grub/grub.cfg"))
		assert.Contains(t, config, `source "${config_directory}/snapbe.cfg"`)
		assert.Contains(t, config, "/ROOT/be-2@/boot/vmlinuz", "it is be-2's own update-grub that ran")
		assert.Empty(t, m.MustRun("snapbe boot check"))
	})
	t.Run("update-initramfs", func(t *testing.T) {
		m.Bind(t)
		kernel := m.MustRun("uname -r | tr -d '\n'")
		before := m.MustRun("stat -c %Y.%i /boot/initrd.img-" + kernel)
		m.MustRun("snapbe exec be-2 -- update-initramfs -u -k " + kernel + " 2>&1")
		assert.Equal(t, before, m.MustRun("stat -c %Y.%i /boot/initrd.img-"+kernel), "the running BE's is untouched")
		m.RunReboot("snapbe activate --reboot be-2", bootTime)
		assert.Equal(t, "be-2", running(m), "it boots with the initrd that was made in it")
		healthy(t, m)
	})
	t.Run("killed", func(t *testing.T) {
		m.Bind(t)
		m.MustRun("setsid snapbe exec debian -- sh -c 'sleep 4711 & sleep 4712' > /dev/null 2>&1 < /dev/null & echo $! > /run/pid")
		require.Eventually(t, func() bool { _, err := m.Run("pgrep -f '^sleep 4712'"); return err == nil }, time.Minute, time.Second)
		m.MustRun("kill -9 $(pgrep -of '^snapbe exec debian')")
		require.Eventually(t, func() bool { _, err := m.Run("pgrep -f '^sleep 471'"); return err != nil }, time.Minute, time.Second, "no process stays")
		cleanAside(t, m, "debian")
		m.MustRun("snapbe mount debian && snapbe unmount debian && snapbe create -e debian again && snapbe destroy -F again")
	})
	t.Run("unprivileged", func(t *testing.T) {
		m.Bind(t)
		for _, command := range []string{"list", "list -a", "list --json", "status", "version"} {
			m.MustRun("setpriv --reuid 65534 --regid 65534 --clear-groups snapbe " + command)
		}
		_, err := m.Run("setpriv --reuid 65534 --regid 65534 --clear-groups snapbe create no")
		assert.Equal(t, 1, lab.ExitCode(err))
	})
}
