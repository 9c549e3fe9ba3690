//go:build vm

package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

// TestSync follows a host's accounts, jobs and logs through the whole life of a
// BE: from its making over its first boot to the failback.
func TestSync(t *testing.T) {
	t.Parallel()
	m := adopted(t, "trixie", "single")
	s := &synced{m: m, secret: &secrets{m: m}}
	accounts(m, "alice", "bob", "dave", "erin", "gina")
	listed(m, "/var/log/lab.log APPEND", "/var/spool/lab")
	m.MustRun("echo before > /var/log/lab.log; mkdir /var/spool/lab")
	s.secret.learn()
	t.Logf("%s", m.MustRun("snapbe create 2026-11"))
	s.goesOn(t)
	s.byHand(t)
	s.atTheFirstBoot(t)
	s.failedBack(t)
}

// synced is a host in TestSync.
type synced struct {
	m      *lab.Machine
	secret *secrets
	// people are the passwd lines of accounts as the BE has them that they were
	// made in.
	people []string
	// bob is his password's hash, as it was last changed.
	bob string
}

// goesOn: after the BE was made, the old one goes on, and the new one is worked
// on.
func (s *synced) goesOn(t *testing.T) {
	s.m.MustRun(`usermod -L alice
		echo bob:second | chpasswd
		useradd carol
		echo '0 5 * * * true # nightly' | crontab -
		echo job > /var/spool/lab/job; chmod 640 /var/spool/lab/job; chown bob:mail /var/spool/lab/job
		echo 'old 1' >> /var/log/lab.log`)
	s.people = append(s.people,
		s.m.MustRun("getent passwd carol"),
		in(s.m, "2026-11", "useradd -r newsvc; usermod -L gina; echo 'new 1' >> /var/log/lab.log; getent passwd newsvc"))
	s.bob = password(s.m, "bob")
	s.secret.learn()
}

// byHand: a dry run tells and changes nothing, a sync does it, a second one and
// the one that goes along with activate find nothing to do.
func (s *synced) byHand(t *testing.T) {
	before := world(s.m)
	dry := s.m.MustRun("snapbe sync -n 2026-11")
	t.Logf("%s", dry)
	for _, what := range []string{"alice", "bob", "carol", "/etc/shadow", "crontabs", "/var/log/lab.log", "/var/spool/lab/job"} {
		assert.Contains(t, dry, what)
	}
	assert.Equal(t, before, world(s.m), "a dry run changes nothing")
	out := s.m.MustRun("snapbe sync 2026-11")
	t.Logf("%s", out)
	assert.NotContains(t, out, "; 0 B written")
	again := s.m.MustRun("snapbe sync 2026-11")
	t.Logf("again: %s", again)
	assert.Contains(t, again, "; 0 B written")
	assert.NotRegexp(t, acted, again, "a second sync copies nothing")
	asJSON := s.m.MustRun("snapbe sync -n --json 2026-11")
	activate := s.m.MustRun("snapbe activate 2026-11")
	t.Logf("%s", activate)
	assert.Contains(t, activate, "; 0 B written")
	s.secret.absent(t, dry, out, again, asJSON, activate)
}

// atTheFirstBoot: what changes after activate is there at the first boot too,
// before any service runs.
func (s *synced) atTheFirstBoot(t *testing.T) {
	s.m.MustRun("usermod -L dave; useradd frank; echo 'old 2' >> /var/log/lab.log")
	s.people = append(s.people, s.m.MustRun("getent passwd frank"))
	s.secret.learn()
	s.m.Reboot()
	require.Equal(t, "2026-11", running(s.m))
	s.holds(t, []string{"alice", "dave", "gina"}, "before", "new 1", "old 1", "old 2")
	handedOver(t, s.m)
	said := s.m.MustRun("journalctl -b -u snapbe-handover.service -o cat --no-pager")
	t.Logf("%s", said)
	assert.Contains(t, said, `synced from "debian"`)
	healthy(t, s.m)
	s.nothingLeft(t, "debian")
}

// failedBack: a failback through rescue.target takes back what has changed in
// the new BE, and what only that one had.
func (s *synced) failedBack(t *testing.T) {
	s.m.MustRun("usermod -L erin; useradd grace; echo bob:third | chpasswd; echo 'new 2' >> /var/log/lab.log")
	s.people = append(s.people, s.m.MustRun("getent passwd grace"))
	s.bob = password(s.m, "bob")
	s.secret.learn()
	seen := len(s.m.Console())
	out := s.m.RunReboot("snapbe failback --reboot", bootTime)
	t.Logf("%s", out)
	s.secret.absent(t, out)
	assert.Regexp(t, `(?i)rescue mode`, s.m.Console()[seen:], "the sync sees a host at rest")
	require.Equal(t, "debian", running(s.m))
	s.holds(t, []string{"alice", "dave", "erin", "gina"}, "before", "new 1", "new 2", "old 1", "old 2")
	handedOver(t, s.m)
	healthy(t, s.m)
	s.nothingLeft(t, "2026-11")
	out = s.m.MustRun("snapbe sync 2026-11 | grep -v /var/log/wtmp") // which knows of this boot
	t.Logf("and back: %s", out)
	assert.NotRegexp(t, acted, out, "both are the same now")
	t.Logf("%s", s.m.MustRun("zfs list -Ho name -t snapshot -r rpool/ROOT"))
}

