package be_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// aged gives all files of a root an old time, so that what is new stands out.
func aged(t *testing.T, w *betest.World, root string, at time.Time) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(w.ZFS.Dir(root), func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(p, at, at)
	}))
}

// TestMarkerFile is the story of seeds/000: a zone was moved to another host and
// back, and root/my_marker_file is in the root that belongs to no boot environment
// here. The stale one is never chosen unseen.
func TestMarkerFile(t *testing.T) {
	w := onePool(t)
	aged(t, w, "rpool/ROOT/debian", time.Date(2018, 10, 12, 8, 17, 0, 0, time.UTC))
	moved(t, w)
	for _, root := range []string{"zbe", "zbe-1"} {
		aged(t, w, "rpool/zones/web/ROOT/"+root, time.Date(2018, 10, 12, 8, 17, 0, 0, time.UTC))
	}
	later := time.Date(2018, 10, 12, 8, 35, 0, 0, time.UTC)
	require.NoError(t, os.Chtimes(filepath.Join(w.ZFS.Dir("rpool/zones/web/ROOT/zbe-1"), "root/my_marker_file"), later, later))

	// Before anybody asks: at boot, and in the status.
	w.Host.Boot("rpool/ROOT/debian")
	const said = `the zone "web" has orphans (zbe-1), which may be newer: snapbe zone attach web compares them, snapbe zone destroy-orphans web takes them away`
	assert.Contains(t, do(t, w, be.ZoneMount{}).Plan.Notes, said)
	assert.Contains(t, status(t, w).Problems, said)

	before := w.Capture()
	res, err := try(t, w, be.ZoneAttach{Name: "web"})
	assertRefusal(t, refusal{be.Failed, `attach the zone "web": it has 2 zone BEs to choose from`,
		"snapbe zone attach --zbe zbe-1 web takes the one with the newest files; --zbe NAME another one"}, err)
	same(t, before, w.Capture())
	require.Len(t, res.Notes, 2)
	assert.True(t, strings.HasPrefix(res.Notes[0], `zbe: of "debian", made 2026-11-20 12:`), res.Notes[0])
	assert.Contains(t, res.Notes[0], ", booted last 2026-11-20 12:")
	assert.Contains(t, res.Notes[0], "of 2018-10-12 08:17 UTC, 1 file different from zbe-1")
	assert.True(t, strings.HasPrefix(res.Notes[1], "zbe-1: an orphan of 00000000-0000-4000-9000-000000000001, made 2026-11-20 12:"), res.Notes[1])
	assert.Contains(t, res.Notes[1], "not known to have booted, newest file /root/my_marker_file of 2018-10-12 08:35 UTC, the newest of all")

	do(t, w, be.ZoneAttach{Name: "web", ZBE: "zbe-1"})
	isZone(t, w, "web", "rpool/zones/web/ROOT/zbe-1", "debian")
	assert.Equal(t, "I was here\n", w.File(zoneRoot(w, "web"), "root/my_marker_file"))
	assert.Empty(t, status(t, w).Problems, "and the other one is no longer active")
	require.NoError(t, w.Reboot())
	isZone(t, w, "web", "rpool/zones/web/ROOT/zbe-1", "debian")
}

func TestZoneAttach(t *testing.T) {
	t.Run("it has one", func(t *testing.T) {
		w := onePool(t)
		zoned(t, w)
		assert.Empty(t, do(t, w, be.ZoneAttach{Name: "web"}).Plan.Steps)
		w.Host.Boot("rpool/ROOT/debian") // and nothing is mounted
		do(t, w, be.ZoneAttach{Name: "web"})
		isZone(t, w, "web", "rpool/zones/web/ROOT/zbe", "debian")
	})
	t.Run("a withheld one", func(t *testing.T) {
		w := onePool(t)
		do(t, w, be.Create{Name: "new"})
		zoned(t, w)
		w.Host.Boot("rpool/ROOT/new")
		do(t, w, be.ZoneMount{})
		require.Equal(t, []string{"db", "web"}, w.Zones.Withheld())
		do(t, w, be.ZoneAttach{Name: "web"})
		isZone(t, w, "web", "rpool/zones/web/ROOT/zbe-1", "new")
		assert.Equal(t, []string{"db"}, w.Zones.Withheld())
		assert.Equal(t, named(t, w, "debian").UUID, props(t, w, "rpool/zones/web/ROOT/zbe", zones.PropParent)[zones.PropParent].Value, "the other one keeps its own")
	})
	t.Run("an orphan", func(t *testing.T) {
		w := onePool(t)
		zoned(t, w)
		orphaned(t, w, "rpool/zones/web/ROOT/zbe")
		w.Host.Boot("rpool/ROOT/debian")
		do(t, w, be.ZoneAttach{Name: "web"})
		isZone(t, w, "web", "rpool/zones/web/ROOT/zbe", "debian")
		assert.False(t, exists(w, "rpool/zones/web/ROOT/zbe-1"), "no copy stays behind")
	})
	t.Run("an orphan that mounts by itself", func(t *testing.T) {
		w := onePool(t)
		w.AddZone("rpool/zones", "web")
		const root = "rpool/zones/web/ROOT/zbe"
		create(t, w, root+"/srv", nil)
		require.NoError(t, w.ZFS.Set(t.Context(), []zfs.Change{{Dataset: root, Set: zfs.Props{"canmount": "on"}, Inherit: []string{"mountpoint", zones.PropParent, zones.PropActive}}}))
		do(t, w, be.ZoneAttach{Name: "web"})
		isZone(t, w, "web", root, "debian")
		assert.Equal(t, "noauto", props(t, w, root+"/srv", "canmount")["canmount"].Value)
	})
}

