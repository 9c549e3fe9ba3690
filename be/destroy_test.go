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

func TestDestroyRefused(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "be-3"})
		do(t, w, be.Activate{Name: "be-3"})
		for _, c := range []struct {
			request be.Destroy
			want    refusal
		}{
			{be.Destroy{Name: "debian"}, refusal{be.Busy, `destroy "debian": it is running`,
				"snapbe activate another one and reboot into it first"}},
			{be.Destroy{Name: "debian", Force: true, Snapshots: true}, refusal{be.Busy, `destroy "debian": it is running`,
				"snapbe activate another one and reboot into it first"}},
			{be.Destroy{Name: "be-3"}, refusal{be.Busy, `destroy "be-3": it is the one that boots next`,
				"snapbe activate another one first"}},
			{be.Destroy{Name: "be-9"}, refusal{be.NotFound, `destroy "be-9": no boot environment has that name in rpool/ROOT`,
				"snapbe list shows those that there are"}},
			{be.Destroy{Name: "be-2@none"}, refusal{be.NotFound, `destroy "be-2@none": no such snapshot`,
				"snapbe list -s be-2 shows the snapshots"}},
			{be.Destroy{Name: "be-2", With: []string{"be-3@x"}}, refusal{be.Invalid, `destroy "be-2" with "be-3@x": that is no snapshot of it`,
				"name them as be-2@SNAP"}},
			{be.Destroy{Name: "be-2", With: []string{"be-2@none"}}, refusal{be.NotFound, `destroy "be-2" with "be-2@none": no such snapshot`,
				"snapbe list -s be-2 shows the snapshots"}},
		} {
			t.Run(c.want.text, func(t *testing.T) { refused(t, w, c.request, c.want) })
		}
	})
}

func TestDestroyMounted(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		dir := do(t, w, be.Mount{Name: "be-2"}).Dir
		refused(t, w, be.Destroy{Name: "be-2"}, refusal{be.Busy, `destroy "be-2": it is mounted at ` + dir,
			"snapbe unmount be-2, or -f"})
		do(t, w, be.Destroy{Name: "be-2", Force: true})
		assert.Equal(t, []string{"debian"}, names(t, w))
	})
}

// Only a part of the BE is mounted, by hand: with two pools the destruction
// would stop half-way.
func TestDestroyPartlyMounted(t *testing.T) {
	for _, part := range []string{"rpool/ROOT/be-2/opt", "bpool/BOOT/be-2"} {
		t.Run(part, func(t *testing.T) {
			w := split(t, "opt")
			do(t, w, be.Create{Name: "be-2"})
			require.NoError(t, w.Host.Attach(tree(part), "/mnt"))
			refused(t, w, be.Destroy{Name: "be-2"}, refusal{be.Busy, `destroy "be-2": ` + part + " is mounted at /mnt",
				"umount /mnt, or -f"})
			do(t, w, be.Destroy{Name: "be-2", Force: true})
			assert.Equal(t, []string{"debian"}, names(t, w))
		})
	}
}

func TestDestroySnapshotsOfTheUser(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "be-2@mine"})
		snapshot(t, w, "rpool/ROOT/be-2/opt@auto")
		refused(t, w, be.Destroy{Name: "be-2"}, refusal{be.Failed,
			`destroy "be-2": the snapshot rpool/ROOT/be-2@mine, which snapbe did not make, would be lost`,
			"-s takes all of its snapshots along; naming it takes this one"})
		refused(t, w, be.Destroy{Name: "be-2", With: []string{"be-2@mine"}}, refusal{be.Failed,
			`destroy "be-2": the snapshot rpool/ROOT/be-2/opt@auto, which snapbe did not make, would be lost`,
			"-s takes all of its snapshots along; naming it takes this one"})
		res := do(t, w, be.Destroy{Name: "be-2", With: []string{"be-2@mine", "be-2@auto"}})
		assert.Contains(t, res.Plan.Notes, "goes: rpool/ROOT/be-2@mine")
		assert.Contains(t, res.Plan.Notes, "goes: rpool/ROOT/be-2/opt@auto")
	})
}

