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
	"snapbe/synclist"
)

const (
	withBob  = passwd + passwdBob
	withBobS = shadow + shadowBob
)

func noBob(t *testing.T, w *betest.World, name string) {
	t.Helper()
	assert.NotContains(t, w.File("rpool/ROOT/"+name, "etc/passwd"), "bob:", "bob in passwd of %s", name)
	assert.NotContains(t, w.File("rpool/ROOT/"+name, "etc/shadow"), "bob:", "bob in shadow of %s", name)
}

// TestRollbackLosesFacts: a rollback takes away the snapshot by which another BE
// knows what it has taken over; an older one tells it then.
func TestRollbackLosesFacts(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	do(t, w, be.Create{Name: "debian@good"})
	into(t, w, "be-2") // be-2 has bob, and the fact debian@sync-…
	do(t, w, be.Rollback{Name: "debian@good"})
	putAccounts(w, "be-2", passwd, shadow) // bob is deleted
	do(t, w, be.Activate{Name: "debian"})
	noBob(t, w, "debian")
}

// TestRollbackLosesLock is the same with a lock.
func TestRollbackLosesLock(t *testing.T) {
	w := onePool(t)
	accounts(w)
	setAnn(w, "debian", lockA)
	do(t, w, be.Create{Name: "be-2"})
	setAnn(w, "debian", pwA)
	do(t, w, be.Create{Name: "debian@good"})
	into(t, w, "be-2")
	do(t, w, be.Rollback{Name: "debian@good"})
	setAnn(w, "be-2", lockA)
	do(t, w, be.Activate{Name: "debian"})
	assert.Equal(t, lockA, annOf(w, "debian"))
}

// TestDestroyLosesFacts: so it is when a BE goes and its clone is promoted.
func TestDestroyLosesFacts(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	do(t, w, be.Create{Name: "be-3"}) // has bob
	into(t, w, "be-2")                // has bob
	do(t, w, be.Destroy{Name: "debian"})
	putAccounts(w, "be-2", passwd, shadow)
	do(t, w, be.Activate{Name: "be-3"})
	noBob(t, w, "be-3")
}

func TestDestroyLosesLock(t *testing.T) {
	w := onePool(t)
	accounts(w)
	setAnn(w, "debian", lockA)
	do(t, w, be.Create{Name: "be-2"})
	setAnn(w, "debian", pwA)
	do(t, w, be.Create{Name: "be-3"})
	into(t, w, "be-2")
	do(t, w, be.Destroy{Name: "debian"})
	setAnn(w, "be-2", lockA)
	do(t, w, be.Activate{Name: "be-3"})
	assert.Equal(t, lockA, annOf(w, "be-3"))
}

const list3 = "/etc/passwd MERGE\n/etc/shadow MERGE\n/etc/group MERGE\n/etc/sudoers.d REMOVE\n/etc/hosts\n"

// TestTargetsOwnUndone: what was taken back or removed in the target after activate
// does not come again at the first boot.
func TestTargetsOwnUndone(t *testing.T) {
	w := onePool(t)
	accounts(w)
	w.Put("rpool/ROOT/debian", "etc/snapbe/synclist", list3)
	w.Put("rpool/ROOT/debian", "etc/hosts", "1\n")
	w.Put("rpool/ROOT/debian", "etc/group", "sudo:x:27:ann\nbob:x:1001:\n")
	w.Put("rpool/ROOT/debian", "etc/sudoers.d/README", "r\n")
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	w.Put("rpool/ROOT/debian", "etc/hosts", "2\n")
	w.Put("rpool/ROOT/debian", "etc/sudoers.d/bob", "bob ALL\n")
	do(t, w, be.Activate{Name: "be-2"})
	require.Equal(t, "2\n", w.File("rpool/ROOT/be-2", "etc/hosts"))
	require.Contains(t, w.File("rpool/ROOT/be-2", "etc/passwd"), "bob:")
	// by snapbe exec be-2 -- userdel bob, rm sudoers.d/bob, and the old hosts again
	putAccounts(w, "be-2", passwd, shadow)
	require.NoError(t, os.Remove(filepath.Join(w.ZFS.Dir("rpool/ROOT/be-2"), "etc/sudoers.d/bob")))
	w.Put("rpool/ROOT/be-2", "etc/hosts", "1\n")
	require.NoError(t, w.Start())
	do(t, w, be.Handover{Boot: true})
	noBob(t, w, "be-2")
	assert.Equal(t, "1\n", w.File("rpool/ROOT/be-2", "etc/hosts"), "doc: as the base / changed / nothing")
	_, err := os.Stat(filepath.Join(w.ZFS.Dir("rpool/ROOT/be-2"), "etc/sudoers.d/bob"))
	assert.ErrorIs(t, err, os.ErrNotExist, "doc: as the base / removed / nothing")
}

