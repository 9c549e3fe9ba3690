package be_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// zoned is a host with two zones, one of which has a nested dataset.
func zoned(t *testing.T, w *betest.World) {
	t.Helper()
	for _, name := range []string{"db", "web"} {
		w.AddZone("rpool/zones", name)
	}
	create(t, w, "rpool/zones/web/ROOT/zbe/srv", zfs.Props{"canmount": "noauto"})
	do(t, w, be.ZoneMount{})
}

// zoneRoot is the dataset that shows where a zone boots.
func zoneRoot(w *betest.World, name string) string {
	for _, mnt := range w.Host.Mounted {
		if mnt.Dir == "/var/lib/machines/"+name {
			return mnt.Dataset
		}
	}
	return ""
}

func TestCreateClonesZones(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		zoned(t, w)
		do(t, w, be.Create{Name: "new"})
		uuid := named(t, w, "new").UUID
		for _, name := range []string{"db", "web"} {
			root := "rpool/zones/" + name + "/ROOT/zbe-1"
			p := props(t, w, root, zones.PropParent, zones.PropActive, "org.snapbe:op", "origin", "canmount", "mountpoint")
			assert.Equal(t, uuid, p[zones.PropParent].Value)
			assert.Equal(t, "on", p[zones.PropActive].Value)
			assert.Empty(t, p["org.snapbe:op"].Value)
			assert.Equal(t, "noauto", p["canmount"].Value)
			assert.Equal(t, "/", p["mountpoint"].Value)
			assert.Equal(t, name+" 1\n", w.File(root, "version"))
			// The old one stays the active one of its own parent.
			old := props(t, w, "rpool/zones/"+name+"/ROOT/zbe", zones.PropParent, zones.PropActive)
			assert.Equal(t, named(t, w, "debian").UUID, old[zones.PropParent].Value)
			assert.Equal(t, "on", old[zones.PropActive].Value)
		}
		nested := props(t, w, "rpool/zones/web/ROOT/zbe-1/srv", "mountpoint", "canmount")
		assert.Equal(t, "/srv", nested["mountpoint"].Value)
		assert.Equal(t, "noauto", nested["canmount"].Value)
	})
}

// TestZonesFollow boots there and back: what is mounted where a zone boots is
// always the root that belongs to what runs, chosen by hand in the menu too.
func TestZonesFollow(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	do(t, w, be.Create{Name: "new"})
	w.Put("rpool/zones/web/ROOT/zbe-1", "version", "web 2\n")
	do(t, w, be.Activate{Name: "new"})
	require.NoError(t, w.Reboot())
	assert.Equal(t, "rpool/zones/web/ROOT/zbe-1", zoneRoot(w, "web"))
	assert.Equal(t, "rpool/zones/db/ROOT/zbe-1", zoneRoot(w, "db"))
	w.Host.Boot("rpool/ROOT/debian")
	do(t, w, be.ZoneMount{})
	assert.Equal(t, "rpool/zones/web/ROOT/zbe", zoneRoot(w, "web"))
	assert.Empty(t, w.Zones.Withheld())
	assert.NotContains(t, steps(do(t, w, be.ZoneMount{})), "mount the roots", "the second time there is nothing to mount")
}

// TestZoneOfAnotherBE: a zone that has no root in the running boot environment is
// kept from starting, and never gets another one's.
func TestZoneOfAnotherBE(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	do(t, w, be.Create{Name: "new"})
	w.AddZone("rpool/zones", "late")
	w.Host.Boot("rpool/ROOT/new")
	res := do(t, w, be.ZoneMount{})
	assert.Equal(t, "rpool/zones/web/ROOT/zbe-1", zoneRoot(w, "web"))
	assert.Empty(t, zoneRoot(w, "late"))
	assert.Equal(t, []string{"late"}, w.Zones.Withheld())
	const said = `the zone "late" has no root in "new", and does not start: snapbe zone attach late gives it one; what is in /var/lib/machines/late, such as the machine from before it was a zone, is moved away first`
	assert.Contains(t, res.Plan.Notes, said)
	assert.Contains(t, status(t, w).Problems, said)
	do(t, w, be.ZoneAttach{Name: "late"})
	assert.NotContains(t, status(t, w).Problems, said)
	assert.Empty(t, w.Zones.Withheld())
}

