//go:build vm

package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"snapbe/internal/lab"
)

// TestDisks boots from each disk of the mirror: by its entry, alone, and with
// the one that was away put back in front, stale.
func TestDisks(t *testing.T) {
	t.Parallel()
	m := adopted(t, "trixie", "single")
	m.MustRun("snapbe create be-2")
	byItsEntry(t, m, "vdb", "be-2")
	byItsEntry(t, m, "vda", "debian")
	withDisk1Gone(t, m)
	withDisk1StaleInFront(t, m)
}

// byItsEntry chooses a BE in the menu as the entry that is bound to a disk.
func byItsEntry(t *testing.T, m *lab.Machine, disk, be string) {
	m.PowerOff()
	m.PowerOn()
	pick(m, `Boot from one disk`)
	m.Send("\r")
	pickHere(m, `^Disk `+disk)
	m.Send("\r")
	pickHere(m, `^Disk `+disk+`: [^\n]*BE `+be)
	m.Send("\r")
	m.WaitSSH(bootTime)
	assert.Equal(t, be, running(m), "the entry of %s", disk)
	healthy(t, m)
}

// withDisk1Gone: the machine boots by itself from disk 2, and goes on: a BE is
// made, patched and activated there.
func withDisk1Gone(t *testing.T, m *lab.Machine) {
	m.PowerOff()
	m.PowerOn(2)
	m.WaitSSH(bootTime)
	assert.Equal(t, "debian", running(m))
	assert.Contains(t, m.MustRun("snapbe status"), "UNAVAIL")
	m.MustRun("snapbe create without-1")
	m.MustRun("snapbe exec without-1 -- apt-get install -y widget=2")
	m.RunReboot("snapbe activate --reboot without-1", bootTime)
	assert.Equal(t, "without-1", running(m))
	assert.Equal(t, "2", version(m))
}

// withDisk1StaleInFront: GRUB loads the menu of disk 1, which knows nothing of
// the new BE; its entry for disk 2's menu leads there, and ZFS resilvers.
func withDisk1StaleInFront(t *testing.T, m *lab.Machine) {
	m.PowerOff()
	m.PowerOn(1, 2)
	pick(m, `Open the menu on disk vdb`)
	m.Send("\r")
	m.Expect(`GNU GRUB`, time.Minute)
	m.Expect(`\*[^\n]*BE without-1`, 20*time.Second)
	m.Send("\r")
	m.WaitSSH(bootTime)
	assert.Equal(t, "without-1", running(m))
	assert.Equal(t, "2", version(m))
	m.MustRun("for i in $(seq 60); do zpool status rpool | grep -q 'scan: resilvered' && break; sleep 2; done; zpool wait -t resilver rpool; zpool status rpool")
	m.MustRun("snapbe boot install")
	healthy(t, m)
	m.PowerOff()
	m.PowerOn(1)
	m.WaitSSH(bootTime)
	assert.Equal(t, "without-1", running(m), "disk 1 alone boots the new BE once it was resilvered")
}
