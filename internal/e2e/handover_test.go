//go:build vm

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

// TestHandoverCut takes the power away in the middle of the sync that goes along
// with activate, then in the middle of the handover, and once more right before
// that ends: the machine boots by itself each time, each file is old or new, and
// in the end everything is handed over.
func TestHandoverCut(t *testing.T) {
	t.Parallel()
	m := adopted(t, "trixie", "single")
	accounts(m, "alice", "dave")
	listed(m, "/etc/many")
	m.MustRun("mkdir /etc/many")
	writeMany(m, "first")
	m.MustRun("snapbe create 2026-11")
	m.MustRun("usermod -L alice")
	writeMany(m, "second")
	cutInTheSync(t, m)
	t.Logf("%s", m.MustRun("snapbe activate 2026-11"))
	m.MustRun("usermod -L dave; useradd frank")
	writeMany(m, "third")
	watchHandover(m)
	cutInTheHandover(t, m)

	require.Equal(t, "2026-11", running(m))
	m.MustRun("systemctl is-system-running --wait >/dev/null || true")
	assert.Equal(t, "500 third\n", many(m), "everything is handed over in the end")
	assert.Equal(t, []string{"alice", "dave"}, locked(m))
	m.MustRun("getent passwd frank")
	handedOver(t, m)
	healthy(t, m)
	nothingPending(t, m)
	noTemporary(t, m, "debian")
	assert.NotContains(t, m.MustRun("snapbe handover 2>&1"), "[ok]", "nothing is left to do")
}

// writeMany writes a word and its number into each of many files on the
// synclist: syncing them takes its time.
func writeMany(m *lab.Machine, word string) {
	m.MustRun("cd /etc/many; seq -f '" + word + " %g' 500 | split -l 1 -a 4 - f")
}

// many counts the files that hold each word, and holds that each has its own
// number.
func many(m *lab.Machine) string {
	return m.MustRun(`cd /etc/many; seq 500 > /run/numbers; cut -d' ' -f2 f* | cmp - /run/numbers
		cut -d' ' -f1 f* | sort | uniq -c | sed 's/^ *//'`)
}

// cutInTheSync: the old BE boots, and the new one is as it was.
func cutInTheSync(t *testing.T, m *lab.Machine) {
	was := unmounted(normal(world(m)))
	m.SkipConsole()
	// The target is mounted where nobody else sees it, but once it is, it may be
	// mounted another time.
	m.Write("/root/watch", []byte(`until zfs list -t snapshot -Ho name rpool/ROOT/2026-11 | grep -q @sync-; do sleep 0.2; done
		until mount -t zfs -o zfsutil rpool/ROOT/2026-11 /mnt; do sleep 0.2; done
		until [ $(cat /mnt/etc/many/* | grep -c second) -gt 100 ]; do sleep 0.2; done
		echo "synced: $(cat /mnt/etc/many/* | grep -c second)" > /dev/ttyS0
`), 0o755)
	m.MustRun("(sh /root/watch & snapbe activate 2026-11) > /root/aside.log 2>&1 < /dev/null &")
	said := m.Expect(`synced: (\d+)`, 2*time.Minute)
	m.PowerCut()
	t.Logf("power cut in activate, with %s files synced", said[1])
	m.PowerOn()
	m.WaitSSH(bootTime)
	require.Equal(t, "debian", running(m))
	m.MustRun("systemctl is-system-running --wait >/dev/null || true")
	t.Logf("%s", m.MustRun("journalctl -b -u snapbe-recover.service -o cat --no-pager"))
	assert.Equal(t, was, unmounted(normal(world(m))), "the activation was undone")
	assert.Equal(t, "500 second\n", many(m))
	out := in(m, "2026-11", "cat /etc/many/* | cut -d' ' -f1 | sort | uniq -c; grep ^alice: /etc/shadow | cut -c 1-7; ls -A /etc/many | grep snapbe || true")
	assert.Equal(t, []string{"500", "first", "alice:$"}, strings.Fields(out), "and so are its files")
	healthy(t, m)
}

// watcher tells on the console how far the handover has come.
const watcher = `until [ $(cat /etc/many/* | grep -c third) -gt 100 ]; do sleep 0.2; done
echo "handed over: $(cat /etc/many/* | grep -c third)" > /dev/ttyS0
`

// beforeTheEnd stands before zfs in the handover's PATH: the program that ends it
// waits for the power to be cut, once.
const beforeTheEnd = `#!/bin/sh
if [ "$1" = program ] && [ -e /home/cut ]; then
	rm /home/cut; sync
	echo "stopped before: zfs program" > /dev/ttyS0
	exec sleep 600
fi
exec /usr/sbin/zfs "$@"
`

// watchHandover puts both into the new BE.
func watchHandover(m *lab.Machine) {
	m.MustRun("touch /home/cut")
	in(m, "2026-11", `mkdir -p /root/stop /etc/systemd/system/local-fs.target.wants /etc/systemd/system/snapbe-handover.service.d
		cat > /root/watch <<'EOT'
`+watcher+`EOT
		cat > /root/stop/zfs <<'EOT'
`+beforeTheEnd+`EOT
		chmod 755 /root/stop/zfs
		cd /etc/systemd/system
		printf '[Service]\nEnvironment=PATH=/root/stop:/usr/sbin:/usr/bin:/sbin:/bin\n' > snapbe-handover.service.d/stop.conf
		printf '[Unit]\nDefaultDependencies=no\nAfter=zfs-mount.service\n[Service]\nExecStart=/bin/sh /root/watch\n' > lab-watch.service
		ln -s ../lab-watch.service local-fs.target.wants/`)
}

func cutInTheHandover(t *testing.T, m *lab.Machine) {
	m.SkipConsole()
	_, _ = m.Run("systemctl reboot")
	said := m.Expect(`handed over: (\d+)`, bootTime)
	m.PowerCut()
	t.Logf("power cut in the handover, with %s files synced", said[1])
	m.PowerOn()
	m.Expect(`stopped before: zfs program`, bootTime)
	m.PowerCut()
	t.Logf("power cut at its end")
	m.PowerOn()
	m.WaitSSH(bootTime)
}
