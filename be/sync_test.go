package be_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

const (
	passwd = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\n"
	shadow = "root:$y$hash-of-root:20000:0:99999:7:::\nann:$y$hash-of-ann:20000:0:99999:7:::\n"
	locked = "root:$y$hash-of-root:20000:0:99999:7:::\nann:!$y$hash-of-ann:20000:0:99999:7:::\n"
	cron   = "var/spool/cron/crontabs/ann"
)

// accounts gives the running BE the files that are synced in the tests.
func accounts(w *betest.World) {
	w.Put("rpool/ROOT/debian", "etc/passwd", passwd)
	w.Put("rpool/ROOT/debian", "etc/shadow", shadow)
	w.Put("rpool/ROOT/debian", "etc/snapbe/synclist", "/etc/passwd MERGE\n/etc/shadow MERGE\n/etc/adjtime\n/etc/journal APPEND\n")
	w.Put("rpool/ROOT/debian", "etc/adjtime", "one\n")
	w.Put("rpool/ROOT/debian", "etc/journal", "first\n")
}

// synced is a host with a BE "be-2" that was cloned before things changed.
func synced(t *testing.T, w *betest.World) {
	t.Helper()
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	w.Put("rpool/ROOT/debian", "etc/shadow", locked)
	w.Put("rpool/ROOT/debian", "etc/adjtime", "two\n")
	w.Put("rpool/ROOT/debian", "etc/journal", "first\nsecond\n")
	w.Put("rpool/ROOT/be-2", "etc/passwd", passwd+"daemon-of-a-package:x:999:999::/:/usr/sbin/nologin\n")
}

func assertSynced(t *testing.T, w *betest.World) {
	t.Helper()
	assert.Equal(t, locked, w.File("rpool/ROOT/be-2", "etc/shadow"))
	assert.Equal(t, "two\n", w.File("rpool/ROOT/be-2", "etc/adjtime"))
	assert.Equal(t, "first\nsecond\n", w.File("rpool/ROOT/be-2", "etc/journal"))
	assert.Contains(t, w.File("rpool/ROOT/be-2", "etc/passwd"), "daemon-of-a-package")
}

// snapshots are those of a dataset, without its name.
func snapshots(t *testing.T, w *betest.World, dataset string) (names []string) {
	t.Helper()
	ds, err := w.ZFS.Get(t.Context(), zfs.Query{Roots: []string{dataset}, Depth: 1, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{"creation"}})
	require.NoError(t, err)
	for _, d := range ds {
		if name, snap, _ := strings.Cut(d.Name, "@"); name == dataset {
			names = append(names, snap)
		}
	}
	return names
}

// points are the sync points among them.
func points(t *testing.T, w *betest.World, dataset string) (names []string) {
	for _, s := range snapshots(t, w, dataset) {
		if strings.HasPrefix(s, "sync-") {
			names = append(names, s)
		}
	}
	return names
}

// A sync brings what changed in the running BE, once; the second one finds
// nothing, and one sync point stays.
func TestSync(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		synced(t, w)
		dry, err := be.New(w.System()).Do(t.Context(), be.Sync{Name: "be-2"}, be.Options{DryRun: true})
		require.NoError(t, err)
		require.NotNil(t, dry.Sync)
		assert.NotContains(t, dry.Sync.String(), "hash-of")
		assert.Equal(t, shadow, w.File("rpool/ROOT/be-2", "etc/shadow"), "a dry run writes nothing")

		res := do(t, w, be.Sync{Name: "be-2"})
		assert.Equal(t, dry.Sync.Items, res.Sync.Items, "what the dry run said")
		assertSynced(t, w)
		assert.Len(t, points(t, w, "rpool/ROOT/debian"), 1)
		assert.Empty(t, points(t, w, "rpool/ROOT/be-2"))

		res = do(t, w, be.Sync{Name: "be-2"})
		assert.Zero(t, res.Sync.Written)
		assertSynced(t, w)
		assert.Len(t, points(t, w, "rpool/ROOT/debian"), 1, "the older point has gone")
	})
}

