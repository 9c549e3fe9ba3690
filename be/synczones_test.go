package be_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	if exists(w, "bpool/BOOT") {
		return "bpool/zones"
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
			assert.Len(t, points(t, w, root), 1, "only the last point of %s stays", root)
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
	_, err := try(t, w, be.Handover{Boot: true})
	require.ErrorContains(t, err, `read /etc/snapbe/synclist of the zone "far" in "debian"`)
	assert.Equal(t, "late\n", w.File("rpool/ROOT/be-2", "etc/adjtime"))
	assert.Contains(t, w.File(webRoot+"zbe-1", "etc/shadow"), "root:!")
	assert.NotEmpty(t, status(t, w).Problems)
	w.Put("rpool/far/far/ROOT/zbe", "etc/snapbe/synclist", "/etc/motd\n")
	w.Put("rpool/far/far/ROOT/zbe", "etc/motd", "mended\n")
	do(t, w, be.Handover{})
	assert.Equal(t, "mended\n", w.File("rpool/far/far/ROOT/zbe-1", "etc/motd"))
	assert.Empty(t, status(t, w).Problems)
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

	sys := w.System()
	sys.ZonePolicy = map[string]be.ZonePolicy{"far": be.ZoneExcluded}
	res, err := be.New(sys).Do(t.Context(), be.Failback{}, be.Options{})
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
