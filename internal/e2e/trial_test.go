//go:build vm

package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

// TestTrial puts BEs on trial: those that are no good lead back to the old one by
// themselves, whatever is wrong with them, and the good one is confirmed.
func TestTrial(t *testing.T) {
	t.Parallel()
	m := adopted(t, "trixie", "single")
	m.MustRun("snapbe create bad && snapbe create good")
	for _, c := range badTrials {
		if c.deep && !deep() {
			continue
		}
		t.Logf("== %s", c.name)
		in(m, "bad", c.spoil)
		cameBack(t, m, c.why)
		in(m, "bad", c.mend)
	}
	confirmed(t, m)
}

// badTrials are what can be wrong with a BE, and what is told of it; some are for
// make vmdeep.
var badTrials = []struct {
	deep                   bool
	name, spoil, mend, why string
}{
	{true, "its kernel is no kernel", `for k in /boot/vmlinuz-*; do mv $k $k.good; echo nonsense > $k; done`,
		`for k in /boot/vmlinuz-*.good; do mv $k ${k%.good}; done`, `came back with the old one`},
	{false, "its init is missing", `mv /usr/lib/systemd/systemd /usr/lib/systemd/systemd.away`,
		`mv /usr/lib/systemd/systemd.away /usr/lib/systemd/systemd`, `came back with the old one`},
	{true, "it comes up in emergency mode", `cp -a /etc/fstab /etc/fstab.good; echo '/dev/nowhere /nowhere ext4 x-systemd.device-timeout=5s 0 0' >> /etc/fstab`,
		`mv /etc/fstab.good /etc/fstab`, `emergency or rescue mode`},
	{true, "a check fails", `mkdir -p /etc/snapbe/health.d; printf '#!/bin/sh\necho no mail; exit 3\n' > /etc/snapbe/health.d/mail; chmod 755 /etc/snapbe/health.d/mail`,
		`rm /etc/snapbe/health.d/mail`, `not healthy by mail`},
}

// cameBack activates the BE on trial, and the machine comes back with the old one.
func cameBack(t *testing.T, m *lab.Machine, why string) {
	t.Logf("%s", m.MustRun("snapbe activate --trial --force bad 2>&1"))
	assert.Contains(t, flags(m, "bad"), "T")
	_, _ = m.Run("systemctl reboot")
	begun := time.Now()
	m.WaitReboot(2 * bootTime)
	for range 3 {
		if out, err := m.Run("findmnt -no SOURCE /"); err == nil && out == "rpool/ROOT/debian\n" {
			break
		}
		m.WaitReboot(2 * bootTime) // it had come up far enough to answer
	}
	require.Equal(t, "debian", running(m))
	t.Logf("the old one answers %.0f s after the reset", time.Since(begun).Seconds())
	m.MustRun("systemctl is-system-running --wait >/dev/null || true")
	assert.Equal(t, "F", flags(m, "bad"))
	status := m.MustRun("snapbe status")
	t.Logf("%s", status)
	assert.Regexp(t, `the trial of "bad" on .* was no good: .*`+why, status)
	assert.Contains(t, m.MustRun("cat /run/motd.d/snapbe"), "was no good", "told at login")
	assert.Empty(t, m.MustRun("systemctl --failed --no-legend --plain"))
	assert.Equal(t, "NR", flags(m, "debian"))
	assert.Empty(t, m.MustRun("snapbe boot check"))
	nothingPending(t, m)
	_, err := m.Run("snapbe activate --trial bad")
	assert.Equal(t, 1, lab.ExitCode(err), "not without --force")
}

// confirmed: the good one comes up, is confirmed by itself, and stays.
func confirmed(t *testing.T, m *lab.Machine) {
	m.MustRun("snapbe destroy -F bad")
	in(m, "good", `mkdir -p /etc/snapbe/health.d; printf '#!/bin/sh\nsystemctl is-active ssh\n' > /etc/snapbe/health.d/ssh; chmod 755 /etc/snapbe/health.d/ssh`)
	t.Logf("%s", m.MustRun("snapbe activate --trial good 2>&1"))
	m.Reboot()
	require.Equal(t, "good", running(m))
	m.MustRun("systemctl is-system-running --wait >/dev/null || true") // and it is confirmed
	assert.Equal(t, "NR", flags(m, "good"))
	t.Logf("%s", m.MustRun("journalctl -b -u snapbe-confirm.service -o cat --no-pager; snapbe status"))
	assert.Equal(t, "rpool/ROOT/good\n", m.MustRun("zpool get -Ho value bootfs rpool"))
	healthy(t, m)
	m.Reboot()
	require.Equal(t, "good", running(m))
	assert.NotContains(t, m.MustRun("cat /proc/cmdline"), "snapbe.trial")
	healthy(t, m)
}
