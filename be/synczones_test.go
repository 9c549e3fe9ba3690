package be_test

import (
	"fmt"
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

const webRoot = "rpool/zones/web/ROOT/"

// zoneAccounts gives the root of a zone the accounts that are synced in the tests.
func zoneAccounts(w *betest.World, root string) {
	w.Put(root, "etc/passwd", passwd)
	w.Put(root, "etc/shadow", shadow)
	w.Put(root, "etc/snapbe/synclist", "/etc/passwd MERGE\n/etc/shadow MERGE\n/etc/motd\n")
}

// farZones is where the second zone of a test lies: on another pool, if there is
// one.
func farZones(w *betest.World) string {
	switch {
	case exists(w, "bpool/BOOT"):
		return "bpool/zones"
	case exists(w, "tank"):
		return "tank/zones"
	}
	return "rpool/far"
}

// syncedZones is a host with zones in two containers and a BE "be-2" that was
// cloned before things changed in the host and in them.
func syncedZones(t *testing.T, w *betest.World) {
	t.Helper()
	accounts(w)
	zoned(t, w)
	w.AddZone(farZones(w), "far")
	zoneAccounts(w, webRoot+"zbe")
	zoneAccounts(w, farZones(w)+"/far/ROOT/zbe")
	do(t, w, be.Create{Name: "be-2"})
	w.Put("rpool/ROOT/debian", "etc/shadow", locked)
	w.Put(webRoot+"zbe", "etc/shadow", locked)
	w.Put(farZones(w)+"/far/ROOT/zbe", "etc/motd", "far\n")
	w.Put(webRoot+"zbe-1", "etc/passwd", passwd+"daemon-of-a-package:x:999:999::/:/usr/sbin/nologin\n")
}

// TestZoneSettingsComeAlong: a zone that was made after the BE has its settings there,
// and starts with the host as it did; one that was told not to start does not.
func TestZoneSettingsComeAlong(t *testing.T) {
	const debian, wants = "rpool/ROOT/debian", "etc/systemd/system/machines.target.wants/systemd-nspawn@%s.service"
	enable := func(w *betest.World, zone string) {
		link := filepath.Join(w.ZFS.Dir(debian), fmt.Sprintf(wants, zone))
		require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o755))
		require.NoError(t, os.Symlink("/usr/lib/systemd/system/systemd-nspawn@.service", link))
	}
	w := onePool(t)
	zoned(t, w)
	enable(w, "web")
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.ZoneClone{From: "web", Name: "web2"})
	w.Put(debian, "etc/systemd/nspawn/web2.nspawn", "[Network]\nPrivate=yes\n")
	enable(w, "web2")
	require.NoError(t, os.Remove(filepath.Join(w.ZFS.Dir(debian), fmt.Sprintf(wants, "web"))))
	do(t, w, be.Activate{Name: "be-2"})
	assert.Equal(t, "[Network]\nPrivate=yes\n", w.File("rpool/ROOT/be-2", "etc/systemd/nspawn/web2.nspawn"))
	for zone, starts := range map[string]bool{"web": false, "web2": true} {
		_, err := os.Lstat(filepath.Join(w.ZFS.Dir("rpool/ROOT/be-2"), fmt.Sprintf(wants, zone)))
		assert.Equal(t, starts, err == nil, zone)
	}
}

