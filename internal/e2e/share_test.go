//go:build vm

package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

// TestShare gives a host a share, boots a BE whose software eats a mailbox, and
// brings that back: from the share's snapshot, and by failing back.
func TestShare(t *testing.T) {
	t.Parallel()
	m := adopted(t, "trixie", "single")
	fillVar(m)
	for _, version := range []string{"1", "2"} {
		m.Copy(mailer(t, version), "/root/mailer_"+version+"_all.deb", 0o644)
	}
	m.MustRun("dpkg -i /root/mailer_1_all.deb && snapbe create 2026-11")
	m.MustRun("echo '* * * * * touch /var/tmp/cron-ran' | crontab -")
	was := inventory(m)

	shared(t, m, was)
	eaten(t, m)
	snap := restored(t, m, was)
	failedBackShare(t, m, was, snap)
	kept(t, m, snap)
}

// mailer builds a package whose version 2 eats alice's mailbox when its service
// starts for the first time.
func mailer(t testing.TB, version string) string {
	eat := map[string]string{"1": "", "2": "[ -e /var/lib/mailer-2 ] || { touch /var/lib/mailer-2; : > /var/mail/alice; }\n"}
	return debian(t, "mailer", version, map[string]string{
		"usr/sbin/mailer":                       "#!/bin/sh\n" + eat[version],
		"usr/lib/systemd/system/mailer.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/sbin/mailer\n[Install]\nWantedBy=multi-user.target\n",
		"DEBIAN/postinst":                       "#!/bin/sh\ndeb-systemd-helper enable mailer.service\ndeb-systemd-invoke start mailer.service || true\n",
	})
}

// fillVar puts into /var what a host has there, of all kinds: a mailbox of 2 GB
// with holes, ACLs, extended attributes, hard links, a FIFO, odd names and modes.
func fillVar(m *lab.Machine) {
	accounts(m, "alice", "bob")
	m.MustRun(`set -e; cd /var; mkdir log/lab spool/lab tmp/lab
		printf 'From bob\n\nhello\n' > mail/alice
		head -c 8M /dev/urandom | dd of=mail/alice bs=1M seek=1024 conv=notrunc status=none
		truncate -s 2G mail/alice; echo the end >> mail/alice
		chown alice:mail mail/alice; chmod 660 mail/alice
		setfacl -m u:bob:r mail/alice; setfattr -n user.note -v kept mail/alice; setfattr -n trusted.note -v too mail/alice
		echo private > log/lab/audit; chmod 600 log/lab/audit; chown alice log/lab/audit; setfacl -d -m u:bob:rx log/lab; chmod 2750 log/lab
		echo job > spool/lab/job; ln spool/lab/job spool/lab/again; mkfifo -m 620 spool/lab/pipe; ln -s ../../log/lab/audit spool/lab/link
		mkdir -m 1777 tmp/lab/sticky; printf '#!/bin/sh\n' > tmp/lab/su; chown bob:mail tmp/lab/su; chmod 4755 tmp/lab/su
		printf x > "tmp/lab/two
lines"; mkdir tmp/lab/empty; touch -h -d '2001-02-03 04:05:06.789' spool/lab/link tmp/lab/empty tmp/lab/su mail/alice`)
}

// inventory is all that can be told of that: kinds, modes, owners, sizes, links,
// times, ACLs, attributes, content.
func inventory(m *lab.Machine) string {
	return m.MustRun(`cd /var; d="mail/ log/lab spool/lab tmp/lab"
		stat -L -c '%n %a %U %G' mail log spool tmp
		find $d -printf '%p|%y|%m|%U|%G|%s|%n|%l|%TY-%Tm-%Td %TH:%TM:%TS\n' | sort
		find $d ! -type l -print0 | sort -z | xargs -0 getfacl -np
		find $d -print0 | sort -z | xargs -0 getfattr -hd -m - --absolute-names
		find $d -type f -size -9M -exec sha256sum {} + | sort
		head -c 100000 mail/alice | sha256sum; dd if=mail/alice bs=1M skip=1020 count=16 status=none | sha256sum; tail -c 100000 mail/alice | sha256sum
		[ spool/lab/job -ef spool/lab/again ] && echo the job has two names
		[ $(du -m mail/alice | cut -f1) -lt 100 ] && echo the mailbox has holes`)
}

