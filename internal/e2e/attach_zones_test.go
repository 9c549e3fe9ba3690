//go:build vm

package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

// TestZoneCommands does to single zones what docs/zones.md promises, on two pools one
// of which comes late: share, clone, attach, failback, destroy, and the zone that was
// on another host. One boot of the two is into another BE, without the second pool,
// the other one follows a power cut. Its file's name makes it begin early.
func TestZoneCommands(t *testing.T) {
	if !deep() {
		t.Skip("takes a quarter of an hour: make vmdeep")
	}
	t.Parallel()
	m := adopted(t, "trixie", "single")
	zonesOnTwoPools(t, m)
	zoneShare(t, m)
	id := zoneClone(t, m)
	latePool(t, m)
	attached(t, m, id)
	failedBackAlone(t, m)
	markerFile(t, m)
	orphansGo(t, m)
	cutWithoutAPool(t, m)
	zoneGoes(t, m)
}

const (
	farRoots = "tank/zones/far/ROOT/"
	webRoots = "rpool/zones/web/ROOT/"

	importTank = "zpool import -o cachefile=none -d /home tank"
	exportTank = "umount -R /var/lib/machines/far && zpool export tank"
)

// refuses holds that a command ends with that exit code and says this.
func refuses(t *testing.T, m *lab.Machine, code int, command string, said ...string) string {
	t.Helper()
	out, err := m.Run(command + " 2>&1")
	t.Logf("%s\n%s", command, out)
	assert.Equal(t, code, lab.ExitCode(err), command)
	for _, s := range said {
		assert.Contains(t, out, s, command)
	}
	return out
}

// does logs what a command says.
func does(t *testing.T, m *lab.Machine, command string) string {
	t.Helper()
	out := m.MustRun(command + " 2>&1")
	t.Logf("%s\n%s", command, out)
	return out
}

// lasting is what both pools keep, but for when a root was put in its place.
func lasting(m *lab.Machine) string {
	return m.MustRun(`zfs list -Ho name,origin -t all; zfs get -Ho name,property,value -s local -t filesystem,snapshot all | grep -v org.snapbe:booted | sort`)
}

// shownRoot is the root that shows where a zone boots, "" for none.
func shownRoot(m *lab.Machine, zone string) string {
	return strings.TrimSpace(m.MustRun("findmnt -no SOURCE /var/lib/machines/" + zone + " || true"))
}

// uuid is a BE's.
func uuid(m *lab.Machine, be string) string {
	return strings.TrimSpace(m.MustRun("zfs get -Ho value org.opensolaris.libbe:uuid rpool/ROOT/" + be))
}

// marks are whose a zone's root is, whether it boots there, and the mark of what is
// unfinished.
func marks(m *lab.Machine, root string) []string {
	var of []string
	for _, p := range []string{"org.opensolaris.libbe:parentbe", "org.opensolaris.libbe:active", "org.snapbe:op"} {
		of = append(of, strings.TrimSpace(m.MustRun("zfs get -Ho value "+p+" "+root)))
	}
	return of
}

// hasRoot holds that a zone's root is whole, the one that boots in a BE, and in its
// place.
func hasRoot(t *testing.T, m *lab.Machine, zone, root, be string) {
	t.Helper()
	assert.Equal(t, []string{uuid(m, be), "on", "-"}, marks(m, root), root)
	assert.Equal(t, "noauto\n/\n", m.MustRun("zfs get -Ho value canmount "+root+"; zfs get -Ho value mountpoint "+root))
	assert.Equal(t, root, shownRoot(m, zone))
	m.MustRun("test -e /run/snapbe/placed/" + zone)
}

// starts starts a zone, which says when its services run.
func starts(t *testing.T, m *lab.Machine, zone string) {
	t.Helper()
	m.MustRun(fmt.Sprintf("rm -f /var/lib/machines/%[1]s/var/lib/running; machinectl start %[1]s", zone))
	require.Eventually(t, func() bool {
		out, _ := m.Run("cat /var/lib/machines/" + zone + "/var/lib/running")
		return out == "1\n"
	}, 4*time.Minute, time.Second, "the zone %q runs", zone)
}

