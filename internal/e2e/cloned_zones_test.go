//go:build vm

package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

// machine makes a plain directory machine of the host's own files, a real Debian
// with systemd and apt, without what a container does not need and without the
// compilers that built the host's ZFS.
func machine(m *lab.Machine, name string) {
	m.MustRun(fmt.Sprintf(`set -e; z=/var/lib/machines/%[1]s; mkdir -p $z
		tar -C / --one-file-system --xattrs --acls --exclude=./usr/lib/modules --exclude=./usr/src --exclude=./usr/lib/firmware --exclude=./boot --exclude=./usr/lib/grub \
			--exclude=./usr/include --exclude=./usr/lib/gcc --exclude=./usr/libexec/gcc --exclude=./usr/lib/bfd-plugins --exclude='./usr/bin/x86_64-linux-gnu-*' --exclude='./usr/lib/x86_64-linux-gnu/*.a' \
			--exclude=./usr/share/doc --exclude=./usr/share/zoneinfo --exclude=./usr/share/i18n --exclude=./var/lib/dkms --exclude=./var/lib/machines \
			--exclude=./var/cache/* --exclude=./var/log/* --exclude=./root/* --exclude=./tmp/* --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* --exclude=./run/* -cf - . | tar -C $z --xattrs --acls -xpf -
		mkdir -p $z/opt && cp -a /opt/repo $z/opt/
		cd $z; rm -f etc/fstab etc/systemd/system/*.wants/{ssh,cron,zfs,snapbe}* etc/systemd/system/*.wants/*zfs* etc/ssh/ssh_host_*; rm -rf etc/systemd/system/local-fs.target.wants etc/systemd/system/zfs*
		echo %[1]s > etc/hostname; echo kept > etc/mine; setfattr -n user.note -v kept etc/mine; ln etc/mine var/mine
		printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c "widget > /var/lib/running"\n[Install]\nWantedBy=multi-user.target\n' > etc/systemd/system/report.service
		ln -sf ../report.service etc/systemd/system/multi-user.target.wants/
		chroot . dpkg --purge --force-all snapbe >/dev/null 2>&1 || true
		mkdir -p /etc/systemd/nspawn; printf '[Exec]\nPrivateUsers=no\n[Network]\nPrivate=yes\nVirtualEthernet=no\n' > /etc/systemd/nspawn/%[1]s.nspawn`, name))
}

// zoneNames are those of the test: two of them run.
func zoneNames(n int) (names []string) {
	names = []string{"web", "db"}
	for i := len(names); i < n; i++ {
		names = append(names, fmt.Sprintf("z%02d", i+1))
	}
	return names
}

// versions tells which version each zone has where it boots.
func versions(m *lab.Machine, names []string) string {
	return m.MustRun(fmt.Sprintf(`for z in %s; do chroot /var/lib/machines/$z widget 2>/dev/null || echo none; done | sort | uniq -c | sed 's/^ *//'`, strings.Join(names, " ")))
}

// inPlace waits until the zones are, which the boot does not wait for with ssh.
func inPlace(m *lab.Machine) { m.MustRun("systemctl start snapbe-zones.service") }

// up holds that both machines with services run, with a version's software.
func up(t *testing.T, m *lab.Machine, version string) {
	t.Helper()
	inPlace(m)
	for _, z := range []string{"web", "db"} {
		require.Eventually(t, func() bool {
			out, _ := m.Run("cat /var/lib/machines/" + z + "/var/lib/running; machinectl show -p State --value " + z)
			return out == version+"\nrunning\n"
		}, 4*time.Minute, 2*time.Second, "the zone %q runs version %s", z, version)
	}
}

// TestZones takes a host with zones through the whole cycle: 20, or in a hurry 6. Its file's name
// makes it begin first, since it takes longest.
func TestZones(t *testing.T) {
	t.Parallel()
	m := adopted(t, "trixie", "single")
	names := zoneNames(6)
	if deep() {
		names = zoneNames(20)
	}
	madeZones(t, m, names)
	upgraded(t, m, names)
	zonesSwitch(t, m, names)
}

// madeZones adopts a plain machine and makes the others of it.
func madeZones(t *testing.T, m *lab.Machine, names []string) {
	machine(m, "web")
	was := m.MustRun("cd /var/lib/machines/web && find . -printf '%p|%y|%m|%U|%G|%n|%l|%T@\\n' | sort | sha256sum; getfattr -hd etc/mine")
	t.Logf("%s", m.MustRun("snapbe zone adopt web 2>&1"))
	assert.Equal(t, was, m.MustRun("cd /var/lib/machines/web && find . -printf '%p|%y|%m|%U|%G|%n|%l|%T@\\n' | sort | sha256sum; getfattr -hd etc/mine"), "nothing is lost")
	assert.Equal(t, "rpool/zones/web/ROOT/zbe\n", m.MustRun("findmnt -no SOURCE /var/lib/machines/web"))
	for _, z := range names[1:] {
		m.MustRun("snapbe zone clone web " + z + " 2>&1")
	}
	assert.Empty(t, m.MustRun("cat /var/lib/machines/db/etc/machine-id"), "a new machine has an identity of its own")
	m.MustRun("systemctl enable --quiet machines.target; for z in web db; do machinectl enable $z 2>/dev/null; machinectl start $z; done")
	up(t, m, "1")
	assert.Equal(t, fmt.Sprintf("%d 1\n", len(names)), versions(m, names))
}