func TestDestroyHeld(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "be-2@mine"})
		w.ZFS.SetHolds("rpool/ROOT/be-2/opt@mine", 1)
		want := refusal{be.Busy, "", "zfs holds rpool/ROOT/be-2/opt@mine shows who holds it; zfs release lets it go"}
		for _, r := range []be.Destroy{{Name: "be-2", Snapshots: true}, {Name: "be-2@mine"}} {
			want.text = fmt.Sprintf("destroy %q: the snapshot rpool/ROOT/be-2/opt@mine is held", r.Name)
			refused(t, w, r, want)
		}
		w.ZFS.SetHolds("rpool/ROOT/be-2/opt@mine", 0)
		do(t, w, be.Destroy{Name: "be-2@mine"})
		do(t, w, be.Destroy{Name: "be-2"})
	})
}

// What was cloned from a BE is promoted, and stays with all its files.
func TestDestroyPromotes(t *testing.T) {
	reboot := func(t *testing.T, w *betest.World, name string) {
		do(t, w, be.Activate{Name: name})
		require.NoError(t, w.Reboot())
	}
	t.Run("a chain", func(t *testing.T) {
		eachLayout(t, func(t *testing.T, w *betest.World) {
			do(t, w, be.Create{Name: "be-2"})
			do(t, w, be.Create{Name: "be-3", From: "be-2"})
			reboot(t, w, "be-3")
			do(t, w, be.Destroy{Name: "be-2"})
			do(t, w, be.Destroy{Name: "debian"})
			assert.Equal(t, []string{"be-3"}, names(t, w))
			assert.Empty(t, named(t, w, "be-3").Origin, "it stands by itself")
			assert.Empty(t, snapshotsOf(w), "snapbe's own snapshots have gone")
		})
	})
	t.Run("the chain's head first", func(t *testing.T) {
		eachLayout(t, func(t *testing.T, w *betest.World) {
			do(t, w, be.Create{Name: "be-2"})
			do(t, w, be.Create{Name: "be-3", From: "be-2"})
			reboot(t, w, "be-2")
			do(t, w, be.Destroy{Name: "debian"})
			do(t, w, be.Destroy{Name: "be-3"})
			assert.Equal(t, []string{"be-2"}, names(t, w))
			assert.Empty(t, snapshotsOf(w))
		})
	})
	t.Run("two clones of one snapshot", func(t *testing.T) {
		eachLayout(t, func(t *testing.T, w *betest.World) {
			do(t, w, be.Create{Name: "debian@mine"})
			do(t, w, be.Create{Name: "be-2", From: "debian@mine"})
			do(t, w, be.Create{Name: "be-3", From: "debian@mine"})
			reboot(t, w, "be-3")
			do(t, w, be.Destroy{Name: "debian"})
			assert.Equal(t, []string{"be-2", "be-3"}, names(t, w))
			assert.True(t, exists(w, "rpool/ROOT/be-2@mine"), "the user's snapshot lives on")
			assert.Equal(t, "rpool/ROOT/be-2@mine", named(t, w, "be-3").Origin)
		})
	})
	t.Run("clones outside", func(t *testing.T) {
		w := onePool(t, "var")
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "be-2@mine"})
		w.Put("rpool/ROOT/be-2/var", "kept", "text")
		snapshot(t, w, "rpool/ROOT/be-2/var@web")
		clone(t, w, "rpool/ROOT/be-2/var@web", "rpool/web")
		res := do(t, w, be.Destroy{Name: "be-2", Snapshots: true})
		assert.Contains(t, res.Plan.Notes, "promotes rpool/web")
		assert.Equal(t, "text", w.File("rpool/web", "kept"))
		assert.True(t, exists(w, "rpool/web@web"), "the user's snapshot goes over to the clone")
		assert.True(t, exists(w, "rpool/web@mine"), "and so do older ones")
	})
	t.Run("clones inside", func(t *testing.T) {
		w := onePool(t, "var")
		do(t, w, be.Create{Name: "be-2"})
		snapshot(t, w, "rpool/ROOT/be-2/var@s")
		clone(t, w, "rpool/ROOT/be-2/var@s", "rpool/ROOT/be-2/copy")
		clone(t, w, "rpool/ROOT/be-2/var@s", "rpool/ROOT/be-2/var/copy")
		do(t, w, be.Destroy{Name: "be-2", Snapshots: true})
		assert.Equal(t, []string{"debian"}, names(t, w))
	})
	t.Run("nested datasets of other origins", func(t *testing.T) {
		w := onePool(t, "opt")
		do(t, w, be.Create{Name: "be-2"})
		create(t, w, "rpool/ROOT/be-2/srv", zfs.Props{"mountpoint": "/srv"})
		snapshot(t, w, "rpool/home@base")
		clone(t, w, "rpool/home@base", "rpool/ROOT/be-2/home")
		clone(t, w, "rpool/home@base", "rpool/ROOT/be-2/home2")
		do(t, w, be.Destroy{Name: "be-2"})
		assert.True(t, exists(w, "rpool/home@base"), "an origin of the user's stays")
	})
}

