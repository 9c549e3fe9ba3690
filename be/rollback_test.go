package be_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
)

func TestRollback(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		w.Put("rpool/ROOT/be-2/opt", "tool", "one")
		do(t, w, be.Create{Name: "be-2@mine"})
		w.Put("rpool/ROOT/be-2/opt", "tool", "two")
		w.Put("rpool/ROOT/be-2", "etc/new", "x")
		res := do(t, w, be.Rollback{Name: "be-2@mine"})
		assert.Equal(t, "be-2", res.Name)
		assert.Equal(t, "one", w.File("rpool/ROOT/be-2/opt", "tool"))
		assert.Empty(t, w.File("rpool/ROOT/be-2", "etc/new"))
		assert.Empty(t, named(t, w, "be-2").Unfinished)
	})
}

func TestRollbackRefused(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "debian@mine"})
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "be-2@mine"})
		do(t, w, be.Create{Name: "be-2@newer"})
		for _, c := range []struct {
			request be.Rollback
			want    refusal
		}{
			{be.Rollback{Name: "be-2"}, refusal{be.Invalid, `roll back to "be-2": that is no snapshot`, "name a snapshot, as in BE@SNAP"}},
			{be.Rollback{Name: "be-2@none"}, refusal{be.NotFound, `roll back to "be-2@none": rpool/ROOT/be-2 has no snapshot of that name`,
				"snapbe list -s be-2 shows the snapshots"}},
			{be.Rollback{Name: "none@x"}, refusal{be.NotFound, `roll back to "none@x": no boot environment has that name in rpool/ROOT`,
				"snapbe list shows those that there are"}},
			{be.Rollback{Name: "debian@mine"}, refusal{be.Busy, `roll back to "debian@mine": "debian" is running`,
				"snapbe create -e debian@mine makes a boot environment of it"}},
			{be.Rollback{Name: "be-2@mine"}, refusal{be.Failed, `roll back to "be-2@mine": the newer snapshot rpool/ROOT/be-2@newer would be lost`,
				"with --newer it goes"}},
		} {
			t.Run(c.want.text, func(t *testing.T) { refused(t, w, c.request, c.want) })
		}
		w.ZFS.SetHolds("rpool/ROOT/be-2/opt@newer", 1)
		refused(t, w, be.Rollback{Name: "be-2@mine", Newer: true}, refusal{be.Busy,
			`roll back to "be-2@mine": the snapshot rpool/ROOT/be-2/opt@newer is held`,
			"zfs holds rpool/ROOT/be-2/opt@newer shows who holds it; zfs release lets it go"})
		w.ZFS.SetHolds("rpool/ROOT/be-2/opt@newer", 0)
		do(t, w, be.Create{Name: "child", From: "be-2@newer"})
		refused(t, w, be.Rollback{Name: "be-2@mine", Newer: true}, refusal{be.Failed,
			`roll back to "be-2@mine": the newer snapshot rpool/ROOT/be-2@newer is the origin of rpool/ROOT/child`,
			"destroy what was cloned from it first"})
		do(t, w, be.Destroy{Name: "child"})
		dir := do(t, w, be.Mount{Name: "be-2"}).Dir
		refused(t, w, be.Rollback{Name: "be-2@mine", Newer: true}, refusal{be.Busy,
			`roll back to "be-2@mine": it is mounted at ` + dir, "snapbe unmount be-2"})
	})
}

func TestRollbackOfPart(t *testing.T) {
	w := onePool(t, "var", "var/lib")
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Create{Name: "be-2@mine"})
	create(t, w, "rpool/ROOT/be-2/var/late", nil)
	refused(t, w, be.Rollback{Name: "be-2@mine"}, refusal{be.NotFound,
		`roll back to "be-2@mine": rpool/ROOT/be-2/var/late has no snapshot of that name`, "snapbe list -s be-2 shows the snapshots"})
}

// With two pools the first one would be rolled back, and the second one not.
func TestRollbackPartlyMounted(t *testing.T) {
	w := split(t)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Create{Name: "be-2@mine"})
	require.NoError(t, w.Host.Attach(tree("bpool/BOOT/be-2"), "/mnt"))
	refused(t, w, be.Rollback{Name: "be-2@mine"}, refusal{be.Busy,
		`roll back to "be-2@mine": bpool/BOOT/be-2 is mounted at /mnt`, "umount /mnt"})
}

// A snapshot that appears after the user agreed to the plan is not lost.
func TestRollbackLosesNothingNew(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "be-2@mine"})
		do(t, w, be.Create{Name: "be-2@newer"})
		var before []string
		_, err := be.New(w.System()).Do(t.Context(), be.Rollback{Name: "be-2@mine", Newer: true}, be.Options{Announce: func(be.Plan) {
			snapshot(t, w, "rpool/ROOT/be-2/opt@later")
			before = w.Capture()
		}})
		assertRefusal(t, refusal{be.Failed, `roll back to "be-2@mine": rpool/ROOT/be-2/opt@later appeared after the plan was made`,
			"run it again to see all that goes"}, err)
		same(t, before, w.Capture())
	})
}