// upgraded makes a BE with all zones and upgrades them; one of them fails, and is
// taken up again.
func upgraded(t *testing.T, m *lab.Machine, names []string) {
	// apt in some of them; what it takes in the others, on an emulated machine, is
	// no use to anybody.
	for _, z := range names[4:] {
		if z != "z05" {
			m.MustRun("printf '[zones." + z + "]\nupgrade = \"dpkg -i /opt/repo/widget_2_all.deb\"\n' >> /etc/snapbe/snapbe.toml")
		}
	}
	t.Logf("%s", m.MustRun("snapbe create 2026-11 2>&1"))
	assert.Equal(t, fmt.Sprintln(len(names)), m.MustRun("zfs list -Ho name | grep -c /ROOT/zbe-1$"))
	assert.Equal(t, "1\n", m.MustRun("zfs get -Ho value createtxg $(zfs get -Ho value origin rpool/ROOT/2026-11 $(zfs list -Ho name | grep /ROOT/zbe-1$)) | sort -u | wc -l"), "host and zones are of one moment")
	m.MustRun("snapbe exec 2026-11 --zone z05 -- sh -c 'echo nonsense > /etc/dpkg/dpkg.cfg.d/broken'")
	out, err := m.Run("snapbe upgrade 2026-11 2>&1")
	t.Logf("%s", out)
	assert.Equal(t, 1, lab.ExitCode(err), "a failing zone")
	assert.Regexp(t, `zone z05: FAILED`, out)
	assert.Len(t, regexp.MustCompile(`(?m)^ *zone \w+: ok`).FindAllString(out, -1), len(names)-1)
	assert.Equal(t, fmt.Sprintf("%d 1\n", len(names)), versions(m, names), "what runs is untouched")
	assert.Equal(t, fmt.Sprintf("%d 2\n1 1\n", len(names)-1), m.MustRun(fmt.Sprintf(`for z in %s; do snapbe exec 2026-11 --zone $z -- widget; done 2>/dev/null | sort -r | uniq -c | sed 's/^ *//'`, strings.Join(names, " "))))
	assert.Contains(t, m.MustRun("cat /var/log/snapbe/upgrade-2026-11/z05.log"), "nonsense")
	assert.Equal(t, "600\n", m.MustRun("stat -c %a /var/log/snapbe/upgrade-2026-11/z05.log"))
	m.MustRun("snapbe exec 2026-11 --zone z05 -- rm /etc/dpkg/dpkg.cfg.d/broken")
	out = m.MustRun("snapbe upgrade 2026-11 2>&1")
	t.Logf("%s", out)
	assert.Regexp(t, `zone z05: ok`, out)
	assert.NotRegexp(t, `zone z06: (begun|ok)`, out, "only what is not done is taken up")
	assert.Equal(t, "2\n", m.MustRun("snapbe exec 2026-11 --zone z05 -- widget 2>/dev/null"))
	assert.Empty(t, m.MustRun("ls -d /var/lib/machines/*/var/lib/widget-started-2* 2>/dev/null || true"))
	cleanAside(t, m, "2026-11")
}

// zonesSwitch boots there and back, by command and by hand in the menu: the zones
// are always those of the BE that runs.
func zonesSwitch(t *testing.T, m *lab.Machine, names []string) {
	t.Logf("%s", m.RunReboot("snapbe activate --reboot 2026-11 2>&1", bootTime))
	assert.Equal(t, "2026-11", running(m))
	up(t, m, "2")
	assert.Equal(t, fmt.Sprintf("%d 2\n", len(names)), versions(m, names))
	healthy(t, m)

	m.PowerOff()
	m.PowerOn()
	pick(m, `Failback: BE debian`)
	m.Send("\r")
	m.WaitSSH(bootTime)
	assert.Equal(t, "debian", running(m))
	inPlace(m)
	assert.Equal(t, fmt.Sprintf("%d 1\n", len(names)), versions(m, names), "picked by hand")
	m.Reboot()
	inPlace(m)
	assert.Equal(t, fmt.Sprintf("%d 2\n", len(names)), versions(m, names))

	t.Logf("%s", m.RunReboot("snapbe failback --reboot 2>&1", bootTime))
	assert.Equal(t, "debian", running(m))
	up(t, m, "1")
	assert.Equal(t, fmt.Sprintf("%d 1\n", len(names)), versions(m, names))
	healthy(t, m)

	m.MustRun("snapbe create 2026-12; snapbe destroy -F 2026-11 2>&1")
	assert.Equal(t, "0\n", m.MustRun("zfs list -Ho name | grep -c /ROOT/zbe-1$ || true"))
	assert.Equal(t, fmt.Sprintf("%d 1\n", len(names)), versions(m, names))
}