// An account that is locked in a zone after create is locked in its clone: after
// activate, also when it was locked only then, and the same on the way back.
func TestZoneLocks(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		far := farZones(w) + "/far/ROOT/"
		syncedZones(t, w)
		res := do(t, w, be.Activate{Name: "be-2"})
		assert.Equal(t, locked, w.File(webRoot+"zbe-1", "etc/shadow"))
		assert.Contains(t, w.File(webRoot+"zbe-1", "etc/passwd"), "daemon-of-a-package")
		assert.Equal(t, "far\n", w.File(far+"zbe-1", "etc/motd"))
		assert.Contains(t, res.Notes, `zone "web": synced from "debian": 1 merged; 79 B written`)
		assert.Contains(t, strings.Join(res.Notes, "\n"), "with 3 zones, ")
		assert.Len(t, res.Zones, 3)

		w.Put(far+"zbe", "etc/shadow", locked) // between activate and the reboot
		require.NoError(t, w.Reboot())
		assert.Equal(t, locked, w.File(far+"zbe-1", "etc/shadow"))
		assert.Equal(t, "rpool/zones/web/ROOT/zbe-1", zoneRoot(w, "web"))

		w.Put(webRoot+"zbe-1", "etc/shadow", strings.Replace(locked, "root:", "root:!", 1))
		w.Put(webRoot+"zbe-1", "etc/passwd", passwd+passwdBob)
		do(t, w, be.Failback{})
		assert.Equal(t, strings.Replace(locked, "root:", "root:!", 1), w.File(webRoot+"zbe", "etc/shadow"))
		w.Put(far+"zbe-1", "etc/motd", "late\n")
		require.NoError(t, w.Reboot())
		assert.Equal(t, "rpool/zones/web/ROOT/zbe", zoneRoot(w, "web"))
		assert.Equal(t, "late\n", w.File(far+"zbe", "etc/motd"))
		assert.Contains(t, w.File(webRoot+"zbe", "etc/passwd"), "bob:")
		assert.Empty(t, status(t, w).Problems)

		for _, root := range []string{"rpool/ROOT/debian", "rpool/ROOT/be-2", webRoot + "zbe", webRoot + "zbe-1", far + "zbe"} {
			assert.LessOrEqual(t, len(points(t, w, root)), 2, "of %s stay that of the last handover, and what the other root has taken over before", root)
		}
	})
}

// TestZoneSyncPlan shows for each zone what would be done, and does nothing.
func TestZoneSyncPlan(t *testing.T) {
	w := onePool(t)
	syncedZones(t, w)
	before := w.Capture()
	dry, err := be.New(w.System()).Do(t.Context(), be.Sync{Name: "be-2"}, be.Options{DryRun: true})
	require.NoError(t, err)
	same(t, before, w.Capture())
	require.Len(t, dry.Zones, 3)
	assert.Equal(t, []string{"far", "db", "web"}, []string{dry.Zones[0].Zone, dry.Zones[1].Zone, dry.Zones[2].Zone})
	assert.Contains(t, dry.Zones[2].Report.String(), `"/etc/shadow": merged`)
	assert.Contains(t, dry.Zones[2].Report.String(), `"ann": merged password (locked in the source)`)
	assert.NotContains(t, fmt.Sprint(dry.Zones[2].Report), "hash-of")

	res := do(t, w, be.Sync{Name: "be-2"})
	assert.Equal(t, dry.Zones[2].Report.Items, res.Zones[2].Report.Items, "what the dry run said")
	assert.Equal(t, locked, w.File(webRoot+"zbe-1", "etc/shadow"))
	assert.Zero(t, do(t, w, be.Sync{Name: "be-2"}).Zones[2].Report.Written, "the second one finds nothing")
}

// TestZoneConflicts count like the host's.
func TestZoneConflicts(t *testing.T) {
	w := onePool(t)
	syncedZones(t, w)
	w.Put(webRoot+"zbe", "etc/motd", "old side\n")
	w.Put(webRoot+"zbe-1", "etc/motd", "new side\n")
	before := w.Capture()
	_, err := try(t, w, be.Activate{Name: "be-2", Syncing: be.Syncing{Strict: true}})
	require.ErrorContains(t, err, `activate "be-2": zone "web": "/etc/motd": conflict`)
	same(t, before, w.Capture())
	plan := do(t, w, be.Activate{Name: "be-2"}).Plan
	assert.Contains(t, strings.Join(plan.Notes, "\n"), `zone "web": "/etc/motd": conflict`)
	assert.Equal(t, "new side\n", w.File(webRoot+"zbe-1", "etc/motd"))

	t.Run("accounts that cannot be written", func(t *testing.T) {
		w := onePool(t)
		syncedZones(t, w)
		file := filepath.Join(w.ZFS.Dir(webRoot+"zbe-1"), "etc/shadow")
		require.NoError(t, os.Remove(file))
		require.NoError(t, os.Symlink("/etc/elsewhere", file))
		refused(t, w, be.Activate{Name: "be-2"}, refusal{be.Failed,
			`activate "be-2": zone "web": "/etc/shadow": refused (it is a symlink in the target; MERGE is for files)`,
			"snapbe sync --dry-run be-2 shows all; settle it in one of the two, or take STRICT off the line, or --no-sync"})
	})
	t.Run("a list that cannot be read", func(t *testing.T) {
		w := onePool(t)
		syncedZones(t, w)
		w.Put(webRoot+"zbe", "etc/snapbe/synclist", "nonsense\n")
		_, err := try(t, w, be.Activate{Name: "be-2"})
		require.ErrorContains(t, err, `read /etc/snapbe/synclist of the zone "web" in "debian"`)
	})
}