// TestOlderOverNewer has both of them run: the newer value stays.
func TestOlderOverNewer(t *testing.T) {
	w := onePool(t)
	accounts(w)
	w.Put("rpool/ROOT/debian", "etc/snapbe/synclist", list3)
	w.Put("rpool/ROOT/debian", "etc/hosts", "1\n")
	w.Put("rpool/ROOT/debian", "etc/group", "sudo:x:27:ann\nbob:x:1001:\n")
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	w.Put("rpool/ROOT/debian", "etc/group", "sudo:x:27:ann,bob\nbob:x:1001:\n")
	into(t, w, "be-2")
	// be-2 runs: bob is dismissed
	putAccounts(w, "be-2", passwd, shadow)
	w.Put("rpool/ROOT/be-2", "etc/group", "sudo:x:27:ann\nbob:x:1001:\n")
	picked(w, "debian") // nothing is done here
	do(t, w, be.Activate{Name: "be-2"})
	noBob(t, w, "be-2")
	assert.NotContains(t, w.File("rpool/ROOT/be-2", "etc/group"), "ann,bob")
}

// TestOlderOverNewerAfterSync is that with a sync alone.
func TestOlderOverNewerAfterSync(t *testing.T) {
	w := onePool(t)
	accounts(w)
	w.Put("rpool/ROOT/debian", "etc/snapbe/synclist", list3)
	w.Put("rpool/ROOT/debian", "etc/group", "sudo:x:27:ann\nbob:x:1001:\n")
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	w.Put("rpool/ROOT/debian", "etc/group", "sudo:x:27:ann,bob\nbob:x:1001:\n")
	do(t, w, be.Sync{Name: "be-2"})
	picked(w, "be-2")
	putAccounts(w, "be-2", passwd, shadow)
	w.Put("rpool/ROOT/be-2", "etc/group", "sudo:x:27:ann\nbob:x:1001:\n")
	picked(w, "debian")
	do(t, w, be.Sync{Name: "be-2"})
	noBob(t, w, "be-2")
	assert.NotContains(t, w.File("rpool/ROOT/be-2", "etc/group"), "ann,bob")
}

// TestTwoBases has two snapshots in common, of which neither has the other.
func TestTwoBases(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Create{Name: "be-3"})
	do(t, w, be.Create{Name: "be-4"})
	putAccounts(w, "debian", withBob, withBobS)
	do(t, w, be.Sync{Name: "be-2"})
	do(t, w, be.Sync{Name: "be-3"})
	picked(w, "be-4")
	do(t, w, be.Sync{Name: "be-2"})
	do(t, w, be.Sync{Name: "be-3"})
	picked(w, "be-2")
	require.Contains(t, w.File("rpool/ROOT/be-2", "etc/passwd"), "bob:")
	putAccounts(w, "be-2", passwd, shadow)
	do(t, w, be.Activate{Name: "be-3"})
	noBob(t, w, "be-3")
}

// TestHandoverCut cuts a handover anywhere; the old BE is picked then, and somebody
// is locked there.
func TestHandoverCut(t *testing.T) {
	for n := 1; ; n++ {
		w := onePool(t)
		accounts(w)
		setAnn(w, "debian", lockA)
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Activate{Name: "be-2"})
		setAnn(w, "debian", pwA) // unlocked after activate
		require.NoError(t, w.Start())
		if !cut(t, w, be.Handover{Boot: true}, n) {
			break
		}
		picked(w, "debian")
		_, err := early(t, w)
		require.NoError(t, err)
		if left, _ := w.ZFS.Get(t.Context(), zfs.Query{Roots: []string{"rpool/ROOT"}, Props: []string{"org.snapbe:handover"}}); left[0].Local("org.snapbe:handover") == "" {
			break // all of it was over before the cut
		}
		setAnn(w, "debian", lockA) // and locked again
		require.NoError(t, w.Reboot())
		require.Equal(t, "rpool/ROOT/be-2", w.Host.Running)
		assert.Equal(t, lockA, annOf(w, "be-2"), "cut before change %d", n)
	}
}

// TestCloneOfHourly makes a clone of another tool's snapshot that was made after a
// sync.
func TestCloneOfHourly(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	do(t, w, be.Sync{Name: "be-2"})
	snapshot(t, w, "rpool/ROOT/be-2@hourly")
	do(t, w, be.Create{Name: "be-3", From: "be-2@hourly"})
	putAccounts(w, "debian", passwd, shadow)
	do(t, w, be.Activate{Name: "be-3"})
	noBob(t, w, "be-3")
}

