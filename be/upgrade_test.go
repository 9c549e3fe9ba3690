package be_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// upgradable is a host with two zones and the clone "new" of all. What upgrades
// writes that into the tree, and ends with the number in the tree's file "fails".
func upgradable(t *testing.T) (*betest.World, *ranIn) {
	t.Helper()
	w := onePool(t)
	zoned(t, w)
	do(t, w, be.Create{Name: "new"})
	ran := &ranIn{}
	w.Host.Command = ran.command
	return w, ran
}

// ranIn notes in which systems a command ran, by their file "version".
type ranIn struct {
	mu sync.Mutex
	in []string
}

func (r *ranIn) command(root *os.Root, argv []string) int {
	version, _ := root.ReadFile("version")
	name, _, _ := strings.Cut(string(version), " ")
	r.mu.Lock()
	r.in = append(r.in, name)
	r.mu.Unlock()
	if err := root.WriteFile("upgraded-by", []byte(strings.Join(argv, "|")), 0o644); err != nil {
		return 99
	}
	fails, _ := root.ReadFile("fails")
	code, _ := strconv.Atoi(string(fails))
	return code
}

// since tells where it ran since the last call.
func (r *ranIn) since() []string {
	in := r.in
	r.in = nil
	slices.Sort(in)
	return in
}

func upgrade(t *testing.T, w *betest.World, u be.Upgrade) (be.UpgradeResult, error) {
	t.Helper()
	if u.Name == "" {
		u.Name = "new"
	}
	return be.New(w.System()).Upgrade(t.Context(), u)
}

// states are what became of each target.
func states(res be.UpgradeResult) map[string]be.UpgradeState {
	all := map[string]be.UpgradeState{}
	for _, u := range res.Targets {
		all[u.String()] = u.State
	}
	return all
}

const webClone, dbRoot = "rpool/zones/web/ROOT/zbe-1", "rpool/zones/db/ROOT/zbe-1"

func TestUpgrade(t *testing.T) {
	w, ran := upgradable(t)
	newKernel(t, w, "new")
	w.Put(webClone, "says", "Reading package lists...\n")
	mounted := w.Host.Mounted
	res, err := upgrade(t, w, be.Upgrade{})
	require.NoError(t, err)
	ok := map[string]be.UpgradeState{"host": be.UpgradeOK, "zone db": be.UpgradeOK, "zone web": be.UpgradeOK}
	assert.Equal(t, ok, states(res))
	assert.Equal(t, []string{"", "db", "web"}, ran.since())
	for _, root := range []string{"rpool/ROOT/new", dbRoot, webClone} {
		assert.Contains(t, w.File(root, "upgraded-by"), "sh|-c|export DEBIAN_FRONTEND=noninteractive", root)
		at, err := time.Parse(time.RFC3339, props(t, w, root, zones.PropUpgraded)[zones.PropUpgraded].Value)
		require.NoError(t, err, root)
		assert.Equal(t, time.UTC, at.Location())
	}
	for _, root := range []string{"rpool/ROOT/debian", "rpool/zones/web/ROOT/zbe"} {
		assert.Empty(t, w.File(root, "upgraded-by"), "what runs is not touched")
		assert.Empty(t, props(t, w, root, zones.PropUpgraded)[zones.PropUpgraded].Value)
	}
	assert.Contains(t, w.Boot.Text(), "vmlinuz-6.12.9-amd64", "the menu follows")
	assert.Equal(t, mounted, w.Host.Mounted, "nothing stays mounted")

	res, err = upgrade(t, w, be.Upgrade{})
	require.NoError(t, err)
	assert.Equal(t, map[string]be.UpgradeState{"host": be.UpgradeSkipped, "zone db": be.UpgradeSkipped, "zone web": be.UpgradeSkipped}, states(res))
	assert.Empty(t, ran.since(), "what is done is not done again")
	res, err = upgrade(t, w, be.Upgrade{Again: true, Zones: be.ZoneChoice{Names: []string{"web"}}, NoHost: true})
	require.NoError(t, err)
	assert.Equal(t, []string{"web"}, ran.since())
	assert.Equal(t, map[string]be.UpgradeState{"zone web": be.UpgradeOK}, states(res))

	do(t, w, be.Create{Name: "next", From: "new"})
	_, err = upgrade(t, w, be.Upgrade{Name: "next"})
	require.NoError(t, err)
	assert.Equal(t, []string{"", "db", "web"}, ran.since(), "a clone is not upgraded because its source is")
}