func halts(m *lab.Machine, zone string) {
	m.MustRun(fmt.Sprintf("machinectl poweroff %[1]s; timeout 120 sh -c 'while machinectl show %[1]s; do sleep 0.3; done' >/dev/null 2>&1", zone))
}

// skipped holds that systemd does not start a zone, and calls that no failure.
func skipped(t *testing.T, m *lab.Machine, zone string) {
	t.Helper()
	unit := "systemd-nspawn@" + zone + ".service"
	m.MustRun("systemctl start " + unit)
	assert.Equal(t, "no\ninactive\n", m.MustRun("systemctl show -P ConditionResult "+unit+"; systemctl show -P ActiveState "+unit), zone)
}

// lockedIn are the accounts that are locked in a zone.
func lockedIn(m *lab.Machine, zone string) []string {
	return strings.Fields(m.MustRun(`awk -F: '$2 ~ /^!.*[$]/ { print $1 }' /var/lib/machines/` + zone + `/etc/shadow | sort`))
}

// zonesOnTwoPools makes a zone of a whole Debian with a nested dataset, and one of a
// few files on a pool of its own. A machine "box" is none yet.
func zonesOnTwoPools(t *testing.T, m *lab.Machine) {
	accounts(m, "ann", "ben")
	machine(m, "web")
	m.MustRun(`set -e; cd /var/lib/machines/web
		echo 0123456789abcdef0123456789abcdef > etc/machine-id
		ssh-keygen -q -t ed25519 -N '' -f etc/ssh/ssh_host_ed25519_key
		echo delivered > var/log/mine
		sed -i '/^.Exec/a Hostname=web' /etc/systemd/nspawn/web.nspawn
		for z in far box; do
			mkdir -p ../$z/etc ../$z/root
			cp -p /etc/passwd /etc/shadow /etc/group /etc/gshadow ../$z/etc/; cp -L /etc/os-release ../$z/etc/; echo $z > ../$z/etc/hostname
		done
		truncate -s 300M /home/tank.img
		zpool create -o cachefile=none -O mountpoint=none -O canmount=off tank /home/tank.img`)
	does(t, m, "snapbe zone adopt web")
	m.MustRun("zfs create -u -o canmount=noauto " + webRoots + "zbe/srv")
	does(t, m, "snapbe zone adopt --container tank/zones far")
	assert.Equal(t, "rpool/zones,tank/zones\n", m.MustRun("zfs get -Ho value org.snapbe:zones rpool/ROOT"))
	hasRoot(t, m, "web", webRoots+"zbe", "debian")
	hasRoot(t, m, "far", farRoots+"zbe", "debian")
}

// zoneShare gives a zone its share, at once, and only while it is halted.
func zoneShare(t *testing.T, m *lab.Machine) {
	starts(t, m, "web")
	was := lasting(m)
	refuses(t, m, 5, "snapbe share init -y --zone web", "it is running", "hint: machinectl poweroff web")
	assert.Equal(t, was, lasting(m))
	halts(m, "web")
	does(t, m, "snapbe share init -y --zone web")
	assert.Equal(t, "rpool/zones/web/VARSHARE\n", m.MustRun("findmnt -no SOURCE /var/lib/machines/web/var/share"))
	assert.Equal(t, "share/log\ndelivered\n", m.MustRun("cd /var/lib/machines/web/var; readlink log; cat share/log/mine"))

	name, err := m.Output("snapbe share snapshot --zone web mine")
	require.NoError(t, err)
	assert.Equal(t, "mine\n", name)
	assert.Regexp(t, `(?m)^mine\b.*\buser\b`, does(t, m, "snapbe share list --zone web"))
	m.MustRun("echo eaten > /var/lib/machines/web/var/share/log/mine")
	assert.Regexp(t, `(?m)^changed\s+\S*log/mine\b`, does(t, m, "snapbe share diff --zone web mine"))
	does(t, m, "snapbe share restore --zone web mine /var/log/mine")
	assert.Equal(t, "delivered\n", m.MustRun("cat /var/lib/machines/web/var/share/log/mine"))
	starts(t, m, "web")
	assert.Equal(t, "1\n", m.MustRun("grep -c '^rpool/zones/web/VARSHARE /var/share ' /proc/$(machinectl show -p Leader --value web)/mounts"), "the machine has it")
}