// Each switch takes along what has changed since the last one, in either
// direction, also between activate and the reboot.
func TestSyncThereAndBack(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		synced(t, w)
		do(t, w, be.Activate{Name: "be-2"})
		assertSynced(t, w)
		w.Put("rpool/ROOT/debian", "etc/adjtime", "three\n")
		w.Put("rpool/ROOT/debian", "etc/passwd", passwd+"bob:x:1001:1001::/home/bob:/bin/bash\n")
		require.NoError(t, w.Reboot())
		assert.Equal(t, "three\n", w.File("rpool/ROOT/be-2", "etc/adjtime"))
		assert.Contains(t, w.File("rpool/ROOT/be-2", "etc/passwd"), "bob:")
		assert.Contains(t, w.File("rpool/ROOT/be-2", "etc/passwd"), "daemon-of-a-package")
		assert.Empty(t, status(t, w).Problems)

		w.Put("rpool/ROOT/be-2", "etc/adjtime", "four\n")
		w.Put("rpool/ROOT/be-2", "etc/journal", "first\nsecond\nthird\n")
		do(t, w, be.Failback{})
		require.NoError(t, w.Reboot())
		assert.Equal(t, "rpool/ROOT/debian", w.Host.Running)
		assert.Equal(t, "four\n", w.File("rpool/ROOT/debian", "etc/adjtime"))
		assert.Equal(t, "first\nsecond\nthird\n", w.File("rpool/ROOT/debian", "etc/journal"))
		assert.Equal(t, locked, w.File("rpool/ROOT/debian", "etc/shadow"))
		assert.Contains(t, w.File("rpool/ROOT/debian", "etc/passwd"), "daemon-of-a-package", "what the package added came along")
		assert.Contains(t, w.File("rpool/ROOT/debian", "etc/passwd"), "bob:")

		// And once more: nothing has changed on either side.
		do(t, w, be.Failback{})
		require.NoError(t, w.Reboot())
		assert.Equal(t, "four\n", w.File("rpool/ROOT/be-2", "etc/adjtime"))
		assert.Equal(t, "first\nsecond\nthird\n", w.File("rpool/ROOT/be-2", "etc/journal"))
		for _, b := range []string{"debian", "be-2"} {
			// That of the last handover, and what the other one has of it since before.
			assert.LessOrEqual(t, len(points(t, w, "rpool/ROOT/"+b)), 2, b)
		}
	})
}

// What changed on both sides is said before the first change, the new side's
// stays, and who wants it so is stopped.
func TestSyncConflict(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		synced(t, w)
		w.Put("rpool/ROOT/be-2", "etc/adjtime", "other\n")
		before := w.Capture()
		_, err := try(t, w, be.Activate{Name: "be-2", Syncing: be.Syncing{Strict: true}})
		require.ErrorContains(t, err, `activate "be-2": "/etc/adjtime": conflict`)
		same(t, before, w.Capture())

		var told []string
		_, err = be.New(w.System()).Do(t.Context(), be.Activate{Name: "be-2"}, be.Options{Announce: func(p be.Plan) {
			told = p.Notes
			same(t, before, w.Capture())
		}})
		require.NoError(t, err)
		assert.Contains(t, strings.Join(told, "\n"), `"/etc/adjtime": conflict`)
		assert.Equal(t, "other\n", w.File("rpool/ROOT/be-2", "etc/adjtime"))
		assert.Equal(t, locked, w.File("rpool/ROOT/be-2", "etc/shadow"), "the others are synced")
	})
	w := onePool(t)
	synced(t, w)
	w.Put("rpool/ROOT/debian", "etc/snapbe/synclist", "/etc/adjtime STRICT\n")
	w.Put("rpool/ROOT/be-2", "etc/adjtime", "other\n")
	_, err := try(t, w, be.Activate{Name: "be-2"})
	require.ErrorContains(t, err, `"/etc/adjtime": conflict`, "the line says so")
	do(t, w, be.Activate{Name: "be-2", Syncing: be.Syncing{Without: true}})
}

func TestSyncRefused(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		synced(t, w)
		refused(t, w, be.Sync{Name: "debian"}, refusal{be.Busy, `sync to "debian": it is running, and the files are its own`, "name another one"})
		refused(t, w, be.Sync{Name: "none"}, refusal{be.NotFound, `sync to "none": no boot environment has that name in rpool/ROOT`, "snapbe list shows those that there are"})
		do(t, w, be.Mount{Name: "be-2"})
		dir := named(t, w, "be-2").Mountpoint
		refused(t, w, be.Activate{Name: "be-2"}, refusal{be.Busy, `activate "be-2": it is mounted at ` + dir, "snapbe unmount be-2"})
		do(t, w, be.Unmount{Name: "be-2"})
		w.Put("rpool/ROOT/debian", "etc/snapbe/synclist", "etc/passwd\n")
		_, err := try(t, w, be.Activate{Name: "be-2"})
		require.ErrorContains(t, err, `read /etc/snapbe/synclist of "debian": line 1, "etc/passwd"`)
		do(t, w, be.Activate{Name: "be-2", Syncing: be.Syncing{Without: true}})
		require.NoError(t, w.Reboot())
		assert.Equal(t, shadow, w.File("rpool/ROOT/be-2", "etc/shadow"), "nothing was synced, then or at the boot")
	})
}