// TestUpgradeFails: the others are done, and the next one takes up what is not.
func TestUpgradeFails(t *testing.T) {
	w, ran := upgradable(t)
	w.Put(dbRoot, "fails", "100")
	w.Put(dbRoot, "says", "1\n2\n3\n4\n5\nE: broken\n\n")
	res, err := upgrade(t, w, be.Upgrade{})
	want := refusal{be.Failed, `upgrade "new": not done: zone db`, "mend it, and snapbe upgrade new takes up what is not done"}
	assertRefusal(t, want, err)
	assert.Equal(t, map[string]be.UpgradeState{"host": be.UpgradeOK, "zone db": be.UpgradeFailed, "zone web": be.UpgradeOK}, states(res))
	db := res.Targets[1]
	assert.Equal(t, 100, db.Code)
	assert.Equal(t, "exit 100", db.Why)
	assert.Equal(t, []string{"2", "3", "4", "5", "E: broken"}, db.Last)
	assert.Empty(t, props(t, w, dbRoot, zones.PropUpgraded)[zones.PropUpgraded].Value)
	ran.since()

	_, err = upgrade(t, w, be.Upgrade{Again: true})
	assertRefusal(t, want, err)
	ran.since()
	w.Put(dbRoot, "fails", "0")
	_, err = upgrade(t, w, be.Upgrade{})
	require.NoError(t, err)
	assert.Equal(t, []string{"db"}, ran.since())

	w.Put(dbRoot, "fails", "1")
	_, err = upgrade(t, w, be.Upgrade{Again: true})
	assertRefusal(t, want, err)
	assert.Empty(t, props(t, w, dbRoot, zones.PropUpgraded)[zones.PropUpgraded].Value, "what failed the second time is not done")
}

// TestUpgradeNotMarked: what could not be marked is not told as done.
func TestUpgradeNotMarked(t *testing.T) {
	w, _ := upgradable(t)
	w.Stop = func(what string, _ int) error {
		if what == "zfs set" {
			return os.ErrPermission
		}
		return nil
	}
	res, err := upgrade(t, w, be.Upgrade{NoHost: true})
	require.Error(t, err)
	assert.Equal(t, map[string]be.UpgradeState{"zone db": be.UpgradeFailed, "zone web": be.UpgradeFailed}, states(res))
	assert.Contains(t, res.Targets[0].Why, os.ErrPermission.Error())
}

// TestUpgradeJobs counts how many run at once.
func TestUpgradeJobs(t *testing.T) {
	for _, limit := range []int{1, 2} {
		w, _ := upgradable(t)
		var mu sync.Mutex
		now, peak := 0, 0
		w.Host.Command = func(*os.Root, []string) int {
			mu.Lock()
			now++
			peak = max(peak, now)
			mu.Unlock()
			for range 200 { // as long as as many as may have not come
				time.Sleep(5 * time.Millisecond)
				mu.Lock()
				full := peak >= limit
				mu.Unlock()
				if full {
					break
				}
			}
			time.Sleep(50 * time.Millisecond) // and one too many could come
			mu.Lock()
			defer mu.Unlock()
			now--
			return 0
		}
		res, err := upgrade(t, w, be.Upgrade{Jobs: limit})
		require.NoError(t, err)
		assert.Equal(t, limit, peak)
		assert.Equal(t, limit, res.Jobs)
	}
}

