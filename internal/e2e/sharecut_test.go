//go:build vm

package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"snapbe/internal/lab"
)

// TestShareCut takes the power away while the first boot moves directories to the
// share, and again at the next one, while it removes what it has moved: nothing
// is lost, and the third boot ends it.
func TestShareCut(t *testing.T) {
	t.Parallel()
	m := adopted(t, "trixie", "single")
	fillVar(m)
	m.MustRun("cd /var/spool/lab; seq 4000 | split -l 1 -a 4 - f; head -c 30M /dev/urandom > /var/tmp/lab/big")
	watchShare(m)
	was := inventory(m)
	t.Logf("%s", m.MustRun("snapbe share init -y 2>&1; snapbe share init -y --dir tmp 2>&1"))
	m.SkipConsole()
	_, _ = m.Run("systemctl reboot")
	for _, when := range []string{"copying", "removing"} {
		m.Expect(`the share is `+when, bootTime)
		m.PowerCut()
		t.Logf("power cut in %s", when)
		m.PowerOn()
	}
	m.WaitSSH(bootTime)
	t.Logf("%s", m.MustRun("journalctl -b -u snapbe-share.service -o cat --no-pager"))
	for _, dir := range []string{"mail", "log", "spool", "tmp"} {
		assert.Equal(t, "share/"+dir+"\n", m.MustRun("readlink /var/"+dir))
	}
	assert.Equal(t, was, inventory(m), "nothing is lost")
	placed(t, m)
}

// watchShare tells on the console how far the first boot has come.
func watchShare(m *lab.Machine) {
	m.MustRun(`cat > /root/watch <<'END'
until [ $(ls /var/share/.snapbe-new/spool/lab 2>/dev/null | wc -l) -gt 1000 ]; do sleep 0.1; done
echo "the share is copying" > /dev/ttyS0
until ls -d /var/.snapbe-old-spool; do sleep 0.1; done
echo "the share is removing" > /dev/ttyS0
END
		cd /etc/systemd/system; mkdir -p local-fs.target.wants
		printf '[Unit]\nDefaultDependencies=no\nAfter=zfs-mount.service\n[Service]\nExecStart=/bin/sh /root/watch\n' > lab-watch.service
		ln -s ../lab-watch.service local-fs.target.wants/`)
}