func TestCreateRefusesZones(t *testing.T) {
	t.Run("none for the source", func(t *testing.T) {
		w := onePool(t)
		zoned(t, w)
		set(t, w, "rpool/zones/web/ROOT/zbe", zfs.Props{zones.PropActive: "off"})
		refused(t, w, be.Create{Name: "new"}, refusal{be.Failed,
			`create "new": the zone "web": for "debian" it has no active zone BE`,
			"snapbe zone attach web gives it one; --zone names the zones that go along"})
		do(t, w, be.Create{Name: "new", Zones: be.ZoneChoice{Names: []string{"db"}}})
		assert.True(t, exists(w, "rpool/zones/db/ROOT/zbe-1"))
		assert.False(t, exists(w, "rpool/zones/web/ROOT/zbe-1"))
	})
	t.Run("two", func(t *testing.T) {
		w := onePool(t)
		zoned(t, w)
		create(t, w, "rpool/zones/web/ROOT/zbe-7", zfs.Props{"canmount": "noauto", "mountpoint": "/",
			zones.PropParent: named(t, w, "debian").UUID, zones.PropActive: "on"})
		refused(t, w, be.Create{Name: "new"}, refusal{be.Failed,
			`create "new": the zone "web": for "debian" it has 2 active zone BEs: zbe, zbe-7`,
			"zfs set org.opensolaris.libbe:active=off rpool/zones/web/ROOT/zbe-7 turns one of them off"})
		do(t, w, be.Create{Name: "new", Zones: be.ZoneChoice{None: true}})
		assert.False(t, exists(w, "rpool/zones/db/ROOT/zbe-1"))
	})
	t.Run("no such zone", func(t *testing.T) {
		w := onePool(t)
		zoned(t, w)
		refused(t, w, be.Create{Name: "new", Zones: be.ZoneChoice{Names: []string{"mail"}}}, refusal{be.NotFound,
			`create "new": there is no zone "mail"`,
			"snapbe zone list shows those that there are; snapbe zone adopt makes one of a machine"})
	})
}

// TestDestroyTakesZones along, and leaves those of the other boot environment
// whole.
func TestDestroyTakesZones(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		zoned(t, w)
		before := w.Capture()
		do(t, w, be.Create{Name: "new"})
		do(t, w, be.Destroy{Name: "new"})
		same(t, before, w.Capture())
	})
	t.Run("the origin", func(t *testing.T) {
		w := onePool(t)
		zoned(t, w)
		do(t, w, be.Create{Name: "new"})
		do(t, w, be.Activate{Name: "new"})
		require.NoError(t, w.Reboot())
		do(t, w, be.Destroy{Name: "debian"})
		assert.False(t, exists(w, "rpool/zones/web/ROOT/zbe"))
		assert.Equal(t, "web 1\n", w.File("rpool/zones/web/ROOT/zbe-1", "version"))
		assert.Equal(t, "-", props(t, w, "rpool/zones/web/ROOT/zbe-1", "origin")["origin"].Value)
	})
	t.Run("not one that is pinned", func(t *testing.T) {
		w := onePool(t)
		zoned(t, w)
		pinned := func(r be.Request) {
			sys := w.System()
			sys.ZonePolicy = map[string]be.ZonePolicy{"web": be.ZonePinned}
			_, err := be.New(sys).Do(t.Context(), r, be.Options{})
			require.NoError(t, err)
		}
		pinned(be.Create{Name: "new"})
		pinned(be.Activate{Name: "new"})
		require.NoError(t, w.Start())
		pinned(be.Handover{Boot: true})
		pinned(be.ZoneMount{})
		pinned(be.Destroy{Name: "debian"})
		assert.True(t, exists(w, "rpool/zones/web/ROOT/zbe"), "it boots in the other one too")
		assert.False(t, exists(w, "rpool/zones/db/ROOT/zbe"))
		assert.Equal(t, "rpool/zones/web/ROOT/zbe", zoneRoot(w, "web"))
	})
	t.Run("a snapshot of the user's", func(t *testing.T) {
		w := onePool(t)
		zoned(t, w)
		do(t, w, be.Create{Name: "new"})
		snapshot(t, w, "rpool/zones/web/ROOT/zbe-1@mine")
		refused(t, w, be.Destroy{Name: "new"}, refusal{be.Failed,
			`destroy "new": the snapshot rpool/zones/web/ROOT/zbe-1@mine, which snapbe did not make, would be lost`,
			"-s takes all of its snapshots along; naming it takes this one"})
	})
}