// A list that a zone has broken since keeps neither the host nor other zones from
// their locks; what is left can be done when it is mended.
func TestHandoverWithABrokenZone(t *testing.T) {
	w := onePool(t)
	syncedZones(t, w)
	do(t, w, be.Activate{Name: "be-2"})
	w.Put("rpool/ROOT/debian", "etc/adjtime", "late\n")
	w.Put(webRoot+"zbe", "etc/shadow", strings.Replace(locked, "root:", "root:!", 1))
	w.Put("rpool/far/far/ROOT/zbe", "etc/snapbe/synclist", "nonsense\n")
	require.NoError(t, w.Start())
	res := do(t, w, be.Handover{Boot: true})
	assert.Contains(t, strings.Join(res.Notes, "\n"), `read /etc/snapbe/synclist of the zone "far" in "debian"`)
	const left = `what changed last in the zone "far" in "debian" is not in "be-2" yet, such as locks of accounts: snapbe handover`
	assert.Contains(t, res.Notes, left)
	assert.Equal(t, "late\n", w.File("rpool/ROOT/be-2", "etc/adjtime"))
	assert.Contains(t, w.File(webRoot+"zbe-1", "etc/shadow"), "root:!")
	do(t, w, be.ZoneMount{})
	assert.Equal(t, []string{left}, status(t, w).Problems)
	_, err := be.New(w.System()).Do(t.Context(), be.Failback{}, be.Options{DryRun: true})
	require.NoError(t, err, "a zone's root must not take that away from the host")
	refused(t, w, be.Destroy{Name: "debian"}, refusal{be.Busy, `destroy "debian": what changed last in the zone "far" in "debian" is still to be synced to "be-2"`,
		"snapbe handover first, or activate another one"})
	_, err = try(t, w, be.Handover{})
	require.ErrorContains(t, err, `read /etc/snapbe/synclist of the zone "far" in "debian"`, "whoever asks for it is told")
	w.Put("rpool/far/far/ROOT/zbe", "etc/snapbe/synclist", "/etc/motd\n")
	w.Put("rpool/far/far/ROOT/zbe", "etc/motd", "mended\n")
	do(t, w, be.Handover{})
	assert.Equal(t, "mended\n", w.File("rpool/far/far/ROOT/zbe-1", "etc/motd"))
	assert.Empty(t, status(t, w).Problems)
}

// TestHandoverDoesNotWaitForAZone that takes as long as its root likes: it goes on the
// next time.
func TestHandoverDoesNotWaitForAZone(t *testing.T) {
	w := onePool(t)
	syncedZones(t, w)
	w.Put("rpool/far/far/ROOT/zbe", "etc/snapbe/synclist", "/srv-data\n")
	do(t, w, be.Activate{Name: "be-2"})
	for i := range 50 {
		w.Put("rpool/far/far/ROOT/zbe", fmt.Sprintf("srv-data/%d", i), "much\n")
	}
	w.Put("rpool/ROOT/debian", "etc/adjtime", "late\n")
	require.NoError(t, w.Start())
	sys := w.System()
	sys.ZoneTime = 200 * time.Millisecond
	sys.BeforeFile = func(what string) error {
		if strings.Contains(what, "srv-data") {
			time.Sleep(20 * time.Millisecond)
		}
		return nil
	}
	res, err := be.New(sys).Do(t.Context(), be.Handover{Boot: true}, be.Options{})
	require.NoError(t, err)
	assert.Contains(t, res.Notes, `what changed last in the zone "far" in "debian" is not in "be-2" yet, such as locks of accounts: snapbe handover`)
	assert.Equal(t, "late\n", w.File("rpool/ROOT/be-2", "etc/adjtime"))
	do(t, w, be.Handover{})
	assert.Equal(t, "much\n", w.File("rpool/far/far/ROOT/zbe-1", "srv-data/49"))
	do(t, w, be.ZoneMount{})
	assert.Empty(t, status(t, w).Problems)
}

