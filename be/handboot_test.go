package be_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

// Another tool's snapshot, and a second sync.
func TestHourlyBeforeASync(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	do(t, w, be.Sync{Name: "be-2"}) // A
	snapshot(t, w, "rpool/ROOT/be-2@hourly")
	w.Put("rpool/ROOT/debian", "etc/adjtime", "x\n")
	do(t, w, be.Sync{Name: "be-2"}) // B
	t.Log(w.ZFS.Names())
	t.Log(props(t, w, "rpool/ROOT/be-2@hourly", "org.snapbe:had"))
	do(t, w, be.Create{Name: "be-3", From: "be-2@hourly"})
	putAccounts(w, "debian", passwd, shadow)
	res := do(t, w, be.Activate{Name: "be-3"})
	t.Log(res.Notes)
	noBob(t, w, "be-3")
}

// The same by a rollback and a lock.
func TestRollbackToHourlyBeforeASync(t *testing.T) {
	w := onePool(t)
	accounts(w)
	setAnn(w, "debian", lockA)
	do(t, w, be.Create{Name: "be-2"})
	setAnn(w, "debian", pwA)
	do(t, w, be.Sync{Name: "be-2"})
	snapshot(t, w, "rpool/ROOT/be-2@hourly")
	do(t, w, be.Sync{Name: "be-2"})
	do(t, w, be.Rollback{Name: "be-2@hourly"})
	setAnn(w, "debian", lockA)
	do(t, w, be.Activate{Name: "be-2"})
	assert.Equal(t, lockA, annOf(w, "be-2"))
}

// Facts that name an ordinary snapshot since a retelling.
func TestRetoldOrigin(t *testing.T) {
	for _, destroyed := range []bool{false, true} {
		t.Run(fmt.Sprint(destroyed), func(t *testing.T) {
			w := onePool(t)
			accounts(w)
			do(t, w, be.Create{Name: "be-2"})
			putAccounts(w, "debian", withBob, withBobS)
			do(t, w, be.Create{Name: "be-3"}) // has bob
			into(t, w, "be-2")                // has bob
			do(t, w, be.Destroy{Name: "debian"})
			do(t, w, be.Create{Name: "be-4", From: "be-3"})
			t.Log(w.ZFS.Names())
			if destroyed {
				do(t, w, be.Destroy{Name: "be-3"})
				t.Log(w.ZFS.Names())
			}
			putAccounts(w, "be-2", passwd, shadow)
			do(t, w, be.Activate{Name: "be-4"})
			noBob(t, w, "be-4")
		})
	}
}

// The target of a handover that was cut off has gone.
func TestHandoverOfOneThatIsGone(t *testing.T) {
	for n := 1; n < 40; n++ {
		w := onePool(t)
		accounts(w)
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Activate{Name: "be-2"})
		setAnn(w, "debian", lockA)
		require.NoError(t, w.Start())
		if !cut(t, w, be.Handover{Boot: true}, n) {
			break
		}
		picked(w, "debian")
		names := slices.DeleteFunc(w.ZFS.Names(), func(s string) bool { return !strings.HasPrefix(s, "rpool/ROOT/be-2") })
		slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
		require.NoError(t, w.ZFS.Destroy(t.Context(), zfs.Removal{Datasets: names}))
		_, err := early(t, w)
		_, err2 := try(t, w, be.Activate{Name: "debian", Syncing: be.Syncing{Without: true}})
		_, err3 := try(t, w, be.Recover{})
		if err2 != nil {
			var e *be.Error
			errors.As(err3, &e)
			hint := ""
			if e != nil {
				hint = e.Hint
			}
			t.Errorf("%d: early %v | activate --no-sync: %v | recover: %v (hint %s)", n, err, err2, err3, hint)
		}
	}
}