func TestRollbackToHourly(t *testing.T) {
	w := onePool(t)
	accounts(w)
	setAnn(w, "debian", lockA)
	do(t, w, be.Create{Name: "be-2"})
	setAnn(w, "debian", pwA)
	do(t, w, be.Sync{Name: "be-2"})
	snapshot(t, w, "rpool/ROOT/be-2@hourly")
	do(t, w, be.Rollback{Name: "be-2@hourly"})
	setAnn(w, "debian", lockA)
	do(t, w, be.Activate{Name: "be-2"})
	assert.Equal(t, lockA, annOf(w, "be-2"))
}

// TestForeignClone has a clone that another tool made.
func TestForeignClone(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	do(t, w, be.Sync{Name: "be-2"})
	do(t, w, be.Create{Name: "be-2@good"})
	clone(t, w, "rpool/ROOT/be-2@good", "rpool/ROOT/other")
	set(t, w, "rpool/ROOT/other", map[string]string{"mountpoint": "/", "canmount": "noauto"})
	putAccounts(w, "debian", passwd, shadow)
	do(t, w, be.Activate{Name: "other"})
	noBob(t, w, "other")
}

// TestRollbackOfHandoversSource: what a handover is still to take over from stays.
func TestRollbackOfHandoversSource(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Create{Name: "be-3"})
	do(t, w, be.Create{Name: "debian@good"})
	do(t, w, be.Activate{Name: "be-2"})
	w.Put("rpool/ROOT/debian", "etc/shadow", locked)
	picked(w, "be-3")
	_, err := try(t, w, be.Destroy{Name: "debian"})
	require.ErrorContains(t, err, "still to be synced")
	_, err = try(t, w, be.Rollback{Name: "debian@good"})
	assert.Error(t, err, "as destroy is")
	require.NoError(t, w.Reboot())
	assert.Equal(t, locked, w.File("rpool/ROOT/be-2", "etc/shadow"))
}

var _ = strings.TrimSpace

// TestZoneFailbackKnown: a root that zone failback clones has what its origin had
// taken over.
func TestZoneFailbackKnown(t *testing.T) {
	w := onePool(t)
	accounts(w)
	zoned(t, w)
	l := &living{t: t, w: w, zone: "rpool/zones/web"}
	w.Put(l.root(), "etc/snapbe/synclist", "/etc/passwd MERGE\n/etc/shadow MERGE\n")
	put := func(p, s string) { w.Put(l.root(), "etc/passwd", p); w.Put(l.root(), "etc/shadow", s) }
	put(passwd, shadow)
	do(t, w, be.Create{Name: "be-2"})
	into(t, w, "be-2")
	put(withBob, withBobS)
	into(t, w, "debian")
	require.Contains(t, w.File(l.root(), "etc/passwd"), "bob:")
	do(t, w, be.Create{Name: "be-3"})
	into(t, w, "be-3")
	for _, m := range w.Zones.Machines {
		_ = m
	}
	do(t, w, be.ZoneFailback{Name: "web"})
	require.Contains(t, w.File(l.root(), "etc/passwd"), "bob:")
	put(passwd, shadow) // bob is deleted in the zone
	do(t, w, be.Activate{Name: "be-2"})
	require.NoError(t, w.Reboot())
	assert.NotContains(t, w.File(l.root(), "etc/passwd"), "bob:", l.root())
	assert.NotContains(t, w.File(l.root(), "etc/shadow"), "bob:", l.root())
}

// TestZoneFailbackControl is the same without it.
func TestZoneFailbackControl(t *testing.T) {
	w := onePool(t)
	accounts(w)
	zoned(t, w)
	l := &living{t: t, w: w, zone: "rpool/zones/web"}
	w.Put(l.root(), "etc/snapbe/synclist", "/etc/passwd MERGE\n/etc/shadow MERGE\n")
	put := func(p, s string) { w.Put(l.root(), "etc/passwd", p); w.Put(l.root(), "etc/shadow", s) }
	put(passwd, shadow)
	do(t, w, be.Create{Name: "be-2"})
	into(t, w, "be-2")
	put(withBob, withBobS)
	into(t, w, "debian")
	do(t, w, be.Create{Name: "be-3"})
	into(t, w, "be-3")
	put(passwd, shadow)
	into(t, w, "be-2")
	assert.NotContains(t, w.File(l.root(), "etc/passwd"), "bob:", l.root())
}

