package be_test

import (
	"errors"
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

// machine is a host with a machine in a plain directory.
func machine(_ *testing.T, w *betest.World) {
	dataset, dir := machinesIn(w)
	w.Put(dataset, dir+"/mail/etc/hostname", "mail\n")
	w.Put(dataset, dir+"/mail/srv/letter", "a letter\n")
}

// machinesIn is what /var/lib/machines lies in, and where.
func machinesIn(w *betest.World) (dataset, dir string) {
	if exists(w, "rpool/ROOT/debian/var/lib") {
		return "rpool/ROOT/debian/var/lib", "machines"
	}
	return "rpool/ROOT/debian", "var/lib/machines"
}

// machineDataset is a host with a machine on a dataset of its own, and one below.
func machineDataset(t *testing.T, w *betest.World) {
	t.Helper()
	create(t, w, "rpool/machines", zfs.Props{"canmount": "off", "mountpoint": "/var/lib/machines"})
	create(t, w, "rpool/machines/mail", zfs.Props{"canmount": "on"})
	create(t, w, "rpool/machines/mail/srv", zfs.Props{"canmount": "on"})
	w.Put("rpool/machines/mail", "etc/hostname", "mail\n")
	w.Put("rpool/machines/mail/srv", "letter", "a letter\n")
	w.Host.Boot(w.Host.Running)
}

// orphaned makes a zone's root that of a boot environment of another host.
func orphaned(t *testing.T, w *betest.World, root string) {
	t.Helper()
	set(t, w, root, zfs.Props{zones.PropParent: "00000000-0000-4000-9000-000000000001"})
}

// moved is a host that a zone has come back to, as in the story of seeds/000: its
// old root is still the active one, and what was written meanwhile on the other
// host is in another one.
func moved(t *testing.T, w *betest.World) {
	t.Helper()
	zoned(t, w)
	snapshot(t, w, "rpool/zones/web/ROOT/zbe@move")
	clone(t, w, "rpool/zones/web/ROOT/zbe@move", "rpool/zones/web/ROOT/zbe-1")
	set(t, w, "rpool/zones/web/ROOT/zbe-1", zfs.Props{"canmount": "noauto", "mountpoint": "/", zones.PropActive: "on"})
	orphaned(t, w, "rpool/zones/web/ROOT/zbe-1")
	w.Put("rpool/zones/web/ROOT/zbe-1", "root/my_marker_file", "I was here\n")
}

// received is a host that has no zones, and was sent one.
func received(t *testing.T, w *betest.World) {
	t.Helper()
	w.AddZone("rpool/zones", "web")
	orphaned(t, w, "rpool/zones/web/ROOT/zbe")
	require.NoError(t, w.ZFS.Set(t.Context(), []zfs.Change{{Dataset: "rpool/ROOT", Inherit: []string{"org.snapbe:zones"}}}))
}

// upgraded is a host that runs a second boot environment, in which a zone has
// changed.
func upgraded(t *testing.T, w *betest.World) {
	t.Helper()
	zoned(t, w)
	do(t, w, be.Create{Name: "new"})
	w.Put("rpool/zones/web/ROOT/zbe-1", "version", "web 2\n")
	do(t, w, be.Activate{Name: "new"})
	require.NoError(t, w.Reboot())
}

// manyOrphans has two orphans in one zone, one cloned from the other and with a
// snapshot of the user's, and one in another.
func manyOrphans(t *testing.T, w *betest.World) {
	t.Helper()
	moved(t, w)
	for _, root := range []string{"rpool/zones/db/ROOT/lost", "rpool/zones/web/ROOT/zbe-2"} {
		from := map[bool]string{true: "rpool/zones/db/ROOT/zbe", false: "rpool/zones/web/ROOT/zbe-1"}[root == "rpool/zones/db/ROOT/lost"]
		snapshot(t, w, from+"@x")
		clone(t, w, from+"@x", root)
		set(t, w, root, zfs.Props{"canmount": "noauto", "mountpoint": "/"})
	}
	orphaned(t, w, "rpool/zones/web/ROOT/zbe-2")
}

// isZone asserts that a zone's root is the active one of a boot environment, whole
// and in place.
func isZone(t *testing.T, w *betest.World, zone, root, of string) {
	t.Helper()
	p := props(t, w, root, zones.PropParent, zones.PropActive, "org.snapbe:op", "canmount", "mountpoint")
	assert.Equal(t, named(t, w, of).UUID, p[zones.PropParent].Value)
	assert.Equal(t, "on", p[zones.PropActive].Value)
	assert.Empty(t, p["org.snapbe:op"].Value)
	assert.Equal(t, "noauto", p["canmount"].Value)
	assert.Equal(t, "/", p["mountpoint"].Value)
	assert.Equal(t, root, zoneRoot(w, zone))
	assert.NotContains(t, w.Zones.Withheld(), zone)
}

func TestZoneFailback(t *testing.T) {
	w := onePool(t)
	upgraded(t, w)
	assert.Equal(t, "web 2\n", w.File(zoneRoot(w, "web"), "version"))
	do(t, w, be.ZoneFailback{Name: "web"})
	isZone(t, w, "web", "rpool/zones/web/ROOT/zbe-2", "new")
	assert.Equal(t, "web 1\n", w.File("rpool/zones/web/ROOT/zbe-2", "version"))
	assert.Equal(t, "rpool/zones/db/ROOT/zbe-1", zoneRoot(w, "db"), "the other zone stays")
	assert.Equal(t, "rpool/ROOT/new", w.Host.Running)
	assert.Equal(t, "off", props(t, w, "rpool/zones/web/ROOT/zbe-1", zones.PropActive)[zones.PropActive].Value)
	assert.Equal(t, "web 2\n", w.File("rpool/zones/web/ROOT/zbe-1", "version"), "what was written there stays")
	require.NoError(t, w.Reboot())
	isZone(t, w, "web", "rpool/zones/web/ROOT/zbe-2", "new")
	// And forth again, by name.
	do(t, w, be.ZoneAttach{Name: "web", ZBE: "zbe-1"})
	isZone(t, w, "web", "rpool/zones/web/ROOT/zbe-1", "new")
	assert.Equal(t, "off", props(t, w, "rpool/zones/web/ROOT/zbe-2", zones.PropActive)[zones.PropActive].Value)
	// All of them go with their boot environment.
	do(t, w, be.Activate{Name: "debian"})
	require.NoError(t, w.Reboot())
	do(t, w, be.Destroy{Name: "new"})
	assert.False(t, exists(w, "rpool/zones/web/ROOT/zbe-1"))
	assert.False(t, exists(w, "rpool/zones/web/ROOT/zbe-2"))
	assert.Equal(t, "web 1\n", w.File("rpool/zones/web/ROOT/zbe", "version"))
}

func TestZoneFailbackRefuses(t *testing.T) {
	t.Run("it runs", func(t *testing.T) {
		w := onePool(t)
		upgraded(t, w)
		w.Zones.Machines = []zones.Machine{{Name: "web", State: zones.Running}}
		refused(t, w, be.ZoneFailback{Name: "web"}, refusal{be.Busy, `fail back the zone "web": it is running`, "machinectl poweroff web"})
	})
	t.Run("no previous one", func(t *testing.T) {
		w := onePool(t)
		zoned(t, w)
		refused(t, w, be.ZoneFailback{Name: "web"}, refusal{be.Failed, `fail back the zone "web": there is no previous boot environment`,
			"snapbe zone attach --zbe NAME web takes a root that you name; snapbe zone list shows them"})
	})
}

func TestZoneClone(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	const src, root = "rpool/zones/web/ROOT/zbe", "rpool/zones/web2/ROOT/zbe"
	w.Put(src, "etc/hostname", "web\n")
	w.Put(src, "etc/ssh/ssh_host_ed25519_key", "secret")
	w.Put(src, "etc/ssh/ssh_host_ed25519_key.pub", "public")
	w.Put(src, "etc/ssh/sshd_config", "# as it was\n")
	res := do(t, w, be.ZoneClone{From: "web", Name: "web2"})
	isZone(t, w, "web2", root, "debian")
	assert.Equal(t, "web 1\n", w.File(root, "version"))
	assert.Equal(t, "web2\n", w.File(root, "etc/hostname"))
	assert.FileExists(t, filepath.Join(w.ZFS.Dir(root), "etc/machine-id"))
	assert.Empty(t, w.File(root, "etc/machine-id"))
	assert.NoFileExists(t, filepath.Join(w.ZFS.Dir(root), "etc/ssh/ssh_host_ed25519_key"))
	assert.NoFileExists(t, filepath.Join(w.ZFS.Dir(root), "etc/ssh/ssh_host_ed25519_key.pub"))
	assert.Equal(t, "# as it was\n", w.File(root, "etc/ssh/sshd_config"))
	assert.Contains(t, res.Notes, "2 files with SSH host keys went")
	assert.Equal(t, map[string]string{"web2": "web"}, w.Zones.Settings)
	assert.Equal(t, "rpool/zones/web2/ROOT/zbe/srv", mountedAt(w, "/var/lib/machines/web2/srv"))
	// The one that was cloned keeps what it is.
	assert.Equal(t, "secret", w.File(src, "etc/ssh/ssh_host_ed25519_key"))
	assert.Equal(t, "web\n", w.File(src, "etc/hostname"))
	refused(t, w, be.ZoneClone{From: "db", Name: "web2"}, refusal{be.Exists, `clone the zone "db" to "web2": there is a zone of that name`, "take another name"})
}

// TestZoneCloneWithoutTheShare: what the other zone keeps in its share is not the
// clone's, whose directories are its own, and may go to a share of its own.
func TestZoneCloneWithoutTheShare(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	w.Put("rpool/zones/web/ROOT/zbe", "var/mail/ann", "a letter\n")
	do(t, w, be.ShareInit{Zone: "web"})
	require.Equal(t, "a letter\n", w.File(webShare, "mail/ann"))
	res := do(t, w, be.ZoneClone{From: "web", Name: "web2"})
	assert.Contains(t, strings.Join(res.Plan.Notes, "\n"), "it has no share: what web keeps in "+webShare+" is not cloned")
	mail := filepath.Join(w.ZFS.Dir("rpool/zones/web2/ROOT/zbe"), "var/mail")
	info, err := os.Lstat(mail)
	require.NoError(t, err)
	assert.True(t, info.IsDir(), "it is no link that leads nowhere")
	assert.NoFileExists(t, filepath.Join(mail, "ann"))
	to, err := os.Readlink(filepath.Join(w.ZFS.Dir("rpool/zones/web/ROOT/zbe"), "var/mail"))
	require.NoError(t, err)
	assert.Equal(t, "share/mail", to, "the other one keeps its own")
	do(t, w, be.ShareInit{Zone: "web2"})
	assert.DirExists(t, filepath.Join(w.ZFS.Dir("rpool/zones/web2/VARSHARE"), "mail"))
}

func TestZoneDestroyOrphans(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	assert.Empty(t, do(t, w, be.ZoneDestroyOrphans{}).Plan.Steps, "there are none")
	w = onePool(t)
	manyOrphans(t, w)
	refused(t, w, be.ZoneDestroyOrphans{}, refusal{be.Failed,
		"destroy orphans: the snapshot rpool/zones/web/ROOT/zbe-1@x, which snapbe did not make, would be lost",
		"-s takes all of its snapshots along; naming it takes this one"})
	do(t, w, be.ZoneDestroyOrphans{Names: []string{"db"}})
	assert.False(t, exists(w, "rpool/zones/db/ROOT/lost"))
	assert.True(t, exists(w, "rpool/zones/web/ROOT/zbe-1"))
	res := do(t, w, be.ZoneDestroyOrphans{Snapshots: true})
	assert.False(t, exists(w, "rpool/zones/web/ROOT/zbe-1"))
	assert.False(t, exists(w, "rpool/zones/web/ROOT/zbe-2"))
	assert.Contains(t, res.Plan.Notes[0], `goes: zbe-2 of the zone "web", made 2026-11-20`)
	assert.Contains(t, res.Plan.Notes[0], "less than a day old")
	isZone(t, w, "web", "rpool/zones/web/ROOT/zbe", "debian")
	assert.True(t, exists(w, "rpool/zones/web/ROOT/zbe@move"), "the user's, of a root that stays")
	assert.Empty(t, status(t, w).Problems)
}

// TestPinnedZoneIsNoOrphan: the one root of a pinned zone boots everywhere, and
// stays when the boot environment has gone in which it was made.
func TestPinnedZoneIsNoOrphan(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	orphaned(t, w, "rpool/zones/web/ROOT/zbe")
	sys := w.System()
	sys.ZonePolicy = map[string]be.ZonePolicy{"web": be.ZonePinned}
	res, err := be.New(sys).Do(t.Context(), be.ZoneDestroyOrphans{}, be.Options{})
	require.NoError(t, err)
	assert.Empty(t, res.Plan.Steps)
	list, err := be.New(sys).Zones(t.Context())
	require.NoError(t, err)
	assert.True(t, list.BEs[1].Now)
	assert.False(t, list.BEs[1].Orphan)
}

// TestZonesKeepWhenTheyBooted: all that come into place at a boot are told so by
// one change.
func TestZonesKeepWhenTheyBooted(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	w.Host.Boot("rpool/ROOT/debian")
	var sets int
	w.Reset()
	w.Stop = func(what string, _ int) error {
		if what == "zfs set" {
			sets++
		}
		return nil
	}
	do(t, w, be.ZoneMount{})
	w.Reset()
	assert.Equal(t, 1, sets)
	for _, name := range []string{"db", "web"} {
		p := props(t, w, "rpool/zones/"+name+"/ROOT/zbe", zones.PropBooted)
		_, err := time.Parse(time.RFC3339, p[zones.PropBooted].Value)
		assert.NoError(t, err)
	}
}

// TestZoneOnAnotherPool: what commits there does not commit with the boot
// environments; cut off anywhere, a zone is adopted or attached, or it is not.
func TestZoneOnAnotherPool(t *testing.T) {
	for name, c := range map[string]crashCase{
		"adopt": {"", machine, be.ZoneAdopt{Name: "mail", Container: "bpool/zones"}, false},
		"attach": {"", func(t *testing.T, w *betest.World) {
			w.AddZone("bpool/zones", "web")
			orphaned(t, w, "bpool/zones/web/ROOT/zbe")
			require.NoError(t, w.ZFS.Set(t.Context(), []zfs.Change{{Dataset: "rpool/ROOT", Inherit: []string{"org.snapbe:zones"}}}))
		}, be.ZoneAttach{Name: "web", Container: "bpool/zones"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			world := c.prepare(t, layouts["split"])
			w := world()
			before := w.Capture()
			require.False(t, cut(t, w, c.request, -1))
			after := w.Capture()
			assert.Equal(t, []string{"bpool/zones"}, status(t, w).ZonesIn)
			for n := 1; ; n++ {
				w := world()
				if !cut(t, w, c.request, n) {
					break
				}
				cutRecovery(t, w, before, after, n, false)
				cutRecovery(t, w, unmounted(before), unmounted(after), n, true)
			}
		})
	}
}

// TestZoneUndoneLeavesNothing: not even an empty machine, which would have the
// name; and what another tool has snapshotted meanwhile goes along.
func TestZoneUndoneLeavesNothing(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	boom := errors.New("input/output error")
	w.Stop = func(what string, _ int) error {
		if what == "attach" {
			snapshot(t, w, "rpool/zones/web2@auto", "rpool/zones/web2/ROOT@auto", "rpool/zones/web2/ROOT/zbe@auto")
			return boom
		}
		return nil
	}
	_, err := try(t, w, be.ZoneClone{From: "web", Name: "web2"})
	require.ErrorIs(t, err, boom)
	w.Reset()
	assert.False(t, exists(w, "rpool/zones/web2"))
	assert.Empty(t, w.Zones.Settings)
	assert.Empty(t, status(t, w).Pending)
	dataset, in := machinesIn(w)
	assert.NoDirExists(t, filepath.Join(w.ZFS.Dir(dataset), in, "web2"))
	do(t, w, be.ZoneClone{From: "web", Name: "web2"})
}