// TestMountShowsZones beneath the boot environment.
func TestMountShowsZones(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	do(t, w, be.Create{Name: "new"})
	res := do(t, w, be.Mount{Name: "new"})
	at := map[string]string{}
	for _, mnt := range w.Host.Mounted {
		at[mnt.Dir] = mnt.Dataset
	}
	assert.Equal(t, "rpool/zones/web/ROOT/zbe-1", at[res.Dir+"/var/lib/machines/web"])
	assert.Equal(t, "rpool/zones/web/ROOT/zbe-1/srv", at[res.Dir+"/var/lib/machines/web/srv"])
	do(t, w, be.Unmount{Name: "new"})
	do(t, w, be.Destroy{Name: "new"})
}

func steps(res be.Result) string {
	all := ""
	for _, s := range res.Plan.Steps {
		all += s + "\n"
	}
	return all
}

// TestPinnedZoneStays: a destroy that a power cut stopped spares the pinned root,
// whatever configuration the recovery has; its boot environment can be looked at.
func TestPinnedZoneStays(t *testing.T) {
	pin := func(w *betest.World) be.System {
		sys := w.System()
		sys.ZonePolicy = map[string]be.ZonePolicy{"web": be.ZonePinned}
		return sys
	}
	w := onePool(t)
	zoned(t, w)
	_, err := be.New(pin(w)).Do(t.Context(), be.Create{Name: "new"}, be.Options{})
	require.NoError(t, err)
	w.Host.Boot("rpool/ROOT/new")
	for _, r := range []be.Request{be.ZoneMount{}, be.Mount{Name: "debian"}} {
		_, err := be.New(pin(w)).Do(t.Context(), r, be.Options{})
		require.NoError(t, err, "%T", r)
	}
	assert.Equal(t, "rpool/zones/web/ROOT/zbe", zoneRoot(w, "web"))
	_, err = be.New(pin(w)).Do(t.Context(), be.Unmount{Name: "debian"}, be.Options{})
	require.NoError(t, err)
	_, err = be.New(pin(w)).Do(t.Context(), be.Activate{Name: "new"}, be.Options{})
	require.NoError(t, err)
	require.NoError(t, w.Save())
	for n := 1; ; n++ {
		w, err := betest.LoadCopy(w.Directory(), t.TempDir())
		require.NoError(t, err)
		was := false
		func() {
			defer func() { was = recover() != nil }()
			w.Stop = func(_ string, i int) error {
				if i == n {
					panic("a power cut")
				}
				return nil
			}
			_, err = be.New(pin(w)).Do(t.Context(), be.Destroy{Name: "debian"}, be.Options{})
		}()
		w.Reset()
		if !was {
			require.NoError(t, err)
			require.Greater(t, n, 4)
			return
		}
		w.Host.Boot("rpool/ROOT/new")
		do(t, w, be.Recover{}) // without a configuration
		assert.True(t, exists(w, "rpool/zones/web/ROOT/zbe"), "cut before change %d", n)
	}
}

// TestZonesOfAPoolThatIsGone: nothing but what is about them is held up.
func TestZonesOfAPoolThatIsGone(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	do(t, w, be.Create{Name: "new"})
	set(t, w, "rpool/ROOT", zfs.Props{"org.snapbe:zones": "rpool/zones,gone/zones"})
	refused(t, w, be.Create{Name: "other"}, refusal{be.NotFound, `create "other": the zones below gone/zones are not there`,
		"zpool import gone where that pool is not there; --zone names those to go along, --no-zones none"})
	do(t, w, be.Create{Name: "other", Zones: be.ZoneChoice{Names: []string{"db"}}})
	res := do(t, w, be.Destroy{Name: "new"})
	assert.Contains(t, res.Plan.Notes, "the zones below gone/zones are not there: what they have for it becomes orphans, for snapbe zone destroy-orphans")
	assert.False(t, exists(w, "rpool/zones/web/ROOT/zbe-1"))
}