// holds is what both BEs have after a switch.
func (s *synced) holds(t *testing.T, locks []string, log ...string) {
	t.Helper()
	assert.Equal(t, locks, locked(s.m))
	assert.Equal(t, s.bob, password(s.m, "bob"))
	for _, line := range s.people {
		name, _, _ := strings.Cut(line, ":")
		assert.Equal(t, line, s.m.MustRun("getent passwd "+name), name)
	}
	assert.Equal(t, "1\n", s.m.MustRun("grep -c ^carol: /etc/subuid"), "carol's subordinate uids")
	assert.Empty(t, s.m.MustRun("pwck -rq; grpck -r"), "the files agree")
	assert.Equal(t, "600 root\n640 root\n", s.m.MustRun("stat -c '%a %U' /var/spool/cron/crontabs/root; stat -c '%a %U' /etc/shadow"))
	assert.Contains(t, s.m.MustRun("crontab -l"), "# nightly")
	assert.Equal(t, "job\n640 bob mail\n", s.m.MustRun("cat /var/spool/lab/job; stat -c '%a %U %G' /var/spool/lab/job"))
	lines := strings.Split(strings.TrimSpace(s.m.MustRun("cat /var/log/lab.log")), "\n")
	assert.ElementsMatch(t, log, lines, "each line once")
}

// nothingLeft: the handover is over, in both BEs no file was left half made, and
// no secret can be read elsewhere.
func (s *synced) nothingLeft(t *testing.T, other string) {
	t.Helper()
	assert.NotContains(t, s.m.MustRun("snapbe handover 2>&1"), "[ok]", "a handover that is over is over")
	nothingPending(t, s.m)
	noTemporary(t, s.m, other)
	s.secret.absent(t, s.m.Console(), s.m.MustRun("journalctl --no-pager -o cat; cat /var/log/*.log; ps ax"))
}

// acted matches where a sync tells that it has changed a file.
var acted = regexp.MustCompile(`(?m)^\s*(copied|appended|prepended|merged|added|removed)\s`)

// in runs a shell script in a BE that does not run.
func in(m *lab.Machine, be, script string) string {
	return m.MustRun("snapbe exec " + be + " -- sh -e <<'END'\n" + script + "\nEND")
}

// accounts makes users with passwords.
func accounts(m *lab.Machine, names ...string) {
	m.MustRun(fmt.Sprintf("for u in %[1]s; do useradd $u; done; for u in %[1]s; do echo $u:first-$u; done | chpasswd", strings.Join(names, " ")))
}

// listed adds lines to the synclist.
func listed(m *lab.Machine, lines ...string) {
	m.MustRun("cat >> /etc/snapbe/synclist <<'END'\n" + strings.Join(lines, "\n") + "\nEND")
}

// locked lists, by name, the users that have a password and are locked.
func locked(m *lab.Machine) []string {
	return strings.Fields(m.MustRun(`awk -F: '$2 ~ /^!.*[$]/ { print $1 }' /etc/shadow | sort`))
}

// password is the hash of an account's password.
func password(m *lab.Machine, user string) string {
	return strings.TrimSpace(m.MustRun("getent shadow " + user + " | cut -d: -f2"))
}

// secrets are the hashes that shadow files have held.
type secrets struct {
	m      *lab.Machine
	hashes []string
}

// learn takes down those of the running BE.
func (s *secrets) learn() {
	for hash := range strings.FieldsSeq(s.m.MustRun(`cut -d: -f2 /etc/shadow /etc/gshadow | tr -d '!*' | grep '^[$]'`)) {
		if !slices.Contains(s.hashes, hash) {
			s.hashes = append(s.hashes, hash)
		}
	}
}

// absent holds that no text has any of them, or the part that was hashed.
func (s *secrets) absent(t *testing.T, texts ...string) {
	t.Helper()
	require.NotEmpty(t, s.hashes)
	for i, text := range texts {
		for _, hash := range s.hashes {
			sum := hash[strings.LastIndex(hash, "$")+1:]
			if strings.Contains(text, sum) {
				t.Errorf("text %d has the hash %.6s…", i, sum)
			}
		}
	}
}

// handedOver holds that the handover was done before sysinit.target was reached,
// and before what reads accounts, logs and spools was started.
func handedOver(t *testing.T, m *lab.Machine) {
	t.Helper()
	done := monotonic(t, m, "snapbe-handover.service", "ExecMainExitTimestampMonotonic")
	assert.Positive(t, done)
	assert.Less(t, done, monotonic(t, m, "sysinit.target", "ActiveEnterTimestampMonotonic"), "sysinit.target")
	for _, unit := range []string{"systemd-tmpfiles-setup.service", "cron.service", "dbus.service", "ssh.service"} {
		assert.Less(t, done, monotonic(t, m, unit, "ExecMainStartTimestampMonotonic"), unit)
	}
}

// monotonic is a unit's property that is a time, in microseconds.
func monotonic(t testing.TB, m *lab.Machine, unit, property string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(strings.TrimSpace(m.MustRun("systemctl show -P "+property+" "+unit)), 10, 64)
	require.NoError(t, err, "%s of %s", property, unit)
	return n
}

// nothingPending holds that no operation is half done and no handover is left.
func nothingPending(t *testing.T, m *lab.Machine) {
	t.Helper()
	assert.Equal(t, "-\n-\n", m.MustRun("zfs get -Ho value org.snapbe:journal,org.snapbe:handover rpool/ROOT"))
}

// noTemporary holds that no file was left half made, in the running BE and
// another one.
func noTemporary(t *testing.T, m *lab.Machine, other string) {
	t.Helper()
	const find = "find /etc /var -xdev -name '.*snapbe-new*' -o -xdev -name '.snapbe-old*'"
	assert.Empty(t, m.MustRun(find))
	assert.Empty(t, in(m, other, find), other)
}