// zoneClone makes a BE and a zone of the one that runs, and tells which machine ID the
// new zone has given itself. "box" becomes a zone after the BE was made.
func zoneClone(t *testing.T, m *lab.Machine) (id string) {
	does(t, m, "snapbe create 2026-11")
	for _, root := range []string{webRoots, farRoots} {
		assert.Equal(t, []string{uuid(m, "2026-11"), "on", "-"}, marks(m, root+"zbe-1"))
		assert.Equal(t, []string{uuid(m, "debian"), "on", "-"}, marks(m, root+"zbe"))
	}
	out := does(t, m, "snapbe zone clone web db")
	assert.Contains(t, out, "2 files with SSH host keys went")
	assert.Contains(t, out, "it has no share: what web keeps in rpool/zones/web/VARSHARE is not cloned")
	hasRoot(t, m, "db", "rpool/zones/db/ROOT/zbe", "debian")
	const own = `cd /var/lib/machines/%s; cat etc/hostname; wc -c < etc/machine-id; ls etc/ssh | grep -c ^ssh_host_ || true; stat -c %%F var/log; ls var/lib/systemd/random-seed 2>/dev/null || true`
	assert.Equal(t, "db\n0\n0\ndirectory\n", m.MustRun(fmt.Sprintf(own, "db")))
	assert.Regexp(t, `^web\n33\n2\nsymbolic link\n`, m.MustRun(fmt.Sprintf(own, "web")), "the other one keeps what it is")
	settings := m.MustRun("cat /etc/systemd/nspawn/db.nspawn")
	assert.Contains(t, settings, "VirtualEthernet=no")
	assert.NotContains(t, settings, "Hostname")

	starts(t, m, "db")
	id = m.MustRun("cat /var/lib/machines/db/etc/machine-id")
	assert.Regexp(t, `^[0-9a-f]{32}\n$`, id)
	for _, other := range []string{"/var/lib/machines/web/etc/machine-id", "/etc/machine-id"} {
		assert.NotEqual(t, id, m.MustRun("cat "+other))
	}
	halts(m, "db")
	halts(m, "web")
	m.MustRun("machinectl enable db 2>/dev/null")
	does(t, m, "snapbe zone adopt box")
	hasRoot(t, m, "box", "rpool/zones/box/ROOT/zbe", "debian")
	return id
}