// TestHandoverWithABrokenZoneCut: wherever that is cut, the zone is not taken for one
// that was handed over.
func TestHandoverWithABrokenZoneCut(t *testing.T) {
	for n := 1; ; n++ {
		w := onePool(t)
		syncedZones(t, w)
		do(t, w, be.Activate{Name: "be-2"})
		w.Put(webRoot+"zbe", "etc/shadow", locked)
		w.Put("rpool/far/far/ROOT/zbe", "etc/shadow", locked)
		w.Put("rpool/far/far/ROOT/zbe", "etc/snapbe/synclist", "nonsense\n")
		require.NoError(t, w.Start())
		was := cut(t, w, be.Handover{Boot: true}, n)
		do(t, w, be.Recover{})
		do(t, w, be.Handover{Boot: true})
		assert.Equal(t, locked, w.File(webRoot+"zbe-1", "etc/shadow"), "cut before change %d", n)
		assert.Equal(t, shadow, w.File("rpool/far/far/ROOT/zbe-1", "etc/shadow"))
		w.Put("rpool/far/far/ROOT/zbe", "etc/snapbe/synclist", "/etc/shadow MERGE\n")
		require.NoError(t, w.Reboot())
		assert.Equal(t, locked, w.File("rpool/far/far/ROOT/zbe-1", "etc/shadow"), "cut before change %d", n)
		do(t, w, be.ZoneMount{})
		assert.Empty(t, status(t, w).Problems)
		if !was {
			require.Greater(t, n, 5)
			return
		}
	}
}

// TestZonesLeftOut of a sync are named, and pinned ones are the same root anyway.
func TestZonesLeftOut(t *testing.T) {
	w := onePool(t)
	syncedZones(t, w)
	set(t, w, webRoot+"zbe-1", zfs.Props{zones.PropActive: "off"})
	res := do(t, w, be.Activate{Name: "be-2"})
	assert.Contains(t, res.Plan.Notes, `the zone "web" is not synced: in "be-2" it has no active zone BE`)
	assert.Equal(t, shadow, w.File(webRoot+"zbe-1", "etc/shadow"))
	assert.Equal(t, "far\n", w.File("rpool/far/far/ROOT/zbe-1", "etc/motd"))
	require.NoError(t, w.Reboot())
	assert.Empty(t, points(t, w, webRoot+"zbe"))

	// A pinned one runs here with the root that it got in the other one.
	set(t, w, webRoot+"zbe-1", zfs.Props{zones.PropActive: "off"})
	sys := w.System()
	sys.ZonePolicy = map[string]be.ZonePolicy{"far": be.ZoneExcluded, "web": be.ZonePinned}
	_, err := be.New(sys).Do(t.Context(), be.ZoneMount{}, be.Options{})
	require.NoError(t, err)
	require.Equal(t, webRoot+"zbe", zoneRoot(w, "web"))
	res, err = be.New(sys).Do(t.Context(), be.Failback{}, be.Options{})
	require.NoError(t, err)
	require.Len(t, res.Zones, 1)
	assert.Equal(t, "db", res.Zones[0].Zone)
}

