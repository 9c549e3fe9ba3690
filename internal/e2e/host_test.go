//go:build vm

// Package e2e runs snapbe on real hosts: Debian with its root on a mirrored
// ZFS pool, booted by its own GRUB. What is promised to users is asserted on
// the running guest, after real boots.
package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/command"
	"snapbe/internal/lab"
)

// bootTime is how long a guest may take from power on to answering, with other
// guests beside it.
const bootTime = 5 * time.Minute

// deep tells that time does not matter: make vmdeep.
func deep() bool { return os.Getenv("SNAPBE_DEEP") != "" }

// releases are those on whose OpenZFS a part is tested by itself. TestCycle goes
// through the older one too.
func releases() []string {
	if deep() {
		return []string{"trixie", "bookworm"}
	}
	return []string{"trixie"}
}

// work holds the images that tests share; it goes at the end.
var work string

func TestMain(m *testing.M) {
	var err error
	// While working on one: hosts are kept there between runs, and get the new
	// package.
	if work = os.Getenv("SNAPBE_E2E_WORK"); work != "" {
		os.Exit(m.Run())
	}
	if work, err = os.MkdirTemp("", "snapbe-e2e-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(work)
	os.Exit(code)
}

// pkg is the Debian package that "make deb" built.
func pkg(t testing.TB) string {
	t.Helper()
	found, err := filepath.Glob("../../dist/snapbe_*.deb")
	require.NoError(t, err)
	require.Len(t, found, 1, "make deb builds the package that these tests install")
	return found[0]
}

// realTests builds the tests of an internal package that need real ZFS, for a
// guest to run.
func realTests(t testing.TB, pkg string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), pkg+".test")
	_, err := command.Exec{}.Run(t.Context(), command.Cmd{
		Argv: []string{"go", "test", "-c", "-tags", "realzfs", "-o", binary, "snapbe/internal/" + pkg},
		Env:  []string{"CGO_ENABLED=0"},
	})
	require.NoError(t, err)
	return binary
}

// adopted is a host on which snapbe's package was installed and init has run.
func adopted(t *testing.T, release, layout string) *lab.Machine {
	t.Helper()
	plain := lab.Base(t, release, layout)
	image := lab.DeriveRunning(t, plain, filepath.Join(work, release+"-"+layout), func(m *lab.Machine) {
		m.WaitSSH(bootTime)
		install(t, m)
		adopt(t, m, layout)
	})
	m := lab.Resume(t, lab.Config{Image: image})
	if os.Getenv("SNAPBE_E2E_WORK") != "" {
		m.Copy(pkg(t), "/root/snapbe.deb", 0o644)
		m.MustRun("dpkg -i --force-confnew /root/snapbe.deb 2>&1")
	}
	return m
}

// install puts the package on a plain host, by apt.
func install(t testing.TB, m *lab.Machine) {
	t.Helper()
	m.Copy(pkg(t), "/root/snapbe.deb", 0o644)
	out := m.MustRun("apt-get install -y --no-install-recommends /root/snapbe.deb 2>&1")
	t.Logf("%s", out)
	m.Write("/opt/repo/README", []byte("the tests' packages\n"), 0o644)
	for _, version := range []string{"1", "2"} {
		m.Copy(widget(t, version), "/opt/repo/widget_"+version+"_all.deb", 0o644)
	}
	m.Write("/opt/repo/Packages", packages(t), 0o644)
	m.MustRun(`rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
		echo 'deb [trusted=yes] file:/opt/repo ./' > /etc/apt/sources.list
		apt-get update && apt-get install -y widget=1`)
}

// adopt runs init, and holds what it promises: it says before what it changes,
// it changes nothing the second time, and the host still boots.
func adopt(t testing.TB, m *lab.Machine, layout string) {
	t.Helper()
	plan := m.MustRun("snapbe init --dry-run")
	t.Logf("%s", plan)
	assert.NotContains(t, m.MustRun("zfs list -Ho name"), "/GRUB", "a dry run changes nothing")
	t.Logf("%s", m.MustRun("snapbe init -y 2>&1"))
	again := m.MustRun("snapbe init -y 2>&1")
	t.Logf("again: %s", again)
	assert.NotContains(t, again, "[ok]", "the second init has nothing to do")
	assert.Empty(t, m.MustRun("snapbe boot check"))
	pool := map[string]string{"single": "rpool", "split": "bpool"}[layout]
	assert.Equal(t, pool+"/GRUB\n", m.MustRun("findmnt -no SOURCE /boot/grub"))
	assert.Equal(t, "noauto\n", m.MustRun("zfs get -Ho value canmount rpool/ROOT/debian"))
	for _, disk := range []string{"vda", "vdb"} {
		assert.Equal(t, "GRUB", m.MustRun(fmt.Sprintf("head -c 440 /dev/%s | grep -ao GRUB | head -1 | tr -d '\\n'", disk)), disk)
	}
	m.Reboot()
	assert.Equal(t, "debian", running(m))
	assert.Equal(t, pool+"/GRUB\n", m.MustRun("findmnt -no SOURCE /boot/grub"))
	healthy(t, m)
}

// running is the name of the BE that a guest runs.
func running(m *lab.Machine) string {
	return strings.TrimPrefix(strings.TrimSpace(m.MustRun("findmnt -no SOURCE /")), "rpool/ROOT/")
}

// healthy holds that the guest came up well and that snapbe finds nothing.
func healthy(t testing.TB, m *lab.Machine) {
	t.Helper()
	m.MustRun("systemctl is-system-running --wait >/dev/null || true")
	assert.Empty(t, m.MustRun("systemctl --failed --no-legend --plain"))
	assert.Empty(t, m.MustRun("snapbe boot check"))
	// With a boot pool, /boot is the running BE's own, whatever the mount
	// generator's cache says that was cloned with it.
	if boot := strings.TrimSpace(m.MustRun("! zpool list bpool >/dev/null 2>&1 || findmnt -no SOURCE /boot")); boot != "" {
		assert.Equal(t, "bpool/BOOT/"+running(m), boot)
	}
}

// flags are the flags of a BE, by list -H.
func flags(m *lab.Machine, be string) string {
	for line := range strings.Lines(m.MustRun("snapbe list -H")) {
		if f := strings.Split(strings.TrimSpace(line), ";"); f[0] == be {
			return f[2]
		}
	}
	return "absent"
}

// bes are the names of the boot environments, by list -H.
func bes(m *lab.Machine) (names []string) {
	for line := range strings.Lines(m.MustRun("snapbe list -H")) {
		names = append(names, strings.Split(line, ";")[0])
	}
	return names
}

// version is the version of the package that a guest runs.
func version(m *lab.Machine) string { return strings.TrimSpace(m.MustRun("widget")) }

// cleanAside holds that nothing of a BE is mounted and no command of ours runs.
func cleanAside(t testing.TB, m *lab.Machine, be string) {
	t.Helper()
	assert.Empty(t, m.MustRun("cat /proc/[0-9]*/mounts 2>/dev/null | grep 'ROOT/"+be+"[ /]' | sort -u"), "mounts of %s", be)
}