// The kernel of the snapshot is another one, or none.
func TestRollbackMenu(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		dataset, dir := named(t, w, "be-2").BootDataset, "."
		if dataset == "" {
			dataset, dir = "rpool/ROOT/be-2", "boot"
		}
		removeKernel(t, w, "be-2", "vmlinuz-6.12.1-amd64")
		do(t, w, be.Create{Name: "be-2@bare"})
		w.Put(dataset, dir+"/vmlinuz-6.12.9-amd64", "kernel")
		w.Put(dataset, dir+"/initrd.img-6.12.9-amd64", "initrd")
		do(t, w, be.BootUpdate{})
		assert.Contains(t, w.Boot.Text(), "vmlinuz-6.12.9-amd64")
		res := do(t, w, be.Rollback{Name: "be-2@bare"})
		assert.Contains(t, res.Plan.Notes, "it will not be in the boot menu: no kernel in /boot")
		assert.Equal(t, []string{`"be-2" is not in the menu: no kernel in /boot`}, res.Notes)
		assert.NotContains(t, w.Boot.Text(), "be-2")
	})
}

// The one that boots next cannot be half rolled back when the power fails.
func TestRollbackDefault(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "be-2@mine"})
		do(t, w, be.Activate{Name: "be-2"})
		refused(t, w, be.Rollback{Name: "be-2@mine"}, refusal{be.Busy, `roll back to "be-2@mine": "be-2" is the one that boots next`,
			"snapbe activate another one first"})
	})
}

// toRollBack is a host with be-2, which was changed after be-2@mine.
func toRollBack(t *testing.T) *betest.World {
	w := split(t)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Create{Name: "be-2@mine"})
	w.Put("rpool/ROOT/be-2", "etc/motd", "later")
	return w
}

// Somebody booted it by hand, half-way: it is not changed while it runs.
func TestRollbackOfTheRunningOneWaits(t *testing.T) {
	for n := 1; ; n++ {
		w := toRollBack(t)
		if !cut(t, w, be.Rollback{Name: "be-2@mine"}, n) {
			break
		}
		if named(t, w, "be-2").Unfinished == "" {
			continue
		}
		was := w.Host.Running
		w.Host.Running = "rpool/ROOT/be-2"
		_, err := try(t, w, be.Recover{})
		require.ErrorContains(t, err, `"be-2" is running`, "cut before change %d", n)
		w.Host.Running = was
		do(t, w, be.Recover{})
		assert.Empty(t, w.File("rpool/ROOT/be-2", "etc/motd"))
	}
}

// A periodic snapshot between the cut and the start must not keep it from
// coming to its end.
func TestRollbackEndsBesideOtherTools(t *testing.T) {
	for n := 1; ; n++ {
		w := toRollBack(t)
		if !cut(t, w, be.Rollback{Name: "be-2@mine"}, n) {
			break
		}
		snapshot(t, w, "rpool/ROOT/be-2@auto")
		snapshot(t, w, "bpool/BOOT/be-2@auto")
		do(t, w, be.Recover{})
		assert.Empty(t, status(t, w).Pending, "cut before change %d", n)
		assert.Empty(t, named(t, w, "be-2").Unfinished)
	}
}

// Whoever booted it by hand and worked in it, or kept what it held, loses nothing
// when the machine recovers.
func TestRollbackTakesNothingWrittenSince(t *testing.T) {
	for n := 1; ; n++ {
		w := toRollBack(t)
		w.ZFS.SetNumber("rpool/ROOT/be-2", "written", 4096)
		if !cut(t, w, be.Rollback{Name: "be-2@mine"}, n) {
			break
		}
		rolled := w.File("rpool/ROOT/be-2", "etc/motd") == ""
		if named(t, w, "be-2").Unfinished == "" {
			continue
		}
		w.Put("rpool/ROOT/be-2", "etc/motd", "my work")
		w.ZFS.SetNumber("rpool/ROOT/be-2", "written", 8192)
		snapshot(t, w, "rpool/ROOT/be-2@safety")
		do(t, w, be.Recover{})
		assert.Equal(t, "my work", w.File("rpool/ROOT/be-2", "etc/motd"), "cut before change %d, rolled back: %v", n, rolled)
		assert.True(t, exists(w, "rpool/ROOT/be-2@safety"))
		assert.Empty(t, status(t, w).Pending)
		assert.Empty(t, named(t, w, "be-2").Unfinished)
	}
}

// Once the root has gone back the boot dataset follows, and a snapshot of nothing
// new that came since stays.
func TestRollbackOfTheSecondPoolFollows(t *testing.T) {
	w := toRollBack(t)
	w.Put("bpool/BOOT/be-2", "later", "x")
	w.ZFS.SetNumber("rpool/ROOT/be-2", "written", 4096)
	for n := 1; ; n++ {
		require.True(t, cut(t, w, be.Rollback{Name: "be-2@mine"}, n))
		if w.File("rpool/ROOT/be-2", "etc/motd") == "" {
			break
		}
		do(t, w, be.Recover{})
		w.Put("rpool/ROOT/be-2", "etc/motd", "later")
		w.Put("bpool/BOOT/be-2", "later", "x")
		w.ZFS.SetNumber("rpool/ROOT/be-2", "written", 4096)
	}
	require.NotEmpty(t, w.File("bpool/BOOT/be-2", "later"))
	snapshot(t, w, "rpool/ROOT/be-2@auto")
	do(t, w, be.Recover{})
	assert.Empty(t, w.File("bpool/BOOT/be-2", "later"))
	assert.True(t, exists(w, "rpool/ROOT/be-2@auto"))
	assert.Empty(t, status(t, w).Pending)
}
