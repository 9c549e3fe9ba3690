package be_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/mount"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// TestZoneDestroy: all of a zone goes, and nothing of another one.
func TestZoneDestroy(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		syncedZones(t, w)
		zoneShares(t, w)
		w.Zones.Machines = []zones.Machine{{Name: "web", State: zones.Installed, Autoboot: true}}
		w.Zones.Settings = map[string]string{"web": "its own", "db": "its own"}
		do(t, w, be.Activate{Name: "be-2"})
		require.NoError(t, w.Reboot())
		do(t, w, be.ZoneClone{From: "web", Name: "web2"})
		require.Equal(t, webRoot+"zbe-1@", props(t, w, "rpool/zones/web2/ROOT/zbe", "origin")["origin"].Value[:len(webRoot+"zbe-1@")])

		res := do(t, w, be.ZoneDestroy{Name: "web"})
		notes := strings.Join(res.Plan.Notes, "\n")
		assert.Contains(t, notes, `goes: zbe, of "debian", made 2026-11-20`)
		assert.Contains(t, notes, `goes: zbe-1, of "be-2", made 2026-11-20`)
		assert.Contains(t, notes, "goes: its share "+webShare+" with all that is in it, ")
		assert.Contains(t, notes, "it starts with the host: machinectl disable web takes that off")
		assert.Contains(t, notes, "promotes rpool/zones/web2/ROOT/zbe")
		for _, name := range w.ZFS.Names() {
			assert.False(t, name == "rpool/zones/web" || strings.HasPrefix(name, "rpool/zones/web/"), name)
		}
		assert.Empty(t, mountedAt(w, "/var/lib/machines/web"))
		dataset, in := machinesIn(w)
		assert.NoDirExists(t, filepath.Join(w.ZFS.Dir(strings.Replace(dataset, "debian", "be-2", 1)), in, "web"))
		assert.Equal(t, map[string]string{"db": "its own", "web2": "web"}, w.Zones.Settings)
		assert.NotContains(t, w.Zones.Known[w.Host.Running], "web", "a machine of that name starts")

		assert.Equal(t, "web 1\n", w.File("rpool/zones/web2/ROOT/zbe", "version"))
		isZone(t, w, "web2", "rpool/zones/web2/ROOT/zbe", "be-2")
		isZone(t, w, "db", "rpool/zones/db/ROOT/zbe-1", "be-2")
		assert.Empty(t, status(t, w).Problems)
		do(t, w, be.Failback{})
		require.NoError(t, w.Reboot())
		do(t, w, be.Create{Name: "be-3", Zones: be.ZoneChoice{Names: []string{"db"}}})
		do(t, w, be.ZoneDestroy{Name: "web2"})
	})
}

func TestZoneDestroyRefuses(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	const what = `destroy the zone "web": `
	refused(t, w, be.ZoneDestroy{Name: "mail"}, refusal{be.NotFound, `destroy the zone "mail": there is no zone "mail"`,
		"snapbe zone list shows those that there are; snapbe zone adopt makes one of a machine"})
	w.Zones.Machines = []zones.Machine{{Name: "web", State: zones.Running}}
	refused(t, w, be.ZoneDestroy{Name: "web"}, refusal{be.Busy, what + "it is running", "machinectl poweroff web"})
	w.Zones.Machines = nil
	snapshot(t, w, webRoot+"zbe@mine")
	refused(t, w, be.ZoneDestroy{Name: "web"}, refusal{be.Failed, what + "the snapshot " + webRoot + "zbe@mine, which snapbe did not make, would be lost",
		"-s takes all of its snapshots along; naming it takes this one"})
	w.Host.Mounted = append(w.Host.Mounted, mount.Mounted{Dataset: webRoot + "zbe", Root: "/", Dir: "/mnt", FSType: "zfs"})
	refused(t, w, be.ZoneDestroy{Name: "web", Snapshots: true}, refusal{be.Busy, what + webRoot + "zbe is mounted at /mnt", "umount /mnt"})
	w.AddZone("rpool/far", "web")
	_, err := try(t, w, be.ZoneDestroy{Name: "web", Snapshots: true})
	require.ErrorContains(t, err, "there is more than one: ")
	sys := w.System()
	sys.ZonePolicy = map[string]be.ZonePolicy{"db": be.ZoneExcluded}
	_, err = be.New(sys).Do(t.Context(), be.ZoneDestroy{Name: "db"}, be.Options{})
	require.ErrorContains(t, err, `its policy is "exclude"`)
	assert.True(t, exists(w, "rpool/zones/db/ROOT/zbe"))
}

// TestZoneDestroyUnfinished takes along what another operation has left, and gives it
// back its mark where it is undone.
func TestZoneDestroyUnfinished(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	create(t, w, webRoot+"zbe-7", zfs.Props{"org.snapbe:op": "lost"})
	w.Stop = func(what string, _ int) error {
		if what == "zfs destroy" {
			return assert.AnError
		}
		return nil
	}
	_, err := try(t, w, be.ZoneDestroy{Name: "web"})
	require.ErrorIs(t, err, assert.AnError)
	w.Reset()
	assert.Equal(t, "lost", props(t, w, webRoot+"zbe-7", "org.snapbe:op")["org.snapbe:op"].Value)
	isZone(t, w, "web", webRoot+"zbe", "debian")
	do(t, w, be.ZoneDestroy{Name: "web"})
	assert.False(t, exists(w, "rpool/zones/web"))
}

// TestZoneDestroyCutAndKept: what somebody has snapshotted after a power cut is left,
// told, and goes when it is asked for again.
func TestZoneDestroyCutAndKept(t *testing.T) {
	for n := 1; ; n++ {
		w := onePool(t)
		syncedZones(t, w)
		zoneShares(t, w)
		w.Zones.Settings = map[string]string{"web": "its own"}
		require.True(t, cut(t, w, be.ZoneDestroy{Name: "web"}, n))
		if exists(w, webRoot+"zbe-1") {
			continue // there is a way back
		}
		snapshot(t, w, webShare+"@hourly")
		res := do(t, w, be.Recover{})
		assert.Contains(t, strings.Join(res.Notes, "\n"), "rpool/zones/web is left, since "+webShare+"@hourly appeared")
		assert.Equal(t, "a letter\n", w.File(webShare, "mail/ann"))
		assert.NotEmpty(t, w.Zones.Settings["web"])
		assert.Empty(t, status(t, w).Pending)
		do(t, w, be.ZoneDestroy{Name: "web", Snapshots: true})
		assert.False(t, exists(w, "rpool/zones/web"))
		assert.Empty(t, w.Zones.Settings)
		return
	}
}