// latePool boots the other BE without the pool of one zone: that zone is withheld, and
// so are those that have no root there. What was locked in it last is taken over when
// the pool comes.
func latePool(t *testing.T, m *lab.Machine) {
	const lock = "for z in web far; do sed -i 's/^%[1]s:/%[1]s:!/' /var/lib/machines/$z/etc/shadow; done"
	m.MustRun(fmt.Sprintf(lock, "ben"))
	does(t, m, "snapbe activate 2026-11")
	m.MustRun(fmt.Sprintf(lock, "ann"))
	m.MustRun(exportTank)
	m.Reboot()
	require.Equal(t, "2026-11", running(m))
	inPlace(m)
	healthy(t, m)
	hasRoot(t, m, "web", webRoots+"zbe-1", "2026-11")
	assert.Equal(t, webRoots+"zbe-1/srv\nrpool/zones/web/VARSHARE\n", m.MustRun("cd /var/lib/machines/web; findmnt -no SOURCE $PWD/srv; findmnt -no SOURCE $PWD/var/share"))
	assert.Equal(t, []string{"ann", "ben"}, lockedIn(m, "web"))

	const absent, left = "the zones below tank/zones are not there", `what changed last in the zones below tank/zones in "debian" is not in "2026-11" yet, such as locks of accounts: `
	status, said := does(t, m, "snapbe status"), does(t, m, "journalctl -b -u snapbe-zones.service -u snapbe-handover.service -o cat --no-pager")
	for _, text := range []string{absent, left + "zpool import tank and snapbe handover, or the next boot with it, takes it over",
		`the zone "db" has no root in "2026-11", and does not start: snapbe zone attach db gives it one`,
		`the zone "box" has no root in "2026-11", and does not start: snapbe zone attach box gives it one`} {
		assert.Contains(t, status, text)
		assert.Contains(t, said, text)
	}
	assert.Regexp(t, `^[0-9a-f-]{36} [0-9a-f-]{36} - tank/zones\n$`, m.MustRun("zfs get -Ho value org.snapbe:handover rpool/ROOT"))
	for _, zone := range []string{"far", "db", "box"} {
		skipped(t, m, zone)
	}
	refuses(t, m, 3, "snapbe create 2026-12", absent, "hint: zpool import tank")
	refuses(t, m, 5, "snapbe destroy -y debian", `what changed last in the zones below tank/zones in "debian" is still to be synced`, "hint: zpool import tank and snapbe handover first")

	m.MustRun(importTank)
	status = does(t, m, "snapbe status")
	assert.Contains(t, status, left+"snapbe handover")
	assert.Contains(t, status, `the zone "far" does not start: zbe-1 is not in its place yet: systemctl restart snapbe-zones.service puts it there`)
	assert.Contains(t, does(t, m, "snapbe handover"), `hand over to "2026-11" from the zones below tank/zones in "debian"`)
	m.MustRun("systemctl restart snapbe-zones.service")
	hasRoot(t, m, "far", farRoots+"zbe-1", "2026-11")
	assert.Equal(t, []string{"ann", "ben"}, lockedIn(m, "far"), "who was locked before activate, and after it")
	nothingPending(t, m)
	assert.NotContains(t, m.MustRun("snapbe status"), "far\"")
}

// attached gives those zones roots that were made after the BE.
func attached(t *testing.T, m *lab.Machine, id string) {
	was := lasting(m)
	refuses(t, m, 1, "snapbe zone attach box", "/var/lib/machines/box is not empty", "hint: move away what is in it")
	refuses(t, m, 1, "snapbe zone attach -x deny-zbe-clone db", `zbe is of "debian", and would have to be cloned`)
	does(t, m, "snapbe zone attach -n db")
	assert.Equal(t, was, lasting(m), "nor does a dry run change anything")

	assert.Contains(t, m.MustRun("cat /etc/systemd/nspawn/db.nspawn"), "VirtualEthernet=no", "its settings have come along")
	m.MustRun("test -L /etc/systemd/system/machines.target.wants/systemd-nspawn@db.service; mv /var/lib/machines/box /var/lib/old-box")
	for _, zone := range []string{"box", "db"} {
		does(t, m, "snapbe zone attach "+zone)
		hasRoot(t, m, zone, "rpool/zones/"+zone+"/ROOT/zbe-1", "2026-11")
		assert.Equal(t, []string{uuid(m, "debian"), "on", "-"}, marks(m, "rpool/zones/"+zone+"/ROOT/zbe"), "the other BE keeps its own")
	}
	assert.Equal(t, "box\n", m.MustRun("cat /var/lib/machines/box/etc/hostname"))
	starts(t, m, "db")
	assert.Equal(t, id, m.MustRun("cat /var/lib/machines/db/etc/machine-id"), "it is the same machine")
	for _, command := range []string{"attach db", "failback db", "destroy -y db"} {
		refuses(t, m, 5, "snapbe zone "+command, "it is running", "hint: machinectl poweroff db")
	}
}