// A BE that would not take over at its first boot is told of.
func TestActivateWithoutUnit(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	assert.Empty(t, do(t, w, be.Activate{Name: "be-2"}).Plan.Notes)
	require.NoError(t, os.Remove(filepath.Join(w.ZFS.Dir("rpool/ROOT/be-2"), "etc/systemd/system/local-fs.target.wants/snapbe-handover.service")))
	assert.Contains(t, do(t, w, be.Activate{Name: "be-2"}).Plan.Notes[0], `"be-2" has no snapbe-handover.service enabled`)
}

// What waits to be taken back must not be worked on.
func TestExecWhilePending(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	require.True(t, cut(t, w, be.Sync{Name: "be-2"}, 6))
	_, _, err := be.New(w.System()).Exec(t.Context(), be.Exec{Name: "be-2"})
	var e *be.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, be.Pending, e.Code)
	do(t, w, be.Recover{})
	_, _, err = be.New(w.System()).Exec(t.Context(), be.Exec{Name: "be-2"})
	require.NoError(t, err)
}

// Without a snapshot in common, time decides, and that is said.
func TestSyncWithoutBase(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	require.NoError(t, w.ZFS.Promote(t.Context(), "rpool/ROOT/be-2"))
	assert.NotContains(t, strings.Join(do(t, w, be.Sync{Name: "be-2"}).Plan.Notes, "\n"), "in common", "the common snapshot is on the other side now")
	assertSynced(t, w)

	create(t, w, "rpool/ROOT/alone", zfs.Props{"mountpoint": "/", "canmount": "noauto", "org.opensolaris.libbe:uuid": "00000000-aaaa-4000-8000-000000000001"})
	w.Put("rpool/ROOT/alone", "etc/adjtime", "alone\n")
	res := do(t, w, be.Sync{Name: "alone"})
	assert.Contains(t, res.Plan.Notes, `"debian" and "alone" have no snapshot in common: a file counts as changed when it is newer than "alone"`)
}

// A BE that was picked by hand takes nothing over, and the one that is to take
// over still does so at its own first boot.
func TestHandoverIsForTheActivated(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		synced(t, w)
		do(t, w, be.Create{Name: "be-3"})
		do(t, w, be.Activate{Name: "be-2"})
		w.Put("rpool/ROOT/debian", "etc/adjtime", "late\n")
		w.Host.Boot("rpool/ROOT/be-3")
		before := w.Capture()
		do(t, w, be.Handover{})
		same(t, before, w.Capture())
		require.NoError(t, w.Reboot())
		assert.Equal(t, "rpool/ROOT/be-2", w.Host.Running)
		assert.Equal(t, "late\n", w.File("rpool/ROOT/be-2", "etc/adjtime"))
		assert.Empty(t, do(t, w, be.Handover{}).Plan.Steps, "the second time there is nothing to do")
	})
}

// A handover that cannot be done stays to be done, says so, and nothing goes on
// from a BE that lacks what it was to take over.
func TestHandoverFails(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	do(t, w, be.Create{Name: "be-3"})
	do(t, w, be.Activate{Name: "be-2"})
	refused(t, w, be.Destroy{Name: "debian"}, refusal{be.Busy, `destroy "debian": it is running`, "snapbe activate another one and reboot into it first"})
	require.NoError(t, w.Start())
	w.Put("rpool/ROOT/debian", "etc/snapbe/synclist", "what\n")
	_, err := try(t, w, be.Handover{})
	require.ErrorContains(t, err, `line 1, "what"`)
	assert.Contains(t, strings.Join(status(t, w).Problems, "\n"), "snapbe handover")
	_, err = try(t, w, be.Activate{Name: "be-3"})
	require.ErrorContains(t, err, `what changed last in "debian" is not synced to the boot environment that runs`)
	_, err = try(t, w, be.Destroy{Name: "debian"})
	require.ErrorContains(t, err, `what changed last in it is still to be synced to "be-2"`)
	w.Put("rpool/ROOT/debian", "etc/snapbe/synclist", "/etc/adjtime\n")
	do(t, w, be.Handover{})
	assert.Empty(t, status(t, w).Problems)
}