// What a zone has on its share is left out.
func TestZoneSyncAndItsShare(t *testing.T) {
	w := onePool(t)
	syncedZones(t, w)
	create(t, w, "rpool/zones/web/VARSHARE", zfs.Props{"canmount": "noauto", "mountpoint": "/var/share"})
	w.Put(webRoot+"zbe", "etc/snapbe/synclist", "/var/mail\n/var/opt\n")
	w.Put(webRoot+"zbe", "var/opt/x", "x\n")
	require.NoError(t, os.Symlink("share/mail", filepath.Join(w.ZFS.Dir(webRoot+"zbe"), "var/mail")))
	res := do(t, w, be.Sync{Name: "be-2"})
	assert.Equal(t, "x\n", w.File(webRoot+"zbe-1", "var/opt/x"))
	assert.Contains(t, res.Zones[2].Report.String(), `"/var/mail": shared (on the zone's share, which all of its roots have at /var/share)`)
	_, err := os.Lstat(filepath.Join(w.ZFS.Dir(webRoot+"zbe-1"), "var/mail"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

const webShare = "rpool/zones/web/VARSHARE"

// zoneShares gives zones in both containers a share with a mailbox.
func zoneShares(t *testing.T, w *betest.World) {
	t.Helper()
	for _, share := range []string{webShare, farZones(w) + "/far/VARSHARE"} {
		create(t, w, share, zfs.Props{"canmount": "noauto", "mountpoint": "/var/share", "org.snapbe:sharedirs": "mail"})
		w.Put(share, "mail/ann", "a letter\n")
	}
}

// rolledZones has a BE "be-2" with zones that changed after a snapshot of it; one
// has come to it since.
func rolledZones(t *testing.T, w *betest.World) {
	t.Helper()
	syncedZones(t, w)
	far := farZones(w) + "/far/ROOT/zbe-1"
	do(t, w, be.Create{Name: "be-2@mine"})
	w.Put("rpool/ROOT/be-2", "etc/motd", "later")
	w.Put(webRoot+"zbe-1", "etc/motd", "later")
	w.Put(far, "etc/motd", "later")
	do(t, w, be.Create{Name: "be-2@newer"})
	w.AddZone("rpool/zones", "late")
	set(t, w, "rpool/zones/late/ROOT/zbe", zfs.Props{zones.PropParent: named(t, w, "be-2").UUID})
	w.Put("rpool/zones/late/ROOT/zbe", "etc/motd", "later")
}

// recorded notes the changes that a request makes.
func recorded(t *testing.T, w *betest.World, r be.Request) (changes []string, res be.Result) {
	t.Helper()
	w.Reset()
	defer w.Reset()
	w.Stop = func(what string, _ int) error {
		changes = append(changes, what)
		return nil
	}
	return changes, do(t, w, r)
}

func countOf(changes []string, what string) (n int) {
	for _, c := range changes {
		if c == what {
			n++
		}
	}
	return n
}

// The sides of host and zones are of one instant, and so are the shares: one
// snapshot for each pool, however many zones there are.
func TestZonesAreSnapshottedWithTheHost(t *testing.T) {
	w := onePool(t)
	syncedZones(t, w)
	zoneShares(t, w)
	shared(t, w)
	changes, _ := recorded(t, w, be.Activate{Name: "be-2"})
	assert.Equal(t, 3, countOf(changes, "zfs snapshot"), "the sides, the shares, and what the targets have then")
	require.NoError(t, w.Start())
	changes, _ = recorded(t, w, be.Handover{Boot: true})
	assert.Equal(t, 4, countOf(changes, "zfs snapshot"), "the shares, the sources, the host when it has its part, and the zones")
	w = betest.New(t.TempDir(), layouts["one pool"])
	syncedZones(t, w)
	changes, _ = recorded(t, w, be.Create{Name: "debian@mine"})
	assert.Equal(t, 2, countOf(changes, "zfs snapshot"), "rpool, and tank")
	changes, _ = recorded(t, w, be.Destroy{Name: "debian@mine"})
	assert.Equal(t, 2, countOf(changes, "zfs destroy"))
}

// TestZonesCostNoReads: judging more zones takes no more processes.
func TestZonesCostNoReads(t *testing.T) {
	gets := func(zones int) int {
		w := onePool(t)
		for i := range zones {
			w.AddZone("rpool/zones", fmt.Sprintf("z%d", i))
		}
		do(t, w, be.Create{Name: "be-2"})
		for i := range zones {
			w.Put(fmt.Sprintf("rpool/zones/z%d/ROOT/zbe", i), "etc/passwd", passwd)
		}
		sys := w.System()
		c := &counted{ZFS: sys.ZFS}
		sys.ZFS = c
		res, err := be.New(sys).Do(t.Context(), be.Sync{Name: "be-2"}, be.Options{})
		require.NoError(t, err)
		require.Len(t, res.Zones, zones)
		return c.gets
	}
	assert.Equal(t, gets(1), gets(7))
}

// TestRollbackTakesZones that have the snapshot, and names the others.
func TestRollbackTakesZones(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		rolledZones(t, w)
		far := farZones(w) + "/far/ROOT/zbe-1"
		res := do(t, w, be.Rollback{Name: "be-2@mine", Newer: true})
		assert.Empty(t, w.File("rpool/ROOT/be-2", "etc/motd"))
		assert.Empty(t, w.File(webRoot+"zbe-1", "etc/motd"))
		assert.Empty(t, w.File(far, "etc/motd"))
		assert.Contains(t, res.Plan.Notes, `the zone "late" stays as it is: rpool/zones/late/ROOT/zbe has no snapshot "mine"`)
		assert.Equal(t, "later", w.File("rpool/zones/late/ROOT/zbe", "etc/motd"))

		// What was taken over before is taken over again.
		do(t, w, be.Activate{Name: "be-2"})
		assert.Equal(t, locked, w.File(webRoot+"zbe-1", "etc/shadow"))
	})
	t.Run("a snapshot of the user's in a zone", func(t *testing.T) {
		w := onePool(t)
		syncedZones(t, w)
		do(t, w, be.Create{Name: "be-2@mine"})
		snapshot(t, w, webRoot+"zbe-1@theirs")
		refused(t, w, be.Rollback{Name: "be-2@mine"}, refusal{be.Failed,
			`roll back to "be-2@mine": the newer snapshot rpool/zones/web/ROOT/zbe-1@theirs would be lost`, "with --newer it goes"})
	})
}

// TestSnapshotsOfZones are the active roots' of that boot environment alone.
func TestSnapshotsOfZones(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		syncedZones(t, w)
		before := w.Capture()
		do(t, w, be.Create{Name: "be-2@mine"})
		for _, name := range []string{"zbe-1", "zbe-1/srv"} {
			assert.True(t, exists(w, webRoot+name+"@mine"))
			assert.Empty(t, props(t, w, webRoot+name+"@mine", "org.snapbe:op"), "the user's own")
		}
		assert.True(t, exists(w, farZones(w)+"/far/ROOT/zbe-1@mine"))
		assert.False(t, exists(w, webRoot+"zbe@mine"))
		do(t, w, be.Destroy{Name: "be-2@mine"})
		same(t, before, w.Capture())
	})
	t.Run("named ones, or none", func(t *testing.T) {
		w := onePool(t)
		syncedZones(t, w)
		do(t, w, be.Create{Name: "debian@web", Zones: be.ZoneChoice{Names: []string{"web"}}})
		do(t, w, be.Create{Name: "debian@none", Zones: be.ZoneChoice{None: true}})
		assert.True(t, exists(w, webRoot+"zbe@web"))
		assert.False(t, exists(w, "rpool/zones/db/ROOT/zbe@web"))
		assert.False(t, exists(w, webRoot+"zbe@none"))
		res := do(t, w, be.Destroy{Name: "debian@web"})
		assert.Contains(t, res.Plan.Notes, `the zone "db" stays as it is: rpool/zones/db/ROOT/zbe has no snapshot "web"`)
		assert.False(t, exists(w, webRoot+"zbe@web"))
	})
	t.Run("a zone has one of that name", func(t *testing.T) {
		w := onePool(t)
		syncedZones(t, w)
		snapshot(t, w, webRoot+"zbe@mine")
		refused(t, w, be.Create{Name: "debian@mine"}, refusal{be.Exists, `create "debian@mine": rpool/zones/web/ROOT/zbe@mine exists`,
			"take another name, or snapbe destroy debian@mine first"})
	})
	t.Run("one that was cloned from", func(t *testing.T) {
		w := onePool(t)
		syncedZones(t, w)
		do(t, w, be.Create{Name: "debian@mine"})
		clone(t, w, webRoot+"zbe@mine", "rpool/other")
		refused(t, w, be.Destroy{Name: "debian@mine"}, refusal{be.Failed,
			`destroy "debian@mine": rpool/zones/web/ROOT/zbe@mine is the origin of rpool/other`, "destroy those first"})
	})
}