func snapshotsOf(w *betest.World) (all []string) {
	for _, n := range w.ZFS.Names() {
		if strings.Contains(n, "@") {
			all = append(all, n)
		}
	}
	return all
}

func TestDestroyOrigin(t *testing.T) {
	for _, c := range []struct {
		name   string
		from   string
		origin bool
		left   bool
	}{
		{name: "snapbe's own goes"},
		{name: "the user's stays", from: "debian@mine", left: true},
		{name: "the user's goes with -o", from: "debian@mine", origin: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachLayout(t, func(t *testing.T, w *betest.World) {
				if c.from != "" {
					do(t, w, be.Create{Name: c.from})
				}
				do(t, w, be.Create{Name: "be-2", From: c.from})
				do(t, w, be.Destroy{Name: "be-2", Origin: c.origin})
				assert.Equal(t, c.left, len(snapshotsOf(w)) > 0, "%v", snapshotsOf(w))
			})
		})
	}
	t.Run("one that another BE needs stays", func(t *testing.T) {
		w := onePool(t)
		do(t, w, be.Create{Name: "be-2"})
		origin := named(t, w, "be-2").Origin
		clone(t, w, origin, "rpool/other")
		do(t, w, be.Destroy{Name: "be-2", Origin: true})
		assert.True(t, exists(w, origin))
	})
	t.Run("one that is held stays", func(t *testing.T) {
		w := onePool(t)
		do(t, w, be.Create{Name: "be-2"})
		origin := named(t, w, "be-2").Origin
		w.ZFS.SetHolds(origin, 1)
		do(t, w, be.Destroy{Name: "be-2"})
		assert.True(t, exists(w, origin))
	})
}

func TestDestroyNameClash(t *testing.T) {
	w := onePool(t)
	do(t, w, be.Create{Name: "debian@mine"})
	do(t, w, be.Create{Name: "be-2", From: "debian@mine"})
	do(t, w, be.Create{Name: "be-2@mine"})
	do(t, w, be.Activate{Name: "be-2"})
	require.NoError(t, w.Reboot())
	refused(t, w, be.Destroy{Name: "debian", Snapshots: true}, refusal{be.Failed,
		`destroy "debian": rpool/ROOT/be-2, which is to be promoted, has a snapshot "mine" of its own`,
		"zfs rename rpool/ROOT/be-2@mine to another name"})
}

func TestDestroySnapshotWithClones(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "debian@mine"})
		do(t, w, be.Create{Name: "be-2", From: "debian@mine"})
		refused(t, w, be.Destroy{Name: "debian@mine"}, refusal{be.Failed,
			`destroy "debian@mine": rpool/ROOT/debian@mine is the origin of rpool/ROOT/be-2`, "destroy those first"})
		do(t, w, be.Create{Name: "debian@two"})
		do(t, w, be.Destroy{Name: "debian@two"})
		assert.False(t, exists(w, "rpool/ROOT/debian/opt@two"))
	})
}