// A rollback takes back what was synced, so the next sync must not take it for
// done.
func TestSyncAfterRollback(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	do(t, w, be.Create{Name: "be-2@before"})
	do(t, w, be.Sync{Name: "be-2"})
	do(t, w, be.Rollback{Name: "be-2@before", Newer: true})
	assert.Equal(t, shadow, w.File("rpool/ROOT/be-2", "etc/shadow"))
	do(t, w, be.Sync{Name: "be-2"})
	assertSynced(t, w)
}

// With a reboot the host is quiet before anything is read, and comes back where
// the activation fails.
func TestQuiesce(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	do(t, w, be.Activate{Name: "be-2", Reboot: true})
	assert.True(t, w.Host.Quiet)
	assert.True(t, w.Host.Rebooted)

	w = onePool(t)
	synced(t, w)
	before := w.Capture()
	w.Stop = func(what string, _ int) error {
		if what == "write menu" && w.Host.Quiet {
			w.Stop = nil
			return assert.AnError
		}
		return nil
	}
	_, err := try(t, w, be.Activate{Name: "be-2", Reboot: true})
	require.ErrorIs(t, err, assert.AnError)
	assert.False(t, w.Host.Quiet, "all that was stopped is started again")
	assert.False(t, w.Host.Rebooted)
	same(t, before, w.Capture())
}

// To choose the BE that runs once more is not to give up what is left for its
// first boot.
func TestActivateTheRunningKeepsTheHandover(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	do(t, w, be.Activate{Name: "be-2"})
	w.Put("rpool/ROOT/debian", "etc/adjtime", "late\n")
	require.NoError(t, w.Start())
	do(t, w, be.Activate{Name: "be-2"})
	do(t, w, be.Handover{})
	assert.Equal(t, "late\n", w.File("rpool/ROOT/be-2", "etc/adjtime"))
}

// A conflict that came up after the activation is told, and stops no boot.
func TestHandoverIsNotStrict(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	w.Put("rpool/ROOT/debian", "etc/snapbe/synclist", "/etc/hosts STRICT\n/etc/shadow MERGE\n")
	w.Put("rpool/ROOT/be-2", "etc/hosts", "of the new one\n")
	do(t, w, be.Activate{Name: "be-2"})
	w.Put("rpool/ROOT/debian", "etc/hosts", "of the old one\n")
	w.Put("rpool/ROOT/debian", "etc/shadow", strings.Replace(locked, "root:", "root:!", 1))
	require.NoError(t, w.Start())
	res := do(t, w, be.Handover{})
	assert.Contains(t, strings.Join(res.Notes, "\n"), `"/etc/hosts": conflict`)
	assert.Equal(t, "of the new one\n", w.File("rpool/ROOT/be-2", "etc/hosts"))
	assert.Contains(t, w.File("rpool/ROOT/be-2", "etc/shadow"), "root:!$y$")
}

// While somebody works in a BE, nothing is synced to it, and the other way round.
func TestSyncAndExec(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	w.Host.Command = func(*os.Root, []string) int {
		_, err := try(t, w, be.Activate{Name: "be-2"})
		var e *be.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, be.Busy, e.Code)
		assert.ErrorContains(t, err, `a command of snapbe exec works in "be-2"`)
		return 0
	}
	_, _, err := be.New(w.System()).Exec(t.Context(), be.Exec{Name: "be-2"})
	require.NoError(t, err)
	do(t, w, be.Activate{Name: "be-2"})
}