// What somebody wrote to a zone of the BE since a power cut is not rolled back.
func TestRecoveryKeepsWorkInAZone(t *testing.T) {
	for cutAt := 1; ; cutAt++ {
		w := onePool(t)
		syncedZones(t, w)
		require.True(t, cut(t, w, be.Sync{Name: "be-2"}, cutAt))
		if w.File(webRoot+"zbe-1", "etc/shadow") != locked {
			continue
		}
		w.Put(webRoot+"zbe-1", "root/work", "a week of it")
		w.ZFS.SetNumber(webRoot+"zbe-1", "written", 64<<20)
		res := do(t, w, be.Recover{})
		assert.Contains(t, strings.Join(res.Notes, "\n"), "files that were synced to rpool/zones/web/ROOT/zbe-1 stay so: more has been written there since")
		assert.Equal(t, "a week of it", w.File(webRoot+"zbe-1", "root/work"))
		assert.Empty(t, w.File("rpool/far/far/ROOT/zbe-1", "etc/motd"), "what nobody wrote to went back")
		return
	}
}

// TestZoneShares: an activation and a first boot keep the shares of the zones like
// the host's, and what a zone ate is brought back from them.
func TestZoneShares(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		syncedZones(t, w)
		zoneShares(t, w)
		far := farZones(w) + "/far/VARSHARE"
		do(t, w, be.Activate{Name: "be-2"})
		require.NoError(t, w.Reboot())
		uuid := named(t, w, "be-2").UUID
		for _, share := range []string{webShare, far} {
			snaps := snapshots(t, w, share)
			require.Len(t, snaps, 2)
			assert.Equal(t, snaps, snapshots(t, w, webShare), "of the same names")
			assert.Equal(t, uuid, props(t, w, share+"@"+snaps[0], "org.snapbe:for")["org.snapbe:for"].Value)
		}
		m := be.New(w.System())
		s, err := m.Share(t.Context(), "web")
		require.NoError(t, err)
		require.Len(t, s.Snapshots, 2)
		assert.Equal(t, "be-2", s.Snapshots[1].For)
		assert.Equal(t, []string{"web", webShare}, []string{s.Zone, s.Dataset})

		w.Put(webShare, "mail/ann", "eaten\n")
		against, changes, err := m.ShareDiff(t.Context(), "web", "")
		require.NoError(t, err)
		assert.Equal(t, s.Snapshots[1].Name, against)
		require.Len(t, changes, 1)
		assert.Equal(t, "mail/ann", changes[0].Path)
		do(t, w, be.ShareRestore{Snap: against, Zone: "web", Paths: []string{"/var/mail/ann"}})
		assert.Equal(t, "a letter\n", w.File(webShare, "mail/ann"))
		refused(t, w, be.ShareRestore{Snap: against, Zone: "web", Paths: []string{"log/x"}}, refusal{be.Invalid,
			`restore the share of the zone "web" from "` + against + `": "log/x" is not below one of the shared directories: mail`,
			"name it as mail/alice, or as /var/mail/alice"})

		do(t, w, be.ShareSnapshot{Name: "mine", Zone: "far"})
		assert.Contains(t, snapshots(t, w, far), "mine")
		assert.NotContains(t, snapshots(t, w, webShare), "mine")
		refused(t, w, be.ShareDestroy{Snap: "mine", Zone: "web"}, refusal{be.NotFound,
			`destroy the snapshot "mine" of the share of the zone "web": the share has no snapshot "mine"`, "snapbe share list --zone web shows them"})
		do(t, w, be.ShareDestroy{Snap: "mine", Zone: "far"})
		assert.NotContains(t, snapshots(t, w, far), "mine")
		_, err = m.Share(t.Context(), "db")
		require.ErrorContains(t, err, `the zone "db" has no share`)

		do(t, w, be.Failback{})
		require.NoError(t, w.Reboot())
		do(t, w, be.Destroy{Name: "be-2"})
		assert.Len(t, snapshots(t, w, far), 2, "those of be-2 have gone with it")
	})
}

