package be_test

import (
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
)

// withoutFar does something while the zones of the second container are not there.
func withoutFar(t *testing.T, w *betest.World, f func()) {
	t.Helper()
	far := farZones(w)
	aside := path.Join(path.Dir(far), "not-there")
	require.NoError(t, w.ZFS.Rename(t.Context(), far, aside))
	f()
	require.NoError(t, w.ZFS.Rename(t.Context(), aside, far))
}

// farWorld is a host with zones on a pool of their own.
func farWorld(t *testing.T) *betest.World {
	t.Helper()
	w := betest.New(t.TempDir(), betest.Layout{Pools: []string{"tank"}})
	syncedZones(t, w)
	return w
}

// inPlace puts the far zone where it boots, now that its pool is there; status says so
// before.
func inPlace(t *testing.T, w *betest.World) {
	t.Helper()
	assert.Equal(t, []string{`the zone "far" does not start: zbe-1 is not in its place yet: systemctl restart snapbe-zones.service puts it there`}, status(t, w).Problems)
	do(t, w, be.ZoneMount{})
	assert.Equal(t, "tank/zones/far/ROOT/zbe-1", zoneRoot(w, "far"))
}

// TestHandoverWithoutAPool: where the pool of a zone is not there at the first boot,
// the zone is left and told; it is handed over when the pool is there, by the command
// or by the next boot, and until then the old boot environment stays.
func TestHandoverWithoutAPool(t *testing.T) {
	const farNew = "tank/zones/far/ROOT/zbe-1"
	const told = `what changed last in the zones below tank/zones in "debian" is not in "be-2" yet, such as locks of accounts: `
	rebooted := func(t *testing.T) *betest.World {
		w := farWorld(t)
		do(t, w, be.Activate{Name: "be-2"})
		w.Put("tank/zones/far/ROOT/zbe", "etc/shadow", locked)
		w.Put("rpool/ROOT/debian", "etc/adjtime", "late\n")
		withoutFar(t, w, func() {
			require.NoError(t, w.Start())
			res := do(t, w, be.Handover{Boot: true})
			assert.Contains(t, res.Plan.Notes, told+"zpool import tank and snapbe handover, or the next boot with it, takes it over")
			assert.Equal(t, "late\n", w.File("rpool/ROOT/be-2", "etc/adjtime"), "the host is done")
			do(t, w, be.ZoneMount{})
			assert.Contains(t, status(t, w).Problems, res.Plan.Notes[len(res.Plan.Notes)-1])
			do(t, w, be.Sync{Name: "debian"}) // which needs nothing of the zone
			res = do(t, w, be.Handover{})
			assert.Empty(t, res.Plan.Steps)
			assert.Contains(t, strings.Join(res.Notes, "\n"), told)
			refused(t, w, be.Destroy{Name: "debian"}, refusal{be.Busy,
				`destroy "debian": what changed last in the zones below tank/zones in "debian" is still to be synced to "be-2"`,
				"zpool import tank and snapbe handover first, or activate another one"})
		})
		require.Equal(t, shadow, w.File(farNew, "etc/shadow"))
		return w
	}
	handed := func(t *testing.T, w *betest.World) {
		assert.Equal(t, locked, w.File(farNew, "etc/shadow"))
		assert.Empty(t, status(t, w).Problems)
		assert.Empty(t, do(t, w, be.Handover{}).Plan.Steps)
		w.Put(farNew, "etc/motd", "back\n")
		do(t, w, be.Failback{})
		require.NoError(t, w.Reboot())
		assert.Equal(t, "back\n", w.File("tank/zones/far/ROOT/zbe", "etc/motd"))
		assert.Equal(t, locked, w.File("tank/zones/far/ROOT/zbe", "etc/shadow"))
	}
	t.Run("by the command", func(t *testing.T) {
		w := rebooted(t)
		assert.Contains(t, status(t, w).Problems, told+"snapbe handover")
		refused(t, w, be.Sync{Name: "debian"}, refusal{be.Failed,
			`sync to "debian": what changed last in the zones below tank/zones in "debian" is not synced to the boot environment that runs`,
			"snapbe handover does it; --no-sync goes on without"})
		w.Put("rpool/ROOT/be-2", "etc/adjtime", "newer\n")
		w.Put("rpool/ROOT/debian", "etc/motd", "by hand\n")
		before := props(t, w, "rpool/ROOT/be-2", "org.snapbe:synced")
		res := do(t, w, be.Handover{})
		assert.Equal(t, `hand over to "be-2" from the zones below tank/zones in "debian"`, res.Plan.Title)
		assert.Len(t, res.Zones, 1)
		assert.Equal(t, before, props(t, w, "rpool/ROOT/be-2", "org.snapbe:synced"), "nothing of the host")
		assert.NotEqual(t, "by hand\n", w.File("rpool/ROOT/be-2", "etc/motd"))
		w.Put("rpool/ROOT/debian", "etc/motd", "")
		inPlace(t, w)
		handed(t, w)
	})
	t.Run("by the next boot", func(t *testing.T) {
		w := rebooted(t)
		require.NoError(t, w.Reboot())
		handed(t, w)
	})
	t.Run("when the other one was picked between", func(t *testing.T) {
		w := rebooted(t)
		w.Host.Boot("rpool/ROOT/debian")
		do(t, w, be.Handover{Boot: true})
		assert.Contains(t, status(t, w).Waits, `the next boot of "be-2" takes over what changed last in the zones below tank/zones in "debian"`)
		require.NoError(t, w.Reboot())
		handed(t, w)
	})
	t.Run("never", func(t *testing.T) {
		w := rebooted(t)
		do(t, w, be.Activate{Name: "be-2", Syncing: be.Syncing{Without: true}})
		inPlace(t, w)
		assert.Empty(t, status(t, w).Problems)
		do(t, w, be.Destroy{Name: "debian"})
	})
	t.Run("given up", func(t *testing.T) {
		w := rebooted(t)
		withoutFar(t, w, func() {
			do(t, w, be.Create{Name: "be-3", Zones: be.ZoneChoice{Names: []string{"web"}}})
			res := do(t, w, be.Activate{Name: "be-3"})
			assert.Contains(t, res.Plan.Notes, `gives up what changed last in the zones below tank/zones in "debian" and is not in "be-2" yet, such as locks of accounts`)
		})
	})
}

