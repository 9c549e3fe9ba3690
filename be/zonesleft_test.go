package be_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

// What becomes of zones that could not be handed over at the first boot.

const farOld, farNew = "rpool/far/far/ROOT/zbe", "rpool/far/far/ROOT/zbe-1"

// manyFail is a host with n zones that cannot be synced at the first boot of be-2.
func manyFail(t *testing.T, n int, a be.Activate) *betest.World {
	w := onePool(t)
	w.Boot.FAT = true
	accounts(w)
	for i := range n {
		w.AddZone("rpool/zones", fmt.Sprintf("web-%02d", i))
	}
	do(t, w, be.ZoneMount{})
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.BootUpdate{})
	do(t, w, a)
	for i := range n {
		w.Put(fmt.Sprintf("rpool/zones/web-%02d/ROOT/zbe", i), "etc/snapbe/synclist", "nonsense\n")
	}
	require.NoError(t, w.Start())
	_, err := early(t, w)
	require.NoError(t, err)
	return w
}

// TestManyZonesLeft: records hold it, however many they are.
func TestManyZonesLeft(t *testing.T) {
	const n = 24
	w := manyFail(t, n, be.Activate{Name: "be-2", Trial: true})
	do(t, w, be.ZoneMount{})
	assert.Equal(t, []string{`what changed last in the zones that failed in "debian" is not in "be-2" yet, such as locks of accounts: snapbe handover`}, status(t, w).Problems)
	do(t, w, be.Confirm{Auto: true})
	_, err := be.New(w.System()).Do(t.Context(), be.Failback{}, be.Options{DryRun: true})
	require.NoError(t, err)
	for i := range n {
		w.Put(fmt.Sprintf("rpool/zones/web-%02d/ROOT/zbe", i), "etc/snapbe/synclist", "/etc/motd\n")
	}
	do(t, w, be.Handover{})
	do(t, w, be.ZoneMount{})
	assert.Empty(t, status(t, w).Problems)
}

func leftFar(t *testing.T) *betest.World {
	w := onePool(t)
	syncedZones(t, w)
	do(t, w, be.Activate{Name: "be-2"})
	w.Put(farOld, "etc/shadow", locked)
	w.Put(farOld, "etc/snapbe/synclist", "nonsense\n")
	require.NoError(t, w.Start())
	do(t, w, be.Handover{Boot: true})
	return w
}

// TestLeftZoneGoes: nothing is done for it, and nothing to anything else.
func TestLeftZoneGoes(t *testing.T) {
	for _, how := range []string{"destroyed", "renamed"} {
		t.Run(how, func(t *testing.T) {
			w := leftFar(t)
			create(t, w, "rpool/data", zfs.Props{"mountpoint": "none"})
			if how == "destroyed" {
				do(t, w, be.ZoneDestroy{Name: "far"})
			} else {
				require.NoError(t, w.ZFS.Rename(t.Context(), "rpool/far/far", "rpool/far/further"))
			}
			before := w.ZFS.Names()
			res := do(t, w, be.Handover{})
			assert.Equal(t, before, w.ZFS.Names(), "no snapshots")
			assert.Contains(t, res.Plan.Notes, `the zone of rpool/far/far is not there any more, so what changed last in "debian" is given up for it`)
			do(t, w, be.ZoneMount{})
			assert.Empty(t, status(t, w).Problems)
		})
	}
}

// TestLeftHalf: what a zone has in part is not taken for its own, and its locks not for
// what the other one changed.
func TestLeftHalf(t *testing.T) {
	w := onePool(t)
	accounts(w)
	zoned(t, w)
	w.AddZone("rpool/far", "far")
	zoneAccounts(w, farOld)
	w.Put(farOld, "etc/shadow", locked)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Activate{Name: "be-2"})
	w.Put(farOld, "etc/shadow", shadow) // opened again
	w.Put(farOld, "etc/motd", "late\n")
	require.NoError(t, w.Start())
	at := full(w, 0, "motd")
	do(t, w, be.Handover{Boot: true})
	require.NotEmpty(t, *at)
	w.Reset()
	require.Equal(t, shadow, w.File(farNew, "etc/shadow"), "midway")
	const left = `the zone "far" is not synced: what changed last in "debian" is not all in it; snapbe handover first`
	res, err := be.New(w.System()).Do(t.Context(), be.Failback{}, be.Options{DryRun: true})
	require.NoError(t, err)
	assert.Contains(t, res.Plan.Notes, left)
	do(t, w, be.Handover{})
	assert.Equal(t, "late\n", w.File(farNew, "etc/motd"))
	w.Put(farNew, "etc/shadow", locked) // and locked again
	assert.NotContains(t, do(t, w, be.Failback{}).Plan.Notes, left)
	require.NoError(t, w.Reboot())
	assert.Equal(t, locked, w.File(farOld, "etc/shadow"))
}

// Of two zones that fail, both are told why.
func TestLeftBothTold(t *testing.T) {
	w := onePool(t)
	syncedZones(t, w)
	do(t, w, be.Activate{Name: "be-2"})
	w.Put(webRoot+"zbe", "etc/snapbe/synclist", "nonsense\n")
	w.Put(farOld, "etc/snapbe/synclist", "nonsense\n")
	require.NoError(t, w.Start())
	res := do(t, w, be.Handover{Boot: true})
	assert.Contains(t, strings.Join(res.Notes, "\n"), `synclist of the zone "far"`)
	assert.Contains(t, strings.Join(res.Notes, "\n"), `synclist of the zone "web"`)
}

// What is recovered in the other one does not send its user to a command that does
// nothing there.
func TestLeftRecoveredElsewhere(t *testing.T) {
	w := onePool(t)
	syncedZones(t, w)
	do(t, w, be.Activate{Name: "be-2"})
	w.Put(farOld, "etc/snapbe/synclist", "nonsense\n")
	w.Put(webRoot+"zbe", "etc/motd", "late\n")
	require.NoError(t, w.Start())
	w.Stop = func(what string, i int) error {
		if strings.Contains(what, "motd") {
			panic(powerCut(what))
		}
		return nil
	}
	func() {
		defer func() { require.NotNil(t, recover()) }()
		_, _ = try(t, w, be.Handover{Boot: true})
	}()
	w.Reset()
	picked(w, "debian")
	notes, err := early(t, w)
	require.NoError(t, err)
	assert.NotContains(t, strings.Join(notes, "\n"), "yet, such as locks of accounts: snapbe handover")
	w.Put(farOld, "etc/snapbe/synclist", "/etc/motd\n")
	w.Put(farOld, "etc/motd", "mended\n")
	require.NoError(t, w.Reboot())
	assert.Equal(t, "mended\n", w.File(farNew, "etc/motd"))
}