// failedBackAlone brings one zone back to what it was in the old BE, and forth again:
// neither the host nor its share nor another zone goes along.
func failedBackAlone(t *testing.T, m *lab.Machine) {
	m.MustRun("cd /var/lib/machines/web; echo two > root/later; echo more > var/share/log/later")
	out := does(t, m, "snapbe zone failback web")
	assert.Contains(t, out, "zbe-1 stays, and boots no more: snapbe zone attach --zbe zbe-1 web takes it back")
	hasRoot(t, m, "web", webRoots+"zbe-2", "2026-11")
	assert.Contains(t, m.MustRun("zfs get -Ho value origin "+webRoots+"zbe-2"), webRoots+"zbe@")
	assert.Equal(t, []string{uuid(m, "2026-11"), "off", "-"}, marks(m, webRoots+"zbe-1"))
	assert.Equal(t, "more\n", m.MustRun("cd /var/lib/machines/web; cat root/later 2>/dev/null; cat var/share/log/later"), "what is on its share stays")
	assert.Equal(t, webRoots+"zbe-2/srv\n", m.MustRun("findmnt -no SOURCE /var/lib/machines/web/srv"))
	assert.Equal(t, "2026-11", running(m))
	assert.Equal(t, "rpool/zones/db/ROOT/zbe-1", shownRoot(m, "db"))
	starts(t, m, "web")
	halts(m, "web")

	does(t, m, "snapbe zone attach --zbe zbe-1 web")
	hasRoot(t, m, "web", webRoots+"zbe-1", "2026-11")
	assert.Equal(t, []string{uuid(m, "2026-11"), "off", "-"}, marks(m, webRoots+"zbe-2"))
	assert.Equal(t, "two\n", m.MustRun("cat /var/lib/machines/web/root/later"))
}

// elsewhere is the UUID of another host's BE.
const elsewhere = "00000000-0000-4000-9000-000000000001"

// orphan makes a clone of a root of the far zone as another host's snapbe does.
func orphan(from, name string) string {
	return fmt.Sprintf(`zfs snapshot -o org.snapbe:op=%[1]s %[2]s%[3]s@there-%[4]s
		zfs clone -o canmount=noauto -o mountpoint=/ -o org.opensolaris.libbe:active=on -o org.opensolaris.libbe:parentbe=%[1]s \
			-o org.snapbe:booted=$(date -u +%%FT%%TZ) %[2]s%[3]s@there-%[4]s %[2]s%[4]s`, elsewhere, farRoots, from, name)
}

// markerFile takes a zone to another host and back: the root that has what was written
// there is not the one that belongs to the BE here. The stale one is not chosen unseen.
func markerFile(t *testing.T, m *lab.Machine) {
	m.MustRun("set -e; " + exportTank + `
		zpool import -N -o cachefile=none -d /home -R /mnt tank
		` + orphan("zbe-1", "zbe-2") + `
		zfs mount ` + farRoots + `zbe-2; echo I was here > /mnt/root/my_marker_file
		zfs unmount ` + farRoots + `zbe-2; zpool export tank
		` + importTank)
	assert.Contains(t, does(t, m, "snapbe zone attach -n -x attach-last-booted-zbe far"), farRoots+"zbe-2")

	// Before anybody asks.
	m.MustRun("systemctl restart snapbe-zones.service")
	const said = `the zone "far" has orphans (zbe-2), which may be newer: snapbe zone attach far compares them, snapbe zone destroy-orphans far takes them away`
	assert.Contains(t, m.MustRun("journalctl -b -u snapbe-zones.service -o cat --no-pager"), said)
	assert.Contains(t, m.MustRun("snapbe status"), said)
	assert.Regexp(t, `(?m)^far;zbe-2;O;;.*;`+farRoots+`zbe-2$`, does(t, m, "snapbe zone list -H"))

	was := lasting(m)
	out := refuses(t, m, 1, "snapbe zone attach far", `cannot attach the zone "far": it has 2 zone BEs to choose from`,
		"hint: snapbe zone attach --zbe zbe-2 far takes the one with the newest files; --zbe NAME another one")
	const at = `\d{4}-\d\d-\d\d \d\d:\d\d UTC`
	assert.Regexp(t, `(?m)note: zbe-1: of "2026-11", made `+at+`, booted last `+at+`, newest file /\S+ of `+at+`, 1 file different from zbe-2$`, out)
	assert.Regexp(t, `(?m)note: zbe-2: an orphan of `+elsewhere+`, made `+at+`, booted last `+at+`, newest file /root/my_marker_file of `+at+`, the newest of all$`, out)
	refuses(t, m, 1, "snapbe zone attach -y -x destroy-orphan-zbes far", "it has 2 zone BEs to choose from")
	refuses(t, m, 2, "snapbe zone attach --zbe zbe-2 -x attach-last-booted-zbe far", "the choices contradict each other")
	assert.Equal(t, was, lasting(m), "it does not choose by itself")
	assert.Equal(t, farRoots+"zbe-1", shownRoot(m, "far"))

	does(t, m, "snapbe zone attach --zbe zbe-2 far")
	hasRoot(t, m, "far", farRoots+"zbe-2", "2026-11")
	assert.Equal(t, "I was here\n", m.MustRun("cat /var/lib/machines/far/root/my_marker_file"))
	assert.Equal(t, []string{uuid(m, "2026-11"), "off", "-"}, marks(m, farRoots+"zbe-1"), "it stays, and boots no more")
	assert.NotContains(t, m.MustRun("snapbe status"), "far\"")
}