// TestHandoverCutWithoutAPool: a zone whose pool comes between a power cut and the
// recovery is not taken for one that was handed over.
func TestHandoverCutWithoutAPool(t *testing.T) {
	for n := 1; ; n++ {
		w := farWorld(t)
		do(t, w, be.Activate{Name: "be-2"})
		w.Put("tank/zones/far/ROOT/zbe", "etc/shadow", locked)
		w.Put(webRoot+"zbe", "etc/motd", "late\n")
		require.NoError(t, w.Start())
		was := false
		withoutFar(t, w, func() { was = cut(t, w, be.Handover{Boot: true}, n) })
		do(t, w, be.Recover{})
		do(t, w, be.Handover{})
		assert.Equal(t, locked, w.File("tank/zones/far/ROOT/zbe-1", "etc/shadow"), "cut before change %d", n)
		assert.Equal(t, "late\n", w.File(webRoot+"zbe-1", "etc/motd"))
		do(t, w, be.ZoneMount{})
		assert.Empty(t, status(t, w).Problems)
		if !was {
			require.Greater(t, n, 5)
			return
		}
	}
}

// policies carries a request out where the configuration says how zones follow.
func policies(t *testing.T, w *betest.World, p map[string]be.ZonePolicy, r be.Request) be.Result {
	t.Helper()
	sys := w.System()
	sys.ZonePolicy = p
	res, err := be.New(sys).Do(t.Context(), r, be.Options{})
	require.NoError(t, err)
	return res
}