func TestZoneAttachChoices(t *testing.T) {
	const old, orphan = "rpool/zones/web/ROOT/zbe", "rpool/zones/web/ROOT/zbe-1"
	t.Run(string(be.AttachLastBooted), func(t *testing.T) {
		w := onePool(t)
		moved(t, w)
		set(t, w, orphan, zfs.Props{zones.PropBooted: "2027-01-01T00:00:00Z"})
		do(t, w, be.ZoneAttach{Name: "web", Choices: []be.AttachChoice{be.AttachLastBooted}})
		isZone(t, w, "web", orphan, "debian")
		assert.Equal(t, "off", props(t, w, old, zones.PropActive)[zones.PropActive].Value)
	})
	t.Run("none is known to have booted last", func(t *testing.T) {
		w := onePool(t)
		moved(t, w)
		booted := props(t, w, old, zones.PropBooted)[zones.PropBooted].Value
		set(t, w, orphan, zfs.Props{zones.PropBooted: booted})
		_, err := try(t, w, be.ZoneAttach{Name: "web", Choices: []be.AttachChoice{be.AttachLastBooted}})
		require.ErrorContains(t, err, "by what was booted last: it has 2 zone BEs to choose from")
	})
	t.Run(string(be.ForceClone), func(t *testing.T) {
		w := onePool(t)
		moved(t, w)
		do(t, w, be.ZoneAttach{Name: "web", ZBE: "zbe-1", Choices: []be.AttachChoice{be.ForceClone}})
		isZone(t, w, "web", "rpool/zones/web/ROOT/zbe-2", "debian")
		assert.Equal(t, "I was here\n", w.File("rpool/zones/web/ROOT/zbe-2", "root/my_marker_file"))
		assert.True(t, exists(w, orphan))
	})
	t.Run(string(be.DenyClone), func(t *testing.T) {
		w := onePool(t)
		do(t, w, be.Create{Name: "new"})
		zoned(t, w)
		refused(t, w, be.ZoneAttach{Name: "web", BE: "new", Choices: []be.AttachChoice{be.DenyClone}}, refusal{be.Failed,
			`attach the zone "web": zbe is of "debian", and would have to be cloned`, "without -x deny-zbe-clone it is cloned"})
	})
	t.Run(string(be.DestroyOrphans), func(t *testing.T) {
		w := onePool(t)
		moved(t, w)
		_, err := try(t, w, be.ZoneAttach{Name: "web", Choices: []be.AttachChoice{be.DestroyOrphans}})
		require.ErrorContains(t, err, "it has 2 zone BEs to choose from", "it does not choose by itself what is to go")
		res := do(t, w, be.ZoneAttach{Name: "web", ZBE: "zbe", Choices: []be.AttachChoice{be.DestroyOrphans}})
		assert.Contains(t, res.Plan.Notes[0], `goes: zbe-1 of the zone "web"`)
		assert.False(t, exists(w, orphan))
		isZone(t, w, "web", old, "debian")
	})
}

func TestZoneAttachRefuses(t *testing.T) {
	w := onePool(t)
	moved(t, w)
	do(t, w, be.Create{Name: "new"})
	refused(t, w, be.ZoneAttach{Name: "mail"}, refusal{be.NotFound, `attach the zone "mail": there is no zone "mail"`,
		"snapbe zone list shows those that there are; snapbe zone adopt makes one of a machine"})
	refused(t, w, be.ZoneAttach{Name: "web", ZBE: "zbe-9"}, refusal{be.NotFound, `attach the zone "web": it has no zone BE "zbe-9" that is whole`,
		"snapbe zone list shows those that there are"})
	refused(t, w, be.ZoneAttach{Name: "web", ZBE: "zbe", Choices: []be.AttachChoice{be.AttachLastBooted}}, refusal{be.Invalid,
		`attach the zone "web": the choices contradict each other`, "give one of the two"})
	w.Zones.Machines = []zones.Machine{{Name: "web", State: zones.Running}}
	refused(t, w, be.ZoneAttach{Name: "web", ZBE: "zbe-1"}, refusal{be.Busy, `attach the zone "web": it is running`, "machinectl poweroff web"})
}