// orphansGo clones an orphan, and takes that away, which the clone depends on: not
// unasked, and not with a snapshot of the user's.
func orphansGo(t *testing.T, m *lab.Machine) {
	m.MustRun("set -e\n" + orphan("zbe-2", "zbe-7"))
	does(t, m, "snapbe zone attach --zbe zbe-7 -x force-zbe-clone far")
	root := shownRoot(m, "far")
	require.NotContains(t, []string{farRoots + "zbe-2", farRoots + "zbe-7"}, root)
	hasRoot(t, m, "far", root, "2026-11")
	assert.Contains(t, m.MustRun("zfs get -Ho value origin "+root), farRoots+"zbe-7@")
	assert.Equal(t, []string{elsewhere, "on", "-"}, marks(m, farRoots+"zbe-7"), "it stays an orphan")

	m.MustRun("zfs snapshot " + farRoots + "zbe-7@mine")
	was := lasting(m)
	refuses(t, m, 1, "snapbe zone destroy-orphans -y", farRoots+"zbe-7@mine, which snapbe did not make, would be lost", "hint: -s takes all of its snapshots along")
	const goes, asked = `note: goes: zbe-7 of the zone "far", made `, "this has to be agreed to"
	refuses(t, m, 2, "snapbe zone destroy-orphans -s far", goes, "(less than a day old), booted last ", asked, "hint: -y agrees beforehand")
	assert.Equal(t, was, lasting(m), "nothing went unasked")
	assert.Contains(t, does(t, m, "snapbe zone destroy-orphans -s -y far"), goes)
	assert.Empty(t, m.MustRun("zfs list -Ho name -t all -r tank | grep -E '/zbe-7(@|$)' || true"))
	hasRoot(t, m, "far", root, "2026-11")
	assert.Equal(t, "I was here\n", m.MustRun("cat /var/lib/machines/far/root/my_marker_file"))

	// And along with an attachment.
	m.MustRun("set -e\n" + orphan("zbe-2", "zbe-9"))
	const attach = "snapbe zone attach --zbe zbe-2 -x destroy-orphan-zbes "
	refuses(t, m, 2, attach+"far", `note: goes: zbe-9 of the zone "far"`, asked)
	does(t, m, attach+"-y far")
	hasRoot(t, m, "far", farRoots+"zbe-2", "2026-11")
	assert.Empty(t, m.MustRun("zfs list -Ho name -t all -r tank | grep -E '/zbe-9(@|$)' || true"))
	assert.NotContains(t, m.MustRun("snapbe status"), "far\"")
	refuses(t, m, 0, "snapbe zone destroy-orphans", "nothing to do")
}

// withoutTank is a world without its mounts and the pool that comes and goes.
func withoutTank(world string) string {
	lines := slices.Collect(strings.Lines(unmounted(normal(world))))
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "tank") }), "")
}