// TestPolicyOfTheOther: a zone that was synced when a boot environment was activated is
// handed over to it, though that one's own configuration leaves the zone alone.
func TestPolicyOfTheOther(t *testing.T) {
	w := farWorld(t)
	do(t, w, be.Activate{Name: "be-2"})
	w.Put(webRoot+"zbe", "etc/shadow", strings.Replace(locked, "root:", "root:!", 1))
	require.NoError(t, w.Start())
	policies(t, w, map[string]be.ZonePolicy{"web": be.ZonePinned}, be.Handover{Boot: true})
	assert.Contains(t, w.File(webRoot+"zbe-1", "etc/shadow"), "root:!")

	t.Run("not one that was left alone then", func(t *testing.T) {
		w := farWorld(t)
		pin := map[string]be.ZonePolicy{"web": be.ZonePinned}
		policies(t, w, pin, be.Activate{Name: "be-2"})
		require.NoError(t, w.Start())
		policies(t, w, pin, be.Handover{Boot: true})
		assert.Equal(t, shadow, w.File(webRoot+"zbe-1", "etc/shadow"))
	})
}

// TestPolicyOfAZoneLeft: the same for one whose pool was not there.
func TestPolicyOfAZoneLeft(t *testing.T) {
	pin := map[string]be.ZonePolicy{"far": be.ZonePinned}
	w := farWorld(t)
	do(t, w, be.Activate{Name: "be-2"})
	w.Put("tank/zones/far/ROOT/zbe", "etc/shadow", locked)
	withoutFar(t, w, func() {
		require.NoError(t, w.Start())
		policies(t, w, pin, be.Handover{Boot: true})
	})
	policies(t, w, pin, be.Handover{})
	assert.Equal(t, locked, w.File("tank/zones/far/ROOT/zbe-1", "etc/shadow"))
}

// TestRecoveredByTheFirstPolicy: what a power cut stopped is ended with the zones that
// it began with, whatever the configuration says since.
func TestRecoveredByTheFirstPolicy(t *testing.T) {
	pin := map[string]be.ZonePolicy{"web": be.ZonePinned}
	for name, c := range map[string]struct {
		arrange func(t *testing.T, w *betest.World)
		request be.Request
		first   map[string]be.ZonePolicy
		later   map[string]be.ZonePolicy
	}{
		"rollback, pinned since":     {rolledZones, be.Rollback{Name: "be-2@mine", Newer: true}, nil, pin},
		"rollback, followed since":   {rolledZones, be.Rollback{Name: "be-2@mine", Newer: true}, pin, nil},
		"snapshot, pinned since":     {syncedZones, be.Create{Name: "debian@mine"}, nil, pin},
		"destroy it, followed since": {rolledZones, be.Destroy{Name: "be-2@newer"}, pin, nil},
		"handover, pinned since":     {handingOver, be.Handover{Boot: true}, nil, pin},
		"handover, followed since": {func(t *testing.T, w *betest.World) {
			syncedZones(t, w)
			policies(t, w, pin, be.Activate{Name: "be-2"})
			require.NoError(t, w.Start())
		}, be.Handover{Boot: true}, pin, nil},
	} {
		t.Run(name, func(t *testing.T) {
			world := crashCase{name: name, arrange: c.arrange}.prepare(t, betest.Layout{Pools: []string{"tank"}})
			w := world()
			before := w.Capture()
			policies(t, w, c.first, c.request)
			after := w.Capture()
			for n := 1; ; n++ {
				w := world()
				if !cutBy(t, w, c.first, c.request, n) {
					require.Greater(t, n, 2)
					return
				}
				policies(t, w, c.later, be.Recover{})
				outcome(t, w, before, after, name)
			}
		})
	}
}

func handingOver(t *testing.T, w *betest.World) {
	t.Helper()
	syncedZones(t, w)
	do(t, w, be.Activate{Name: "be-2"})
	w.Put(webRoot+"zbe", "etc/motd", "late\n")
	require.NoError(t, w.Start())
}

// cutBy is cut, with a configuration.
func cutBy(t *testing.T, w *betest.World, p map[string]be.ZonePolicy, r be.Request, n int) (was bool) {
	t.Helper()
	defer w.Reset()
	w.Stop = func(what string, i int) error {
		if i == n {
			panic(powerCut(what))
		}
		return nil
	}
	defer func() {
		if got := recover(); got != nil {
			require.IsType(t, powerCut(""), got)
			was = true
		}
	}()
	policies(t, w, p, r)
	return false
}
