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

// stopper stands before zfs and zpool in PATH. At call number STOP_AT it kills
// snapbe, or says so on the console and waits for the power to be cut; all
// other calls go through.
const stopper = `#!/bin/sh
exec 9>/run/stop.lock; flock 9
echo "$*" >> /run/stop.calls; n=$(wc -l < /run/stop.calls)
exec 9>&-
if [ "$n" = "$STOP_AT" ]; then
	case $STOP in
	kill) kill -9 $PPID; exit 1 ;;
	cut) echo "stopped before: ${0##*/} $*" > /dev/ttyS0; exec sleep 600 ;;
	esac
fi
exec "/usr/sbin/${0##*/}" "$@"
`

// stoppable is a guest with the stopper in place, and with two zones, one of them
// with a nested dataset.
func stoppable(t *testing.T) *lab.Machine {
	m := adopted(t, "trixie", "single")
	listed(m, "/etc/lab")
	m.MustRun(`mkdir /etc/lab; set -e; zfs create -o mountpoint=none -o canmount=off rpool/zones
		for z in a b; do
			zfs create -o canmount=off rpool/zones/$z; zfs create -o canmount=off rpool/zones/$z/ROOT
			zfs create -u -o mountpoint=/ -o canmount=noauto -o org.opensolaris.libbe:active=on -o org.opensolaris.libbe:parentbe=$(zfs get -Ho value org.opensolaris.libbe:uuid rpool/ROOT/debian) rpool/zones/$z/ROOT/zbe
		done
		zfs create -u -o canmount=noauto rpool/zones/b/ROOT/zbe/srv; zfs set org.snapbe:zones=rpool/zones rpool/ROOT; snapbe boot zones`)
	for _, tool := range []string{"zfs", "zpool"} {
		m.Write("/root/stop/"+tool, []byte(stopper), 0o755)
	}
	return m
}

// stopped is the command with the stopper in charge.
func stopped(how string, at int, command string) string {
	return fmt.Sprintf(": > /run/stop.calls; STOP=%s STOP_AT=%d PATH=/root/stop:$PATH %s", how, at, command)
}

// calls is how many programs of ZFS a command runs, which is not stopped, and
// which is the first that changes something: the one that writes the journal.
func calls(t *testing.T, m *lab.Machine, command string) (first, n int) {
	m.MustRun(stopped("none", 0, command))
	for line := range strings.Lines(m.MustRun("cat /run/stop.calls")) {
		n++
		if first == 0 && strings.Contains(line, "snapbe:journal={") {
			first = n
		}
	}
	require.Positive(t, first)
	return first, n
}

// spread picks some of the numbers from first to last, both among them.
func spread(first, last int) (some []int) {
	const most = 3
	for i := range min(most, last-first+1) {
		some = append(some, first+i*(last-first)/(min(most, last-first+1)-1))
	}
	return some
}

// world is all of the pool that a user could tell apart, the menu, and mounts.
func world(m *lab.Machine) string {
	return m.MustRun(`zfs list -Ho name,origin -t all -r rpool
		zfs get -Ho name,property,value -s local -t filesystem,volume all | grep -v 'snapbe:journal\|org.snapbe:booted' | sort
		zpool get -Ho value bootfs rpool
		cat /boot/grub/snapbe.cfg
		mount -t zfs -o zfsutil rpool/ROOT/new /mnt 2>/dev/null && { cd /mnt && sha256sum etc/shadow etc/lab/* 2>/dev/null; ls -A etc etc/lab | grep snapbe-new; cd / && umount /mnt; }
		findmnt -nlo SOURCE,TARGET -t zfs | grep -v /root/ | sort | sed 's/^/mounted /'; cat /proc/[0-9]*/mounts 2>/dev/null | grep ROOT/new | sort -u | sed 's/^/mounted /'`)
}

var (
	uuidForm = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	guidList = regexp.MustCompile(`(org\.snapbe:had\t)[0-9,]+`)
	snapName = regexp.MustCompile(`(@|sync-|synced-)20[0-9]{2}-[0-9:.-]+`)
)

// normal takes from a world what differs between two runs of one operation.
func normal(world string) string {
	var out []string
	for line := range strings.Lines(world) {
		line = guidList.ReplaceAllString(line, "${1}GUIDS")
		out = append(out, snapName.ReplaceAllString(uuidForm.ReplaceAllString(line, "UUID"), "${1}TIME"))
	}
	return strings.Join(out, "")
}