// With three BEs a state counts that the source comes from, whoever it was taken
// over from.
func TestSyncAmongThree(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	do(t, w, be.Activate{Name: "be-2"})
	require.NoError(t, w.Reboot())
	w.Put("rpool/ROOT/be-2", "etc/adjtime", "day 5\n")
	do(t, w, be.Failback{})
	require.NoError(t, w.Reboot())
	assert.Equal(t, "day 5\n", w.File("rpool/ROOT/debian", "etc/adjtime"))
	do(t, w, be.Failback{})
	require.NoError(t, w.Reboot())
	do(t, w, be.Create{Name: "be-3"})
	do(t, w, be.Activate{Name: "be-3"})
	require.NoError(t, w.Reboot())
	w.Put("rpool/ROOT/be-3", "etc/adjtime", "day 40\n")
	assert.Empty(t, do(t, w, be.Activate{Name: "debian"}).Plan.Notes)
	assert.Equal(t, "day 40\n", w.File("rpool/ROOT/debian", "etc/adjtime"))
}

// What somebody wrote to the BE since a power cut is not rolled back.
func TestRecoveryKeepsWork(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	require.True(t, cut(t, w, be.Sync{Name: "be-2"}, 8))
	w.Put("rpool/ROOT/be-2", "root/work", "a week of it")
	w.ZFS.SetNumber("rpool/ROOT/be-2", "written", 64<<20)
	res := do(t, w, be.Recover{})
	assert.Contains(t, strings.Join(res.Notes, "\n"), "files that were synced to rpool/ROOT/be-2 stay so: more has been written there since")
	assert.Equal(t, "a week of it", w.File("rpool/ROOT/be-2", "root/work"))
}

// A lock in the new BE, made before it ever ran, comes back with a failback.
func TestLockComesBack(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	w.Put("rpool/ROOT/be-2", "etc/shadow", strings.Replace(shadow, "root:", "root:!", 1))
	do(t, w, be.Activate{Name: "be-2"})
	require.NoError(t, w.Reboot())
	do(t, w, be.Failback{})
	require.NoError(t, w.Reboot())
	assert.Equal(t, strings.Replace(locked, "root:", "root:!", 1), w.File("rpool/ROOT/debian", "etc/shadow"))
}

// Accounts of a BE that cannot be written would lose a lock for good: the next
// sync takes it for told.
func TestSyncOfAccountsThatCannotBeWritten(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	file := filepath.Join(w.ZFS.Dir("rpool/ROOT/be-2"), "etc/shadow")
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Symlink("/etc/elsewhere", file))
	refused(t, w, be.Activate{Name: "be-2"}, refusal{be.Failed,
		`activate "be-2": "/etc/shadow": refused (it is a symlink in the target; MERGE is for files)`,
		"snapbe sync --dry-run be-2 shows all; settle it in one of the two, or take STRICT off the line, or --no-sync"})
	do(t, w, be.Activate{Name: "be-2", Syncing: be.Syncing{Without: true}})
}

// What could not be taken over is tried again, once the way is free.
func TestSyncTriesAgain(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	w.Put("rpool/ROOT/debian", "etc/snapbe/synclist", "/etc/passwd MERGE\n/etc/group MERGE\n")
	w.Put("rpool/ROOT/debian", "etc/group", "root:x:0:\nann:x:1000:\nusers:x:100:\n")
	w.Put("rpool/ROOT/be-2", "etc/group", "root:x:0:\nann:x:1000:\nusers:x:100:\n")
	w.Put("rpool/ROOT/debian", "etc/passwd", passwd+"carl:x:998:100::/home/carl:/bin/sh\n")
	w.Put("rpool/ROOT/be-2", "etc/passwd", passwd+"_chrony:x:998:100::/:/usr/sbin/nologin\n")
	assert.Contains(t, strings.Join(do(t, w, be.Sync{Name: "be-2"}).Plan.Notes, "\n"), `"carl": conflict`)
	assert.Contains(t, strings.Join(do(t, w, be.Sync{Name: "be-2"}).Plan.Notes, "\n"), `"carl": conflict`, "it is told again")
	w.Put("rpool/ROOT/be-2", "etc/passwd", passwd+"_chrony:x:997:100::/:/usr/sbin/nologin\n")
	do(t, w, be.Activate{Name: "be-2"})
	assert.Contains(t, w.File("rpool/ROOT/be-2", "etc/passwd"), "carl:x:998:")
}

// A refusal shows what it is about.
func TestStrictSyncShowsAll(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	w.Put("rpool/ROOT/be-2", "etc/adjtime", "other\n")
	res, err := be.New(w.System()).Do(t.Context(), be.Sync{Name: "be-2", Strict: true}, be.Options{DryRun: true})
	require.ErrorContains(t, err, "conflict")
	require.NotNil(t, res.Sync)
	assert.Len(t, res.Sync.Items, 4)
}