// TestActivateTellsOfZones that run now and have no root in what is to boot.
func TestActivateTellsOfZones(t *testing.T) {
	const said = `the zone "web" does not start in "new", where it has no active zone BE: snapbe zone attach --be new web gives it a root there`
	w := onePool(t)
	zoned(t, w)
	do(t, w, be.Create{Name: "new", Zones: be.ZoneChoice{Names: []string{"db"}}})
	assert.Contains(t, do(t, w, be.Activate{Name: "new", Syncing: be.Syncing{Without: true}}).Plan.Notes, said)
	do(t, w, be.ZoneAttach{Name: "web", BE: "new"})
	assert.NotContains(t, do(t, w, be.Activate{Name: "new"}).Plan.Notes, said)

	t.Run("pinned since it has followed", func(t *testing.T) {
		w := onePool(t)
		zoned(t, w)
		do(t, w, be.Create{Name: "be-2"})
		sys := w.System()
		sys.ZonePolicy = map[string]be.ZonePolicy{"web": be.ZonePinned}
		m := be.New(sys)
		_, err := m.Do(t.Context(), be.Create{Name: "new"}, be.Options{})
		require.NoError(t, err)
		res, err := m.Do(t.Context(), be.Activate{Name: "new"}, be.Options{})
		require.NoError(t, err)
		assert.Contains(t, res.Plan.Notes, said)
		set(t, w, webRoot+"zbe-1", zfs.Props{zones.PropActive: "off"})
		res, err = m.Do(t.Context(), be.Activate{Name: "new"}, be.Options{})
		require.NoError(t, err)
		assert.NotContains(t, res.Plan.Notes, said, "it has one, which boots everywhere")
	})
}

// TestCreateCutWithoutAPool: a power cut in a creation with zones on two pools, one of
// which is not there when the machine starts. What was made on that one does not count
// when it comes, is told, and goes as an orphan.
func TestCreateCutWithoutAPool(t *testing.T) {
	const told = `the zone "far" has what an interrupted operation left (zbe-2): snapbe zone destroy-orphans far takes it away`
	left := 0
	for n := 1; ; n++ {
		w := farWorld(t)
		was := cut(t, w, be.Create{Name: "be-3"}, n)
		withoutFar(t, w, func() { do(t, w, be.Recover{}) })
		do(t, w, be.ZoneMount{})
		isZone(t, w, "far", "tank/zones/far/ROOT/zbe", "debian")
		there := exists(w, "rpool/ROOT/be-3")
		switch {
		case there:
			assert.Empty(t, status(t, w).Problems, "cut before change %d", n)
			assert.Equal(t, []string{named(t, w, "be-3").UUID, ""}, []string{props(t, w, "tank/zones/far/ROOT/zbe-2", zones.PropParent)[zones.PropParent].Value,
				props(t, w, "tank/zones/far/ROOT/zbe-2", zones.PropOp)[zones.PropOp].Value}, "cut before change %d", n)
		case exists(w, "tank/zones/far/ROOT/zbe-2"):
			if props(t, w, "tank/zones/far/ROOT/zbe-2", zones.PropOp)[zones.PropOp].Value == "" { // as if it were another host's
				assert.Contains(t, strings.Join(status(t, w).Problems, "\n"), `the zone "far" has orphans (zbe-2)`, "cut before change %d", n)
			} else {
				left++
				assert.Equal(t, []string{told}, status(t, w).Problems, "cut before change %d", n)
				assert.Empty(t, do(t, w, be.ZoneAttach{Name: "far"}).Plan.Steps, "it is none to choose from")
			}
			do(t, w, be.ZoneDestroyOrphans{})
			fallthrough
		default:
			assert.Empty(t, status(t, w).Problems, "cut before change %d", n)
			do(t, w, be.Create{Name: "be-3"})
		}
		if !was {
			require.Greater(t, left, 3)
			return
		}
	}
}