// unmounted is a world without its mounts, which follow from what runs.
func unmounted(world string) string {
	var out []string
	for line := range strings.Lines(world) {
		if !strings.HasPrefix(line, "mounted ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// stopCase is an operation to be stopped, how to make ready for it, and how to
// go back to before it. Those that are brief are stopped less often, unless time does
// not matter.
type stopCase struct {
	name, ready, run, back string
	brief                  bool
}

// some of the calls, or the last alone.
func (c stopCase) some(calls ...int) []int {
	if c.brief && !deep() {
		return calls[len(calls)-1:]
	}
	return calls
}

// differing makes a BE that the running one has a newer file for.
const differing = "echo old > /etc/lab/file && snapbe create new && echo new > /etc/lab/file"

var stopCases = []stopCase{
	{"create", "true", "snapbe create -d 'a try' new", "snapbe destroy -F new", true},
	{"activate", differing, "snapbe activate new", "snapbe activate debian && snapbe destroy -F new && " + differing, false},
	{"destroy", "snapbe create new", "snapbe destroy -F new", "snapbe create new", true},
}

// rehearse makes ready, runs the operation unhindered, and goes back: it tells
// the worlds before and after, and which programs of ZFS were run; see calls.
func (c stopCase) rehearse(t *testing.T, m *lab.Machine) (before, after string, first, n int) {
	m.MustRun(c.ready)
	before = normal(world(m))
	first, n = calls(t, m, c.run)
	after = normal(world(m))
	require.NotEqual(t, before, after)
	m.MustRun(c.back)
	require.Equal(t, before, normal(world(m)), "the case must lead back")
	return before, after, first, n
}

// TestKilled kills snapbe before programs of ZFS that it runs: recover brings
// the operation to exactly before or exactly after. The tests of package be stop
// it everywhere.
func TestKilled(t *testing.T) {
	t.Parallel()
	m := stoppable(t)
	for _, c := range stopCases {
		t.Run(c.name, func(t *testing.T) {
			m.Bind(t)
			before, after, first, n := c.rehearse(t, m)
			t.Logf("stopped before some of the calls %d to %d", first, n)
			for _, at := range c.some(spread(first, n)...) {
				out, err := m.Run(stopped("kill", at, c.run))
				require.Error(t, err, "stopped at call %d of %d: %s", at, n, out)
				m.MustRun("snapbe recover")
				got := normal(world(m))
				if got != before {
					require.Equal(t, after, got, "killed before call %d of %d", at, n)
					m.MustRun(c.back)
				}
			}
			m.MustRun("snapbe activate debian; snapbe destroy -F new 2>/dev/null || true")
		})
	}
}

// TestPowerCut takes the power away in the middle of operations: the machine
// boots by itself into the BE that was good, and has ended the operation.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	m := stoppable(t)
	for _, c := range stopCases {
		t.Run(c.name, func(t *testing.T) {
			m.Bind(t)
			before, after, first, n := c.rehearse(t, m)
			for _, at := range c.some(n-1, (first+n)/2) {
				m.SkipConsole()
				m.Write("/root/aside.sh", []byte(stopped("cut", at, c.run)+"\n"), 0o755)
				m.MustRun("setsid sh /root/aside.sh > /root/aside.log 2>&1 < /dev/null &")
				said := m.Expect(`stopped before: ([^\r\n]*)`, time.Minute)
				t.Logf("%s: power cut before call %d of %d: %s", c.name, at, n, said[1])
				m.PowerCut()
				m.PowerOn()
				m.WaitSSH(bootTime)
				m.MustRun("systemctl is-system-running --wait >/dev/null || true")
				// What runs is what the operation, ended or undone, is to boot.
				boots := strings.TrimPrefix(strings.TrimSpace(m.MustRun("zpool get -Ho value bootfs rpool")), "rpool/ROOT/")
				if c.name == "activate" {
					assert.Contains(t, []string{"debian", boots}, running(m))
				} else {
					assert.Equal(t, "debian", running(m))
				}
				assert.Empty(t, m.MustRun("systemctl --failed --no-legend --plain"))
				assert.Equal(t, "-\n", m.MustRun("zfs get -Ho value org.snapbe:journal rpool/ROOT"), "recovered at boot")
				got := unmounted(normal(world(m)))
				switch {
				case running(m) == "new": // it has taken over besides
					assert.Equal(t, "new\n-\n", m.MustRun("cat /etc/lab/file; zfs get -Ho value org.snapbe:handover rpool/ROOT"), "cut before call %d of %d", at, n)
					assert.Empty(t, m.MustRun("ls -A /etc /etc/lab | grep snapbe-new || true"))
				case got != unmounted(before):
					require.Equal(t, unmounted(after), got, "cut before call %d of %d", at, n)
				}
				switch {
				case running(m) == "new":
					m.RunReboot("snapbe activate --reboot debian", bootTime)
					m.MustRun("snapbe destroy -F new; " + c.ready)
				case got != unmounted(before):
					m.MustRun(c.back)
				}
			}
			m.MustRun("snapbe activate debian; snapbe destroy -F new 2>/dev/null || true")
		})
	}
}