// A snapshot of another tool is pruned while snapbe works.
func TestPrunedMeanwhile(t *testing.T) {
	for n := 1; n < 60; n++ {
		w := onePool(t)
		accounts(w)
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Sync{Name: "be-2"})
		snapshot(t, w, "rpool/ROOT/be-2@hourly")
		w.Reset()
		gone, busy := false, false
		w.Stop = func(what string, i int) error {
			if i >= n && !gone && !busy && strings.HasPrefix(what, "zfs set") {
				busy = true
				err := w.ZFS.Destroy(t.Context(), zfs.Removal{Datasets: []string{"rpool/ROOT/be-2@hourly"}})
				busy, gone = false, err == nil
			}
			return nil
		}
		_, err := try(t, w, be.Sync{Name: "be-2"})
		c := w.Changes()
		w.Reset()
		if err != nil {
			_, err2 := try(t, w, be.Sync{Name: "be-2"})
			t.Errorf("%d: %v; then %v", n, err, err2)
		}
		if n > c {
			break
		}
	}
}

const pwNew, lockNew = "$y$new", "!$y$new"

// handBoot: the new BE ran last; the old one was picked in the menu, nothing was done there, and
// the new one activated again. Then failback.
func handBoot(t *testing.T, inNew func(w *betest.World)) *betest.World {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS) // bob is added after the clone
	into(t, w, "be-2")
	require.Contains(t, w.File("rpool/ROOT/be-2", "etc/passwd"), "bob:")
	inNew(w)
	picked(w, "debian") // a look at the old one
	_, err := early(t, w)
	require.NoError(t, err)
	into(t, w, "be-2")
	res := do(t, w, be.Failback{})
	t.Log(res.Plan.Notes, res.Notes)
	require.NoError(t, w.Reboot())
	require.Equal(t, "rpool/ROOT/debian", w.Host.Running)
	return w
}

func bobOf(w *betest.World, name string) string {
	for line := range strings.Lines(w.File("rpool/ROOT/"+name, "etc/shadow")) {
		if s, ok := strings.CutPrefix(line, "bob:"); ok {
			return strings.Split(s, ":")[0]
		}
	}
	return ""
}

func TestHandBootRemoved(t *testing.T) {
	w := handBoot(t, func(w *betest.World) { putAccounts(w, "be-2", passwd, shadow) })
	noBob(t, w, "debian")
}

func TestHandBootPassword(t *testing.T) {
	w := handBoot(t, func(w *betest.World) {
		putAccounts(w, "be-2", withBob, strings.Replace(withBobS, "$y$hash-of-bob", pwNew, 1))
	})
	assert.Equal(t, pwNew, bobOf(w, "debian"))
}

func TestHandBootLock(t *testing.T) {
	w := handBoot(t, func(w *betest.World) {
		putAccounts(w, "be-2", withBob, strings.Replace(withBobS, "$y$hash-of-bob", "!$y$hash-of-bob", 1))
	})
	assert.Equal(t, "!$y$hash-of-bob", bobOf(w, "debian"))
}

// between: changed by snapbe exec in the new BE between activate and the reboot.
func TestChangedBeforeItRan(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	do(t, w, be.Activate{Name: "be-2"})
	putAccounts(w, "be-2", withBob, strings.Replace(withBobS, "$y$hash-of-bob", pwNew, 1)) // exec be-2 -- passwd bob
	require.NoError(t, w.Reboot())
	do(t, w, be.Failback{})
	require.NoError(t, w.Reboot())
	assert.Equal(t, pwNew, bobOf(w, "debian"))
}

// and an unlock/compromise: removed in the new BE before it runs.
func TestRemovedBeforeItRan(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	do(t, w, be.Activate{Name: "be-2"})
	putAccounts(w, "be-2", passwd, shadow) // exec be-2 -- userdel bob
	require.NoError(t, w.Reboot())
	do(t, w, be.Failback{})
	require.NoError(t, w.Reboot())
	noBob(t, w, "debian")
}

// A deleted account comes back in the BE where it was deleted.
func TestDeletedWhereItRan(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	into(t, w, "be-2")
	putAccounts(w, "be-2", passwd, shadow) // userdel bob
	picked(w, "debian")
	_, err := early(t, w)
	require.NoError(t, err)
	do(t, w, be.Activate{Name: "be-2"})
	noBob(t, w, "be-2")
	require.NoError(t, w.Start())
	res := do(t, w, be.Handover{Boot: true})
	t.Log(res.Notes)
	noBob(t, w, "be-2")
}