// TestUpgradeInterrupted: what ran is ended, the rest is not begun, and neither is
// taken for done.
func TestUpgradeInterrupted(t *testing.T) {
	w, ran := upgradable(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.Host.Command = func(*os.Root, []string) int {
		cancel()
		return 143
	}
	res, err := be.New(w.System()).Upgrade(ctx, be.Upgrade{Name: "new", Jobs: 1})
	require.Error(t, err)
	for _, u := range res.Targets {
		assert.Equal(t, be.UpgradeInterrupted, u.State)
		assert.Empty(t, props(t, w, u.Dataset, zones.PropUpgraded)[zones.PropUpgraded].Value)
	}
	assert.Equal(t, "ended before it was done", res.Targets[0].Why)
	assert.Equal(t, "not begun", res.Targets[1].Why)
	w.Host.Command = ran.command
	_, err = upgrade(t, w, be.Upgrade{})
	require.NoError(t, err)
	assert.Equal(t, []string{"", "db", "web"}, ran.since())
}

func TestUpgradeCommands(t *testing.T) {
	w, _ := upgradable(t)
	sys := w.System()
	sys.Upgrades = map[string]string{"fedora": "dnf -y upgrade"}
	sys.ZoneUpgrades = map[string]string{"db": "my upgrade"}
	for _, tc := range []struct{ release, command, why string }{
		{"ID=fedora\n", "dnf -y upgrade", ""},
		{"ID=almalinux\nID_LIKE=\"rhel centos fedora\"\n", "dnf -y upgrade", ""},
		{"ID=raspbian\nID_LIKE=debian\n", "apt-get", ""},
		{"ID=alpine\n", "", "no command for alpine: snapbe.toml names it in [upgrade.commands]"},
		{"ID=\"a\x1b[31mb\"\n", "", "no command: its os-release names no distribution"},
		{"NAME=x\n", "", "no command: its os-release names no distribution"},
	} {
		w.Put(webClone, "etc/os-release", tc.release)
		res, err := be.New(sys).Upgrade(t.Context(), be.Upgrade{Name: "new", DryRun: true})
		assert.Equal(t, tc.why != "", err != nil)
		web := res.Targets[2]
		assert.Contains(t, web.Command, tc.command, tc.release)
		assert.Equal(t, tc.why, web.Why)
		assert.Equal(t, "my upgrade", res.Targets[1].Command, "a zone's own command goes before")
	}
	w.Put(webClone, "etc/os-release", "ID=alpine\n")
	res, err := be.New(sys).Upgrade(t.Context(), be.Upgrade{Name: "new"})
	require.Error(t, err)
	assert.Equal(t, map[string]be.UpgradeState{"host": be.UpgradeOK, "zone db": be.UpgradeOK, "zone web": be.UpgradeFailed}, states(res))
	assert.Empty(t, w.File(webClone, "upgraded-by"))
}

// TestUpgradeShows: a dry run changes nothing and needs no log.
func TestUpgradeShows(t *testing.T) {
	w, ran := upgradable(t)
	before := w.Capture()
	w.Reset()
	res, err := upgrade(t, w, be.Upgrade{DryRun: true, Jobs: 7})
	require.NoError(t, err)
	assert.Equal(t, map[string]be.UpgradeState{"host": be.UpgradePlanned, "zone db": be.UpgradePlanned, "zone web": be.UpgradePlanned}, states(res))
	assert.Zero(t, w.Changes())
	assert.Empty(t, ran.since())
	same(t, before, w.Capture())
	assert.NoDirExists(t, filepath.Join(w.Directory(), "log"))
}

func TestUpgradeLeavesOut(t *testing.T) {
	w, ran := upgradable(t)
	sys := w.System()
	sys.ZonePolicy = map[string]be.ZonePolicy{"db": be.ZonePinned}
	res, err := be.New(sys).Upgrade(t.Context(), be.Upgrade{Name: "new"})
	require.NoError(t, err)
	assert.Equal(t, []string{"", "web"}, ran.since(), "a pinned zone's root is the one that runs")
	assert.Equal(t, []string{`the zone "db" is left out: its policy is "pin"`}, res.Notes)
	_, err = upgrade(t, w, be.Upgrade{Again: true, Zones: be.ZoneChoice{None: true}})
	require.NoError(t, err)
	assert.Equal(t, []string{""}, ran.since())
}

func TestUpgradeRefused(t *testing.T) {
	w, ran := upgradable(t)
	do(t, w, be.Create{Name: "shown", Zones: be.ZoneChoice{None: true}})
	dir := do(t, w, be.Mount{Name: "shown"}).Dir
	refuses := func(u be.Upgrade, want refusal) {
		t.Helper()
		before := w.Capture()
		_, err := upgrade(t, w, u)
		assertRefusal(t, want, err)
		same(t, before, w.Capture())
		assert.Empty(t, ran.since())
	}
	refuses(be.Upgrade{Name: "debian"}, refusal{be.Busy, `upgrade "debian": it is running`, "snapbe create makes a clone of it, which can be upgraded"})
	refuses(be.Upgrade{Name: "shown"}, refusal{be.Busy, `upgrade "shown": it is mounted at ` + dir, "snapbe unmount shown"})
	refuses(be.Upgrade{Name: "none"}, refusal{be.NotFound, `upgrade "none": no boot environment has that name in rpool/ROOT`, "snapbe list shows those that there are"})
	refuses(be.Upgrade{Zones: be.ZoneChoice{Names: []string{"x"}}}, refusal{be.NotFound, `upgrade "new": there is no zone "x"`,
		"snapbe zone list shows those that there are; snapbe zone adopt makes one of a machine"})
	refuses(be.Upgrade{NoHost: true, Zones: be.ZoneChoice{None: true}}, refusal{be.Invalid,
		`upgrade "new": there is nothing to upgrade without the host: no zone follows it`, "snapbe zone list shows the zones"})
	refuses(be.Upgrade{Jobs: -1}, refusal{be.Invalid, `upgrade "new": -1 jobs are none`, ""})
	set(t, w, webClone, zfs.Props{zones.PropActive: "off"})
	refuses(be.Upgrade{}, refusal{be.Failed, `upgrade "new": the zone "web": for "new" it has no active zone BE`,
		"snapbe zone attach --be new web gives it one; --zone names the zones that go along"})
	set(t, w, "rpool/ROOT", zfs.Props{"org.snapbe:journal": `{"v":1,"id":"x","kind":"create","step":0,"args":{},"started":1}`})
	_, err := upgrade(t, w, be.Upgrade{})
	var e *be.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, be.Pending, e.Code)
	assert.Empty(t, ran.since())
	w.Host.User = true
	refuses(be.Upgrade{}, refusal{be.Denied, `upgrade "new": only root may do that`, "run it as root, or with sudo"})
}