// TestZoneSharesAreLimited each by itself.
func TestZoneSharesAreLimited(t *testing.T) {
	w := onePool(t)
	syncedZones(t, w)
	zoneShares(t, w)
	do(t, w, be.ShareSnapshot{Name: "mine", Zone: "web"})
	sys := w.System()
	sys.ShareSnapshots = 2
	for range 3 {
		_, err := be.New(sys).Do(t.Context(), be.Activate{Name: "be-2"}, be.Options{})
		require.NoError(t, err)
	}
	assert.Len(t, snapshots(t, w, webShare), 3, "two, and the user's own")
	assert.Contains(t, snapshots(t, w, webShare), "mine")
	assert.Len(t, snapshots(t, w, "rpool/far/far/VARSHARE"), 2)
}

// TestShareOfAZone: its directories go to a dataset that all roots of the zone have,
// at once, and what another root had is kept there.
func TestShareOfAZone(t *testing.T) {
	arranged := func(t *testing.T) *betest.World {
		w := onePool(t)
		syncedZones(t, w)
		w.Put(webRoot+"zbe", "var/mail/ann", "a letter\n")
		w.Put(webRoot+"zbe-1", "var/mail/ann", "an older one\n")
		w.Zones.Machines = []zones.Machine{{Name: "web", State: zones.Installed}}
		return w
	}
	w := arranged(t)
	do(t, w, be.ShareInit{Zone: "web"})
	assert.Equal(t, "a letter\n", w.File(webShare, "mail/ann"))
	for _, root := range []string{"zbe", "zbe-1"} {
		to, err := os.Readlink(filepath.Join(w.ZFS.Dir(webRoot+root), "var/mail"))
		require.NoError(t, err)
		assert.Equal(t, "share/mail", to)
	}
	assert.Equal(t, "an older one\n", w.File(webRoot+"zbe-1", "var/.before-share/mail/ann"))
	p := props(t, w, webShare, "canmount", "mountpoint", "org.snapbe:op", "org.snapbe:sharedirs")
	assert.Equal(t, []string{"noauto", "/var/share", "", "mail"}, []string{p["canmount"].Value, p["mountpoint"].Value, p["org.snapbe:op"].Value, p["org.snapbe:sharedirs"].Value})
	at := ""
	for _, mnt := range w.Host.Mounted {
		if mnt.Dir == "/var/lib/machines/web/var/share" {
			at = mnt.Dataset
		}
	}
	assert.Equal(t, webShare, at)
	assert.Empty(t, do(t, w, be.ShareInit{Zone: "web", Dirs: []string{"mail"}}).Plan.Steps, "all is as asked")
	w.Put(webRoot+"zbe", "var/log/x", "x\n")
	do(t, w, be.ShareInit{Zone: "web", Dirs: []string{"log"}})
	assert.Equal(t, "x\n", w.File(webShare, "log/x"))

	t.Run("one that runs", func(t *testing.T) {
		w := arranged(t)
		w.Zones.Machines[0].State = zones.Running
		refused(t, w, be.ShareInit{Zone: "web"}, refusal{be.Busy, `make the share of the zone "web": it is running`,
			"machinectl poweroff web"})
	})
	t.Run("no such directory", func(t *testing.T) {
		refused(t, arranged(t), be.ShareInit{Zone: "web", Dirs: []string{"nowhere"}}, refusal{be.NotFound,
			`make the share of the zone "web": there is no /var/nowhere`, "make it first, if it is to be"})
	})
	t.Run("a link where the share would be", func(t *testing.T) {
		w := arranged(t)
		require.NoError(t, os.Symlink("/etc", filepath.Join(w.ZFS.Dir(webRoot+"zbe-1"), "var/share")))
		refused(t, w, be.ShareInit{Zone: "web"}, refusal{be.Failed,
			`make the share of the zone "web": in rpool/zones/web/ROOT/zbe-1, /var/share is no directory`, "move it away"})
	})
}
