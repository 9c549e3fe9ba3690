//go:build vm

package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

// TestCycle is the main job: a host is given a new BE, patched in it, booted
// into it, brought back, and chosen by hand in the menu. Debian 13 with one pool,
// which the other tests are on, goes through the same in TestZones.
func TestCycle(t *testing.T) {
	t.Parallel()
	for _, on := range []struct{ release, layout string }{
		{"trixie", "split"}, {"bookworm", "single"},
	} {
		t.Run(on.release+"/"+on.layout, func(t *testing.T) {
			t.Parallel()
			m := adopted(t, on.release, on.layout)
			accounts(m, "ann", "ben", "cleo", "dan")
			patch(t, m)
			activated(t, m)
			failedBack(t, m)
			chosenInTheMenu(t, m)
			destroyedAndRenamed(t, m)
			if on.release == "trixie" { // each boot of these machines takes a minute
				theOlder(t, m)
			}
		})
	}
}

// patch makes a BE and installs version 2 in it, while version 1 runs.
func patch(t *testing.T, m *lab.Machine) {
	nested := m.MustRun("zfs list -rHo name rpool/ROOT/debian | sed -n 's,^rpool/ROOT/debian/,,p' | head -1")
	if nested = strings.TrimSpace(nested); nested == "" { // the guide's split layout has none
		nested = "srv"
		m.MustRun("zfs create -u -o canmount=noauto rpool/ROOT/debian/" + nested)
	}
	m.MustRun("zfs set quota=300M 'com.example:note=it'\\''s a \"näh\" $x; y' rpool/ROOT/debian/" + nested)
	t.Logf("%s", m.MustRun("snapbe create -d 'November patches' 2026-11"))
	m.MustRun("usermod -L ann")
	assert.Equal(t, "NR", flags(m, "debian"))
	assert.Equal(t, "", flags(m, "2026-11"))
	for _, be := range []string{"debian", "2026-11"} {
		assert.Equal(t, "314572800\tlocal\nit's a \"näh\" $x; y\tlocal\ndefault\n",
			m.MustRun("zfs get -Hpo value,source quota,com.example:note rpool/ROOT/"+be+"/"+nested+"; zfs get -Ho source atime rpool/ROOT/"+be+"/"+nested+" | sed 's/inherited from .*/default/'"), be)
	}
	t.Logf("%s", m.MustRun("snapbe exec 2026-11 -- apt-get install -y widget=2 2>&1"))
	assert.Equal(t, "1", version(m), "the running BE is untouched")
	assert.Empty(t, m.MustRun("ls -d /var/lib/widget-started-2* 2>/dev/null || true"))
	dir, err := m.Output("snapbe mount 2026-11")
	require.NoError(t, err)
	assert.Equal(t, "/run/snapbe/mnt/2026-11\n", dir)
	assert.Empty(t, m.MustRun("ls -d /run/snapbe/mnt/2026-11/var/lib/widget-started-2* 2>/dev/null || true"), "no service started")
	assert.Contains(t, m.MustRun("ls /run/snapbe/mnt/2026-11/opt/repo"), "widget_2_all.deb", "nested datasets show")
	m.MustRun("snapbe unmount 2026-11")
	cleanAside(t, m, "2026-11")
}

// activated boots into the new BE.
func activated(t *testing.T, m *lab.Machine) {
	out := m.MustRun("snapbe activate 2026-11")
	t.Logf("%s", out)
	assert.Regexp(t, `\d[.\d]*m?s\s+write the boot menu`, out, "each step is shown with its duration")
	assert.Equal(t, "N", flags(m, "debian"))
	assert.Equal(t, "R", flags(m, "2026-11"))
	assert.Equal(t, "rpool/ROOT/2026-11\n", m.MustRun("zpool get -Ho value bootfs rpool"))
	m.MustRun("usermod -L ben")
	m.Reboot()
	assert.Equal(t, "2026-11", running(m))
	assert.Equal(t, []string{"ann", "ben"}, locked(m), "who was locked before activate, and after it")
	assert.Equal(t, "2", version(m))
	assert.Equal(t, "NR", flags(m, "2026-11"))
	healthy(t, m)
}