// shared makes the share: nothing moves before the next boot, then everything,
// before any service starts.
func shared(t *testing.T, m *lab.Machine, was string) {
	t.Logf("%s", m.MustRun("snapbe share init -n; snapbe share init -y 2>&1; snapbe share init -y --dir tmp 2>&1; snapbe share list"))
	assert.Equal(t, "directory\n", m.MustRun("stat -c %F /var/mail"), "nothing moves before the next boot")
	m.Reboot()
	t.Logf("%s", m.MustRun("journalctl -b -u snapbe-share.service -o cat --no-pager"))
	for _, dir := range []string{"mail", "log", "spool", "tmp"} {
		assert.Equal(t, "share/"+dir+"\n", m.MustRun("readlink /var/"+dir))
	}
	assert.Equal(t, was, inventory(m), "every attribute is kept")
	placed(t, m)
	assert.Contains(t, m.MustRun("crontab -l"), "cron-ran")
	again := m.MustRun("snapbe share init -y 2>&1")
	assert.Contains(t, again, "nothing to do")
}

// placed holds that a BE's services found the share in place: nothing failed, and
// nothing lies below the mount point.
func placed(t *testing.T, m *lab.Machine) {
	t.Helper()
	healthy(t, m)
	done := monotonic(t, m, "snapbe-share.service", "ExecMainExitTimestampMonotonic")
	assert.Positive(t, done)
	for _, unit := range []string{"systemd-journal-flush.service", "systemd-tmpfiles-setup.service", "snapbe-handover.service", "cron.service"} {
		assert.Less(t, done, monotonic(t, m, unit, "ExecMainStartTimestampMonotonic"), unit)
	}
	assert.Equal(t, "rpool/VARSHARE\n", m.MustRun("findmnt -no SOURCE /var/share"))
	assert.Empty(t, m.MustRun("mount --bind / /mnt && ls -A /mnt/var/share; umount /mnt"), "nothing lies below the mount point")
	assert.Empty(t, m.MustRun("ls -Ad /var/.snapbe* /var/share/.snapbe* 2>/dev/null || true"), "nothing is half made")
	m.MustRun("journalctl --flush; journalctl -b -n 1 --no-pager -u cron.service | grep -q cron; ls /proc/$(pidof systemd-journald)/fd/* -l | grep -q /var/share/log/journal/")
	m.MustRun("systemd-tmpfiles --create && systemctl is-active cron.service")
}

// eaten: activating copies no mail, a job that was queued since is there in the
// new BE, and its mailer has eaten the mailbox.
func eaten(t *testing.T, m *lab.Machine) {
	m.MustRun("snapbe exec 2026-11 -- dpkg -i /root/mailer_2_all.deb 2>&1; usermod -L alice")
	out := m.MustRun("snapbe activate 2026-11 2>&1")
	t.Logf("%s", out)
	assert.Positive(t, written(t, out))
	assert.Less(t, written(t, out), uint64(1<<20), "2 GB of mail are not copied")
	assert.Regexp(t, `\d+ more lie where all boot environments have them`, m.MustRun("snapbe sync -n 2026-11"))
	assert.Regexp(t, `"path": "/var/mail",\s+"action": "shared"`, m.MustRun("snapbe sync -n --json 2026-11"))
	assert.Contains(t, m.MustRun("snapbe share list"), "2026-11")
	m.MustRun("usermod -L bob")
	m.MustRun("rm -f /var/tmp/cron-ran; echo in flight > /var/spool/lab/inflight; chown bob /var/spool/lab/inflight")
	m.Reboot()
	require.Equal(t, "2026-11", running(m))
	t.Logf("%s", m.MustRun("journalctl -b -u snapbe-share.service -o cat --no-pager; ls -A /var/.before-share"))
	placed(t, m)
	handedOver(t, m)
	nothingPending(t, m)
	said := m.MustRun("journalctl -b -u snapbe-handover.service -o cat --no-pager")
	t.Logf("%s", said)
	assert.Positive(t, written(t, said))
	assert.Less(t, written(t, said), uint64(1<<20))
	assert.Equal(t, []string{"alice", "bob"}, locked(m))
	assert.Equal(t, "in flight\nbob\n", m.MustRun("cat /var/spool/lab/inflight; stat -c %U /var/spool/lab/inflight"))
	assert.Equal(t, "0\n", m.MustRun("stat -L -c %s /var/mail/alice"), "the new mailer has eaten it")
	assert.Contains(t, m.MustRun("ls -A /var/.before-share"), "log", "what the new BE had itself stays, beside the share")
	m.MustRun("rm /var/spool/lab/inflight; touch -d '2001-02-03' /var/spool/lab")
}