// TestUpgradeAlone: two at once would meet at the package managers' locks, and a
// sync must not change files meanwhile.
func TestUpgradeAlone(t *testing.T) {
	w, _ := upgradable(t)
	begun := make(chan struct{})
	end := make(chan struct{})
	w.Host.Command = func(*os.Root, []string) int {
		close(begun)
		<-end
		return 0
	}
	done := make(chan error)
	go func() {
		_, err := be.New(w.System()).Upgrade(context.Background(), be.Upgrade{Name: "new", Zones: be.ZoneChoice{None: true}})
		done <- err
	}()
	<-begun
	_, err := upgrade(t, w, be.Upgrade{})
	assertRefusal(t, refusal{be.Busy, `upgrade "new": another upgrade of it is at work`, "wait until it has ended"}, err)
	_, err = try(t, w, be.Sync{Name: "new"})
	assertRefusal(t, refusal{be.Busy, `sync to "new": a command of snapbe exec works in "new"`, "wait until it has ended"}, err)
	close(end)
	require.NoError(t, <-done)
}

func TestUpgradeLogs(t *testing.T) {
	w, _ := upgradable(t)
	dir := filepath.Join(w.Directory(), "log", "upgrade-new")
	w.Put(webClone, "says", "Hit:1 http://deb.debian.org\n")
	res, err := upgrade(t, w, be.Upgrade{})
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "web.log"), res.Targets[2].Log)
	text, err := os.ReadFile(filepath.Join(dir, "web.log"))
	require.NoError(t, err)
	assert.Equal(t, "Hit:1 http://deb.debian.org\n", string(text))
	for name, mode := range map[string]fs.FileMode{".": 0o700 | fs.ModeDir, "web.log": 0o600, "db.log": 0o600, "host.log": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode(), name)
	}
	t.Run("a link in its place is not followed", func(t *testing.T) {
		victim := filepath.Join(t.TempDir(), "victim")
		require.NoError(t, os.WriteFile(victim, []byte("mine"), 0o600))
		require.NoError(t, os.Remove(filepath.Join(dir, "web.log")))
		require.NoError(t, os.Symlink(victim, filepath.Join(dir, "web.log")))
		_, err := upgrade(t, w, be.Upgrade{Again: true, NoHost: true})
		require.NoError(t, err)
		text, err := os.ReadFile(victim)
		require.NoError(t, err)
		assert.Equal(t, "mine", string(text))
	})
	for name, spoil := range map[string]func() error{
		"others can write to it": func() error { return os.Chmod(dir, 0o777) },
		"path escapes from parent": func() error {
			return os.Symlink(t.TempDir(), dir)
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(dir))
			if name == "others can write to it" {
				require.NoError(t, os.Mkdir(dir, 0o700))
			}
			require.NoError(t, spoil())
			_, err := upgrade(t, w, be.Upgrade{Again: true})
			require.ErrorContains(t, err, name)
			assert.NotEmpty(t, props(t, w, webClone, zones.PropUpgraded)[zones.PropUpgraded].Value, "nothing was begun")
		})
	}
}

// TestRollbackDropsUpgraded: what was upgraded has gone back too.
func TestRollbackDropsUpgraded(t *testing.T) {
	w, ran := upgradable(t)
	do(t, w, be.Create{Name: "new@before"})
	_, err := upgrade(t, w, be.Upgrade{})
	require.NoError(t, err)
	ran.since()
	do(t, w, be.Rollback{Name: "new@before"})
	assert.True(t, named(t, w, "new").Upgraded.IsZero())
	_, err = upgrade(t, w, be.Upgrade{})
	require.NoError(t, err)
	assert.Equal(t, []string{""}, ran.since())
}