// cutWithoutAPool takes the power away when the clones of a new BE are made on both
// pools, one of which is not there when the machine starts: it is as if nothing had
// been begun, and what is left on the other pool does not count, and goes.
func cutWithoutAPool(t *testing.T, m *lab.Machine) {
	for _, tool := range []string{"zfs", "zpool"} {
		m.Write("/root/stop/"+tool, []byte(stopper), 0o755)
	}
	_, n := calls(t, m, "snapbe create 2026-12")
	// The kernel is asked for the clones, and this is what follows them.
	at, err := strconv.Atoi(strings.TrimSpace(m.MustRun("grep -n 'inherit .*org.snapbe:op' /run/stop.calls | head -1 | cut -d: -f1")))
	require.NoError(t, err)
	m.MustRun("snapbe destroy -F 2026-12")
	root, before := shownRoot(m, "far"), withoutTank(world(m))

	m.SkipConsole()
	m.Write("/root/aside.sh", []byte(stopped("cut", at, "snapbe create 2026-12")+"\n"), 0o755)
	m.MustRun("setsid sh /root/aside.sh > /root/aside.log 2>&1 < /dev/null &")
	said := m.Expect(`stopped before: ([^\r\n]*)`, time.Minute)
	t.Logf("power cut before call %d of %d: %s", at, n, said[1])
	m.PowerCut()
	m.PowerOn()
	m.WaitSSH(bootTime)
	require.Equal(t, "2026-11", running(m))
	inPlace(m)
	healthy(t, m)
	t.Logf("%s", m.MustRun("journalctl -b -u snapbe-recover.service -o cat --no-pager"))
	nothingPending(t, m)
	assert.Equal(t, before, withoutTank(world(m)), "undone")
	hasRoot(t, m, "web", webRoots+"zbe-1", "2026-11")
	hasRoot(t, m, "db", "rpool/zones/db/ROOT/zbe-1", "2026-11")

	m.MustRun(importTank + " && systemctl restart snapbe-zones.service")
	hasRoot(t, m, "far", root, "2026-11")
	assert.Equal(t, "I was here\n", m.MustRun("cat /var/lib/machines/far/root/my_marker_file"))
	list := does(t, m, "snapbe zone list -H")
	require.Regexp(t, `(?m)^far;[^;]*;!O;`, list, "the cut came when it was made")
	does(t, m, "snapbe status")
	does(t, m, "snapbe zone destroy-orphans -y far")
	assert.NotRegexp(t, `(?m)^[^;]*;[^;]*;[NR]*[!O]`, m.MustRun("snapbe zone list -H"))
	hasRoot(t, m, "far", root, "2026-11")

	does(t, m, "snapbe create 2026-12")
	assert.Equal(t, "4\n", m.MustRun("zfs get -Ho value -s local -t filesystem org.opensolaris.libbe:parentbe | grep -c "+uuid(m, "2026-12")))
}

// zoneGoes destroys the zone that another one was cloned from: shown first, and the
// other one keeps all it has.
func zoneGoes(t *testing.T, m *lab.Machine) {
	was := lasting(m)
	refuses(t, m, 1, "snapbe zone destroy -y web", "rpool/zones/web/VARSHARE@mine, which snapbe did not make, would be lost")
	out := refuses(t, m, 2, "snapbe zone destroy -s web", "goes: its share rpool/zones/web/VARSHARE with all that is in it", "promotes rpool/zones/db/ROOT/zbe", "this has to be agreed to")
	for name, be := range map[string]string{"zbe": "debian", "zbe-1": "2026-11", "zbe-2": "2026-11", "zbe-3": "2026-12"} {
		assert.Regexp(t, regexp.QuoteMeta(fmt.Sprintf(`goes: %s, of %q, made `, name, be)), out)
	}
	assert.Equal(t, was, lasting(m), "nothing went unasked")
	does(t, m, "snapbe zone destroy -s -y web")
	assert.Empty(t, m.MustRun("zfs list -Ho name -t all | grep ^rpool/zones/web || true"))
	assert.Empty(t, m.MustRun("ls -d /var/lib/machines/web /etc/systemd/nspawn/web.nspawn /var/lib/snapbe/zones/web /run/snapbe/placed/web 2>/dev/null || true"))
	assert.NotContains(t, m.MustRun("snapbe zone list -H"), "web;")
	hasRoot(t, m, "db", "rpool/zones/db/ROOT/zbe-1", "2026-11")
	starts(t, m, "db")
	nothingPending(t, m)
	healthy(t, m)
	assert.Contains(t, does(t, m, "snapbe status"), "All is well.")
}