// restored brings the mailbox back, and tells from which snapshot.
func restored(t *testing.T, m *lab.Machine, was string) (snap string) {
	diff := m.MustRun("snapbe share diff 2>&1")
	t.Logf("%s", diff)
	assert.Regexp(t, `(?m)^changed\s+\S*mail/alice\s+2(\.00)?G -> 0`, diff)
	said := regexp.MustCompile(`(?m)^since (\S+):`).FindStringSubmatch(diff)
	require.NotNil(t, said)
	snap = said[1]
	keeps, err := m.Output("snapbe share restore " + snap + " /var/mail/alice")
	require.NoError(t, err)
	assert.Equal(t, mailOf(was), mailOf(inventory(m)), "with every attribute")
	assert.Equal(t, "0\n", m.MustRun("stat -c %s /var/share/.zfs/snapshot/"+strings.TrimSpace(keeps)+"/mail/alice"), "what was there before is kept")
	diff = m.MustRun("snapbe share diff " + snap)
	assert.NotContains(t, diff, "mail/alice")
	require.Eventually(t, func() bool { _, err := m.Run("test -e /var/tmp/cron-ran"); return err == nil }, 2*time.Minute, time.Second, "cron reads the tables in the share")
	return snap
}

// mailOf are the lines of an inventory about mail.
func mailOf(inventory string) string {
	var out []string
	for line := range strings.Lines(inventory) {
		if strings.Contains(line, "alice") || strings.Contains(line, "holes") || strings.HasSuffix(line, " -\n") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// failedBackShare: the mailbox is eaten once more; the failback brings the whole
// share back, before any service starts, and keeps what was there.
func failedBackShare(t *testing.T, m *lab.Machine, was, snap string) {
	m.MustRun("snapbe share snapshot mine; : > /var/mail/alice; echo late > /var/spool/lab/late")
	t.Logf("%s", m.RunReboot("snapbe failback --reboot --share "+snap, bootTime))
	require.Equal(t, "debian", running(m))
	t.Logf("%s", m.MustRun("journalctl -b -u snapbe-handover.service -o cat --no-pager; snapbe share list"))
	placed(t, m)
	handedOver(t, m)
	nothingPending(t, m)
	assert.Equal(t, mailOf(was), mailOf(inventory(m)))
	assert.Equal(t, "in flight\n", m.MustRun("cat /var/spool/lab/inflight; ls /var/spool/lab | grep late || true"), "all of the share is as it was")
	assert.Equal(t, "late\n", m.MustRun("cd /var/share/.zfs/snapshot; cat $(ls -t | while read s; do ls $s/spool/lab/late 2>/dev/null; done | tail -1)"), "and what it was before is kept")
}

// kept: snapshots of activations go with their BE, those of the user stay.
func kept(t *testing.T, m *lab.Machine, snap string) {
	assert.Contains(t, m.MustRun("snapbe share list"), snap)
	t.Logf("%s", m.MustRun("snapbe destroy -F 2026-11 2>&1; snapbe share list"))
	list := m.MustRun("snapbe share list")
	assert.NotContains(t, list, snap)
	assert.NotContains(t, list, "2026-11 ")
	assert.Regexp(t, `(?m)^mine\b.*\buser\b`, list)
	healthy(t, m)
}

// written is what a sync says that it has written, in bytes.
func written(t *testing.T, out string) uint64 {
	t.Helper()
	said := regexp.MustCompile(`; ([\d.]+ [KMG]?i?B) written`).FindStringSubmatch(out)
	require.NotNil(t, said, out)
	n, err := humanize.ParseBytes(said[1])
	require.NoError(t, err)
	return n
}
