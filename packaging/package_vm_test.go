//go:build vm

// Package packaging holds what makes the Debian package. Its test installs the
// package on a real host and takes it away again.
package packaging

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

const (
	kernelHook = "/etc/kernel/postinst.d/zzz-snapbe 6.12.0 /boot/vmlinuz-6.12.0"
	units      = "snapbe-recover.service snapbe-boot-mount.service snapbe-share.service snapbe-handover.service snapbe-zones.service snapbe-confirm.service snapbe-trial-deadline.timer snapbe-trial-emergency.service snapbe-tell.service"
	unitStates = "systemctl is-enabled " + units + " | sort | uniq -c | sed 's/^ *//' || true"
)

// The package is installed, used and purged, on a host that goes on booting.
func TestPackage(t *testing.T) {
	m := lab.Resume(t, lab.Config{Image: lab.BaseRunning(t, "trixie", "single")})
	found, err := filepath.Glob("../dist/snapbe_*.deb")
	require.NoError(t, err)
	require.Len(t, found, 1, "make deb builds it")
	m.Copy(found[0], "/root/snapbe.deb", 0o644)

	before := m.MustRun("zfs get -Hr all rpool | grep -E 'local|org\\.' | sort; md5sum /boot/grub/grub.cfg; ls /boot/grub")
	t.Logf("%s", m.MustRun("apt-get install -y --no-install-recommends /root/snapbe.deb 2>&1"))
	after := m.MustRun("zfs get -Hr all rpool | grep -E 'local|org\\.' | sort; md5sum /boot/grub/grub.cfg; ls /boot/grub")
	assert.Equal(t, before, after, "installing the package changes nothing")

	assert.Equal(t, "9 disabled\n", m.MustRun(unitStates))
	assert.Equal(t, m.MustRun("ls /etc/grub.d/06_snapbe /etc/kernel/*.d/zzz-snapbe /etc/snapbe/snapbe.toml /etc/snapbe/synclist"),
		m.MustRun("dpkg-query -W -f '${Conffiles}' snapbe | awk '{print $1}' | sort | grep ."))
	assert.Equal(t, "755 root\n", m.MustRun("stat -c '%a %U' /etc/snapbe/health.d"))
	assert.Contains(t, m.MustRun("snapbe version"), "snapbe 0.")
	assert.Empty(t, m.MustRun("systemd-analyze verify "+units+" snapbe-reject@confirm.service 2>&1 | grep -v 'man snapbe' || true"))
	assert.Equal(t, "create\n", m.MustRun("bash -c 'source /usr/share/bash-completion/completions/snapbe; COMP_LINE=\"snapbe cre\" COMP_POINT=10; _snapbe; echo \"${COMPREPLY[@]}\"'"))
	assert.Empty(t, m.MustRun(kernelHook+" 2>&1"), "the kernel's hook is silent on a host that is not adopted")
	assert.Contains(t, m.MustRun("runuser -u nobody -- snapbe list"), "debian")

	t.Logf("%s", m.MustRun("snapbe init -y 2>&1"))
	assert.Equal(t, "9 enabled\n", m.MustRun(unitStates))
	assert.Contains(t, m.MustRun(kernelHook+" 2>&1"), "[ok]")
	assert.Empty(t, m.MustRun("SNAPBE_EXEC=x "+kernelHook+" 2>&1"), "inside exec it is exec that writes the menu")
	m.MustRun("systemctl start snapbe-boot-mount snapbe-recover")
	assert.Empty(t, m.MustRun("systemctl --failed --no-legend --plain"))

	// As after an upgrade of grub-pc, which knows one disk.
	m.MustRun("dd if=/dev/zero of=/dev/vdb bs=440 count=1 conv=notrunc,fsync status=none")
	assert.Contains(t, m.MustRun("snapbe boot check 2>&1 || true"), "vdb")
	const trigger = "dpkg-trigger --by-package=grub-pc-bin /usr/lib/grub/i386-pc && dpkg --triggers-only --pending 2>&1"
	m.MustRun("snapbe create patched && sha256sum /boot/grub/i386-pc/* > /run/before")
	t.Logf("inside: %s", m.MustRun("snapbe exec patched -- env -i PATH=$PATH sh -c '"+trigger+"; dpkg -s snapbe | grep Status; ! snapbe boot install'"))
	assert.Contains(t, m.MustRun("snapbe boot check 2>&1 || true"), "vdb", "a BE that does not run installs nothing")
	m.MustRun("sha256sum --quiet -c /run/before && snapbe destroy -F patched")
	t.Logf("%s", m.MustRun(trigger))
	assert.Empty(t, m.MustRun("snapbe boot check"), "each disk has GRUB again")

	t.Logf("%s", m.MustRun("apt-get remove -y snapbe 2>&1"))
	m.MustRun(kernelHook + " 2>&1")
	assert.Contains(t, m.MustRun("update-grub 2>/dev/null; cat /boot/grub/grub.cfg"), "snapbe.cfg", "the menu stays without the package")
	t.Logf("%s", m.MustRun("apt-get purge -y snapbe 2>&1"))
	assert.Empty(t, m.MustRun("ls -d /etc/snapbe /etc/grub.d/06_snapbe /etc/kernel/*.d/zzz-snapbe 2>/dev/null || true"))
	assert.NotContains(t, m.MustRun("update-grub 2>/dev/null; cat /boot/grub/grub.cfg"), "snapbe.cfg")
}