// TestSyncNotUndone cuts a sync whose target somebody's snapshot keeps from going
// back.
func TestSyncNotUndone(t *testing.T) {
	seen := 0
	for n := 1; ; n++ {
		w := onePool(t)
		accounts(w)
		setAnn(w, "debian", lockA)
		do(t, w, be.Create{Name: "be-2"})
		setAnn(w, "debian", pwA)
		if !cut(t, w, be.Sync{Name: "be-2"}, n) {
			break
		}
		snapshot(t, w, "rpool/ROOT/be-2@hourly")
		w.Host.Boot(w.Host.Running)
		do(t, w, be.Recover{})
		if annOf(w, "be-2") == pwA {
			seen++
		}
		setAnn(w, "debian", lockA)
		res := do(t, w, be.Activate{Name: "be-2"})
		assert.Equal(t, lockA, annOf(w, "be-2"), "cut before change %d: %v", n, res.Notes)
	}
}

// TestTwinKnown has a received copy whose snapshot tells what it had taken over.
func TestTwinKnown(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	do(t, w, be.Sync{Name: "be-2"})
	do(t, w, be.Create{Name: "be-2@good"})
	p := zfs.Props{"mountpoint": "/", "canmount": "noauto"}
	for name, v := range props(t, w, "rpool/ROOT/be-2", "org.snapbe:had", "org.snapbe:synced", "org.opensolaris.libbe:uuid") {
		p[name] = v.Value
	}
	require.NoError(t, w.ZFS.Clone(t.Context(), []zfs.Clone{{Snapshot: "rpool/ROOT/be-2@good", Target: "rpool/ROOT/copy", Props: p}}))
	do(t, w, be.BootUpdate{})
	putAccounts(w, "debian", passwd, shadow)
	do(t, w, be.Activate{Name: "copy"})
	noBob(t, w, "copy")
}

// TestHandoverFailed: a handover fails for a zone's list when the host's files are in
// place already, and the old BE is booted by hand to mend it. The host has handed over,
// so it syncs nothing more; the zone does.
func TestHandoverFailed(t *testing.T) {
	w := onePool(t)
	accounts(w)
	zoned(t, w)
	l := &living{t: t, w: w, zone: "rpool/zones/web"}
	setAnn(w, "debian", lockA)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Activate{Name: "be-2"})
	setAnn(w, "debian", pwA)
	w.Put(l.root(), "etc/snapbe/synclist", "bad\n")
	require.NoError(t, w.Start())
	do(t, w, be.Handover{Boot: true})
	picked(w, "debian")
	_, _ = early(t, w)
	w.Put(l.root(), "etc/snapbe/synclist", "/etc/motd\n")
	w.Put(l.root(), "etc/motd", "mended\n")
	setAnn(w, "debian", lockA)
	require.NoError(t, w.Reboot())
	assert.Equal(t, pwA, annOf(w, "be-2"))
	assert.Equal(t, "mended\n", w.File("rpool/zones/web/ROOT/zbe-1", "etc/motd"))
	assert.Empty(t, status(t, w).Problems)
}

// TestHandoverGivenUp goes the way out of the docs after that: activate --no-sync of
// the one that runs.
func TestHandoverGivenUp(t *testing.T) {
	w := onePool(t)
	accounts(w)
	zoned(t, w)
	l := &living{t: t, w: w, zone: "rpool/zones/web"}
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Activate{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	w.Put(l.root(), "etc/snapbe/synclist", "bad\n")
	require.NoError(t, w.Start())
	do(t, w, be.Handover{Boot: true})
	do(t, w, be.Activate{Name: "be-2", Syncing: be.Syncing{Without: true}})
	require.Contains(t, w.File("rpool/ROOT/be-2", "etc/passwd"), "bob:")
	putAccounts(w, "be-2", passwd, shadow)
	into(t, w, "debian")
	noBob(t, w, "debian")
}

var _ = strings.TrimSpace
var _ *betest.World

// TestTwoBasesByCommands: bob was added in be-2 before it ever ran, by exec or a
// package, and be-3 was cloned from it.
func TestTwoBasesByCommands(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "be-2", withBob, withBobS) // snapbe exec be-2 -- useradd bob
	do(t, w, be.Create{Name: "be-3", From: "be-2"})
	do(t, w, be.Activate{Name: "be-3"}) // and thought better of it
	into(t, w, "be-2")
	putAccounts(w, "be-2", passwd, shadow) // userdel bob
	do(t, w, be.Activate{Name: "be-3"})
	noBob(t, w, "be-3")
}