// failedBack boots back, and the new BE is kept.
func failedBack(t *testing.T, m *lab.Machine) {
	m.MustRun("usermod -L cleo")
	t.Logf("%s", m.RunReboot("snapbe failback --reboot", bootTime))
	assert.Equal(t, "debian", running(m))
	assert.Equal(t, []string{"ann", "ben", "cleo"}, locked(m))
	assert.Equal(t, "1", version(m))
	assert.Equal(t, []string{"debian", "2026-11"}, bes(m))
	healthy(t, m)
}

// chosenInTheMenu picks the failback entry at GRUB's console: nothing is synced.
func chosenInTheMenu(t *testing.T, m *lab.Machine) {
	m.MustRun("usermod -L dan")
	m.PowerOff()
	m.PowerOn()
	pick(m, `Failback: BE 2026-11`)
	m.Send("\r")
	m.WaitSSH(bootTime)
	assert.Equal(t, "2026-11", running(m))
	assert.Equal(t, "2", version(m))
	assert.Equal(t, "R", flags(m, "debian"), "choosing by hand changes no default")
	assert.Equal(t, []string{"ann", "ben", "cleo"}, locked(m), "nor does it sync")
	assert.NotContains(t, m.MustRun("snapbe handover 2>&1"), "[ok]")
}

// pick waits for GRUB's menu and goes down to the entry that matches.
func pick(m *lab.Machine, entry string) {
	m.Expect(`GNU GRUB`, time.Minute)
	pickHere(m, entry)
}

// pickHere is pick in a menu that shows already, such as a submenu.
func pickHere(m *lab.Machine, entry string) {
	for range 15 {
		// GRUB pads entries to the menu's width. Half a line would be taken for
		// another entry, and the next key would go past the one looked for.
		if got := m.Expect(`\*([^\n]{70,})`, 20*time.Second); regexp.MustCompile(entry).MatchString(got[1]) {
			return
		}
		m.Send(lab.KeyDown)
	}
	m.Expect(`\*[^\n]*`+entry, time.Second) // fails, and says what it saw
}

// destroyedAndRenamed: in the new BE, chosen for good, the old one goes, with
// the clone promoted; names change.
func destroyedAndRenamed(t *testing.T, m *lab.Machine) {
	m.MustRun("snapbe activate 2026-11")
	m.MustRun("snapbe create -e debian old")
	_, err := m.Run("snapbe rename old debian")
	assert.Equal(t, 4, lab.ExitCode(err), "a name that is taken")
	m.MustRun("snapbe rename old older")
	assert.Contains(t, string(m.Fetch("/boot/grub/snapbe.cfg")), "/older@")
	_, err = m.Run("snapbe destroy -F 2026-11")
	assert.Equal(t, 5, lab.ExitCode(err), "the running BE stays")
	t.Logf("%s", m.MustRun("snapbe destroy -F debian"))
	assert.Equal(t, []string{"2026-11", "older"}, bes(m))
	assert.Equal(t, "-\n", m.MustRun("zfs get -Ho value origin rpool/ROOT/older"), "the clone of its youngest snapshot was promoted")
	assert.Contains(t, m.MustRun("zfs get -Ho value origin rpool/ROOT/2026-11"), "rpool/ROOT/older@", "and the other one now depends on that")
}

// theOlder boots the one whose clone was promoted, and nothing of snapbe's own is
// left of the other.
func theOlder(t *testing.T, m *lab.Machine) {
	m.RunReboot("snapbe activate --reboot older", bootTime)
	assert.Equal(t, "older", running(m))
	assert.Equal(t, "1", version(m))
	healthy(t, m)
	m.MustRun("snapbe destroy -F 2026-11")
	assert.Equal(t, []string{"older"}, bes(m))
	assert.Empty(t, m.MustRun("zfs list -Ho name -t snapshot -r rpool/ROOT || true"), "snapbe's own snapshots went with their last clone")
}