// TestZoneAttachBesideAMachine: what the directory of a zone has in it in another
// boot environment, such as the machine before it was adopted, is not hidden.
func TestZoneAttachBesideAMachine(t *testing.T) {
	w := onePool(t)
	machine(t, w)
	do(t, w, be.Create{Name: "old"})
	do(t, w, be.ZoneAdopt{Name: "mail"})
	w.Host.Boot("rpool/ROOT/old")
	const said = `the zone "mail" has no root in "old", and does not start: snapbe zone attach mail gives it one; what is in /var/lib/machines/mail, such as the machine from before it was a zone, is moved away first`
	assert.Contains(t, do(t, w, be.ZoneMount{}).Plan.Notes, said)
	assert.Contains(t, status(t, w).Problems, said)
	refused(t, w, be.ZoneAttach{Name: "mail"}, refusal{be.Failed, `attach the zone "mail": /var/lib/machines/mail is not empty`,
		"move away what is in it, such as the machine as it was before it became a zone"})
	assert.Equal(t, "a letter\n", w.File("rpool/ROOT/old", "var/lib/machines/mail/srv/letter"))
	assert.Equal(t, "a letter\n", w.File("rpool/zones/mail/ROOT/zbe", "srv/letter"))

	machines := filepath.Join(w.ZFS.Dir("rpool/ROOT/old"), "var/lib/machines")
	require.NoError(t, os.Rename(filepath.Join(machines, "mail"), filepath.Join(machines, "old-mail")))
	do(t, w, be.ZoneAttach{Name: "mail"})
	isZone(t, w, "mail", "rpool/zones/mail/ROOT/zbe-1", "old")
	assert.Empty(t, status(t, w).Problems)
}

// TestZoneMountGoesOn: a zone that cannot be mounted is named and withheld, and the
// others start.
func TestZoneMountGoesOn(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	w.Host.Boot("rpool/ROOT/debian")
	w.Put("rpool/ROOT/debian", "var/lib/machines/web/x", "x")
	_, err := try(t, w, be.ZoneMount{})
	require.ErrorContains(t, err, `the zone "web": mount at /var/lib/machines/web: the directory is not empty`)
	assert.Equal(t, "rpool/zones/db/ROOT/zbe", zoneRoot(w, "db"))
	assert.Equal(t, []string{"web"}, w.Zones.Withheld())
}

// TestZoneTwins: a zone that was received beside the one which this host has of that
// name is not mistaken for it, nor that for it.
func TestZoneTwins(t *testing.T) {
	w := betest.New(t.TempDir(), betest.Layout{Pools: []string{"tank"}})
	zoned(t, w)
	w.AddZone("tank/zones", "web")
	set(t, w, "rpool/ROOT", zfs.Props{"org.snapbe:zones": "rpool/zones"}) // it was received just now
	set(t, w, "tank/zones/web/ROOT/zbe", zfs.Props{zones.PropParent: "00000000-0000-4000-9000-000000000001"})
	const what = `attach the zone "web": `
	refused(t, w, be.ZoneAttach{Name: "web", Container: "tank/zones"}, refusal{be.Failed,
		what + "there is more than one: rpool/zones/web, tank/zones/web", "zfs rename tank/zones/web tank/zones/NEWNAME gives it another name"})
	refused(t, w, be.ZoneAttach{Name: "web", Container: "tank/other"}, refusal{be.NotFound,
		what + "it is not in tank/other, but rpool/zones/web", "snapbe zone attach web takes that one"})

	set(t, w, "rpool/ROOT", zfs.Props{"org.snapbe:zones": "rpool/zones,tank/zones"})
	for _, r := range []be.Request{be.ZoneAttach{Name: "web"}, be.ZoneFailback{Name: "web"}, be.ZoneClone{From: "web", Name: "new"}, be.ZoneDestroy{Name: "web"}} {
		_, err := try(t, w, r)
		require.ErrorContains(t, err, "there is more than one: rpool/zones/web, tank/zones/web")
	}
	require.NoError(t, w.Host.Detach("/var/lib/machines/web", false))
	require.NoError(t, w.ZFS.Rename(t.Context(), "rpool/zones/web", "rpool/zones/web-old"))
	do(t, w, be.ZoneAttach{Name: "web", Container: "tank/zones"})
	isZone(t, w, "web", "tank/zones/web/ROOT/zbe", "debian")
}

// TestZoneNotThere: where a pool with zones is missing, that is what is said.
func TestZoneNotThere(t *testing.T) {
	w := betest.New(t.TempDir(), betest.Layout{Pools: []string{"tank"}})
	zoned(t, w)
	w.AddZone("tank/zones", "far")
	require.NoError(t, w.ZFS.Rename(t.Context(), "tank/zones", "tank/not-there"))
	refused(t, w, be.ZoneAttach{Name: "far"}, refusal{be.NotFound, `attach the zone "far": there is no zone "far", and the zones below tank/zones are not there`,
		"zpool import tank where that pool is not there"})
}