func TestDestroyFrees(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "be-2@mine"})
		w.ZFS.SetNumber("rpool/ROOT/be-2", "usedbydataset", 3<<20)
		w.ZFS.SetNumber("rpool/ROOT/be-2/opt", "usedbydataset", 1<<20)
		w.ZFS.SetNumber("rpool/ROOT/be-2@mine", "used", 512<<10)
		w.ZFS.SetNumber(named(t, w, "be-2").Origin, "used", 512<<10)
		res := do(t, w, be.Destroy{Name: "be-2", Snapshots: true})
		assert.EqualValues(t, 5<<20, res.Plan.Frees)
	})
}

// What appears after the user agreed to the plan is never lost.
func TestDestroyLosesNothingNew(t *testing.T) {
	for what, appear := range map[string]func(*testing.T, *betest.World){
		"rpool/ROOT/be-2/new": func(t *testing.T, w *betest.World) { create(t, w, "rpool/ROOT/be-2/new", nil) },
		"rpool/ROOT/be-2/opt@new": func(t *testing.T, w *betest.World) {
			snapshot(t, w, "rpool/ROOT/be-2/opt@new")
		},
	} {
		t.Run(what, func(t *testing.T) {
			eachLayout(t, func(t *testing.T, w *betest.World) {
				do(t, w, be.Create{Name: "be-2"})
				do(t, w, be.Create{Name: "be-2@mine"})
				var before []string
				_, err := be.New(w.System()).Do(t.Context(), be.Destroy{Name: "be-2", Snapshots: true}, be.Options{
					Announce: func(be.Plan) { appear(t, w); before = w.Capture() }})
				assertRefusal(t, refusal{be.Failed, `destroy "be-2": ` + what + " appeared after the plan was made",
					"run it again to see all that goes"}, err)
				same(t, before, w.Capture())
			})
		})
	}
}

// In the boot pool it is too late to stop, but not to keep what is new.
func TestDestroyLosesNothingNewInTheSecondPool(t *testing.T) {
	w := split(t)
	do(t, w, be.Create{Name: "be-2"})
	w.Stop = func(what string, _ int) error {
		if what == "zfs destroy" && !exists(w, "bpool/BOOT/be-2@new") {
			w.Stop = nil
			snapshot(t, w, "bpool/BOOT/be-2@new")
		}
		return nil
	}
	_, err := try(t, w, be.Destroy{Name: "be-2"})
	assertRefusal(t, refusal{be.Pending, `destroy "be-2": bpool/BOOT/be-2@new appeared after the plan was made`,
		"the operation stopped half-way; snapbe recover ends it"}, err)
	// Nor does it keep everything else waiting: a periodic snapshot would.
	res := do(t, w, be.Recover{})
	assert.Contains(t, res.Notes, "bpool/BOOT/be-2 is left, since bpool/BOOT/be-2@new appeared; promote what was cloned from it before you destroy it")
	assert.True(t, exists(w, "bpool/BOOT/be-2@new"))
	assert.False(t, exists(w, "rpool/ROOT/be-2"))
	assert.Empty(t, status(t, w).Pending)
}

func TestDestroyPrevious(t *testing.T) {
	w := onePool(t)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Activate{Name: "be-2"})
	require.NoError(t, w.Reboot())
	res := do(t, w, be.Destroy{Name: "debian"})
	assert.Contains(t, res.Plan.Notes, "failback will have nothing to go to until another boot environment is activated")
	refused(t, w, be.Failback{}, refusal{be.NotFound, "fail back: no previous boot environment is known",
		"snapbe activate NAME chooses any other"})
}

// The record has an end: naming more snapshots than fit is refused, with the
// way out.
func TestDestroyWithVeryMany(t *testing.T) {
	w := onePool(t)
	do(t, w, be.Create{Name: "be-2"})
	r := be.Destroy{Name: "be-2"}
	for i := range 40 {
		n := fmt.Sprintf("be-2@before-the-%03d-th-change-of-this-year", i)
		do(t, w, be.Create{Name: n})
		r.With = append(r.With, n)
	}
	refused(t, w, r, refusal{be.Invalid, `destroy "be-2": more snapshots are named than can be recorded`,
		"-s takes all of its snapshots along; or snapbe destroy BE@SNAP one by one before"})
}