// TestHandoverFailedFailback: a handover failed for a zone's list, and the way back is
// failback --no-sync.
func TestHandoverFailedFailback(t *testing.T) {
	w := onePool(t)
	accounts(w)
	zoned(t, w)
	l := &living{t: t, w: w, zone: "rpool/zones/web"}
	setAnn(w, "debian", lockA)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Activate{Name: "be-2"})
	setAnn(w, "debian", pwA)
	w.Put(l.root(), "etc/snapbe/synclist", "bad\n")
	require.NoError(t, w.Start())
	do(t, w, be.Handover{Boot: true})
	do(t, w, be.Failback{Syncing: be.Syncing{Without: true}})
	require.NoError(t, w.Reboot())
	require.Equal(t, "rpool/ROOT/debian", w.Host.Running)
	w.Put(l.root(), "etc/snapbe/synclist", "/etc/passwd MERGE\n")
	setAnn(w, "debian", lockA)
	into(t, w, "be-2")
	assert.Equal(t, lockA, annOf(w, "be-2"))
}

// TestNoSync: activate --no-sync tells nothing of the two.
func TestNoSync(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	into(t, w, "be-2")
	putAccounts(w, "be-2", withBob, withBobS)
	do(t, w, be.Activate{Name: "debian", Syncing: be.Syncing{Without: true}})
	require.NoError(t, w.Reboot())
	into(t, w, "be-2")
	into(t, w, "debian")
	require.Contains(t, w.File("rpool/ROOT/debian", "etc/passwd"), "bob:")
	putAccounts(w, "debian", passwd, shadow)
	into(t, w, "be-2")
	noBob(t, w, "be-2")
}

// TestRenameKnown: a rename takes nothing of it away.
func TestRenameKnown(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	into(t, w, "be-2")
	do(t, w, be.Rename{From: "debian", To: "old"})
	putAccounts(w, "be-2", passwd, shadow)
	into(t, w, "old")
	noBob(t, w, "old")
}

// TestFailbackTwice: a failback is taken back, with a change by hand in the one that
// does not run, and asked for again.
func TestFailbackTwice(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	into(t, w, "be-2")
	do(t, w, be.Failback{})
	putAccounts(w, "debian", passwd, shadow) // exec in debian: userdel bob
	do(t, w, be.Failback{})                  // taken back
	do(t, w, be.Failback{})
	require.NoError(t, w.Reboot())
	noBob(t, w, "debian")
}

// TestActivateCutTargetPicked cuts an activation, and picks its target in the menu.
func TestActivateCutTargetPicked(t *testing.T) {
	for n := 1; ; n++ {
		w := onePool(t)
		accounts(w)
		setAnn(w, "debian", lockA)
		do(t, w, be.Create{Name: "be-2"})
		setAnn(w, "debian", pwA)
		if !cut(t, w, be.Activate{Name: "be-2"}, n) {
			break
		}
		picked(w, "be-2")
		w.Put("rpool/ROOT/be-2", "etc/written-by-a-service", "x")
		_, err := early(t, w)
		assert.NoError(t, err)
		assert.Equal(t, "x", w.File("rpool/ROOT/be-2", "etc/written-by-a-service"), "cut before change %d", n)
		picked(w, "debian")
		_, err = early(t, w)
		assert.NoError(t, err)
		setAnn(w, "debian", lockA)
		into(t, w, "be-2")
		assert.Equal(t, lockA, annOf(w, "be-2"), "cut before change %d", n)
	}
}

// TestLinkElsewhere: a directory of /var that is a link to somewhere else in one BE.
func TestLinkElsewhere(t *testing.T) {
	w := onePool(t)
	accounts(w)
	shared(t, w)
	w.Put("rpool/ROOT/debian", "etc/snapbe/synclist", "/var/mail/list\n")
	do(t, w, be.Create{Name: "be-2"})
	dir := filepath.Join(w.ZFS.Dir("rpool/ROOT/be-2"), "var/mail")
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.Symlink("../data/mail", dir))
	res := do(t, w, be.Sync{Name: "be-2"})
	require.Len(t, res.Sync.Items, 1)
	assert.Equal(t, synclist.Skipped, res.Sync.Items[0].Action, "it is on no share there")
}

// TestPreviousLost: after a failback that was taken back in the way that its own hint
// names there is still something to fail back to.
func TestPreviousLost(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	into(t, w, "be-2")
	do(t, w, be.Failback{})
	_, err := try(t, w, be.Activate{Name: "be-2"})
	require.NoError(t, err)
	_, err = try(t, w, be.Failback{})
	assert.NoError(t, err)
}
