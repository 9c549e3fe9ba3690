package be_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
)

// full makes the n-th change of the machine fail, as on a pool without space, or the
// first one that has a word in it.
func full(w *betest.World, n int, word string) (at *string) {
	w.Reset()
	at = new(string)
	w.Stop = func(what string, i int) error {
		if *at == "" && (i == n || word != "" && strings.Contains(what, word)) {
			*at = what
			return errors.New("no space left on device")
		}
		return nil
	}
	return at
}

// waiting tells whether a handover is left to do.
func waiting(t *testing.T, w *betest.World) bool {
	t.Helper()
	return props(t, w, "rpool/ROOT", "org.snapbe:handover")["org.snapbe:handover"].Value != ""
}

// TestHandoverFailsAnywhere has a handover fail at each of its changes, and what it
// was about is undone in the old BE: that arrives.
func TestHandoverFailsAnywhere(t *testing.T) {
	failed := 0
	for n := 1; ; n++ {
		w := onePool(t)
		accounts(w)
		w.Put("rpool/ROOT/debian", "etc/adjtime", "one\n")
		setAnn(w, "debian", lockA)
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Activate{Name: "be-2"})
		setAnn(w, "debian", pwA)
		w.Put("rpool/ROOT/debian", "etc/adjtime", "two\n")
		require.NoError(t, w.Start())
		at := full(w, n, "")
		_, err := try(t, w, be.Handover{Boot: true})
		w.Reset()
		if *at == "" {
			break
		}
		if err == nil || !waiting(t, w) {
			continue
		}
		failed++
		has := annOf(w, "be-2")
		picked(w, "debian")
		_, err = early(t, w)
		require.NoError(t, err)
		setAnn(w, "debian", lockA)
		w.Put("rpool/ROOT/debian", "etc/adjtime", "one\n")
		require.NoError(t, w.Reboot())
		require.Equal(t, "rpool/ROOT/be-2", w.Host.Running)
		assert.Equal(t, lockA, annOf(w, "be-2"), "change %d, %s: it had %s", n, *at, has)
		assert.Equal(t, "one\n", w.File("rpool/ROOT/be-2", "etc/adjtime"), "change %d, %s", n, *at)
		assert.Empty(t, props(t, w, "rpool/ROOT/be-2", "org.snapbe:partly")["org.snapbe:partly"].Value)
	}
	assert.Greater(t, failed, 5)
}

// TestAccountOfAHalfHandover: a user that came along by a handover which failed is
// deleted in the old BE.
func TestAccountOfAHalfHandover(t *testing.T) {
	for _, twice := range []bool{false, true} {
		t.Run(fmt.Sprint(twice), func(t *testing.T) {
			w := onePool(t)
			accounts(w)
			do(t, w, be.Create{Name: "be-2"})
			do(t, w, be.Activate{Name: "be-2"})
			putAccounts(w, "debian", withBob, withBobS)
			w.Put("rpool/ROOT/debian", "etc/adjtime", "two\n")
			require.NoError(t, w.Start())
			fail := func() {
				at := full(w, 0, "adjtime")
				_, err := try(t, w, be.Handover{Boot: true})
				require.ErrorContains(t, err, "no space left on device")
				require.NotEmpty(t, *at)
				w.Reset()
			}
			fail()
			assert.Contains(t, w.File("rpool/ROOT/be-2", "etc/passwd"), "bob:")
			picked(w, "debian")
			_, err := early(t, w)
			require.NoError(t, err)
			if twice {
				w.Put("rpool/ROOT/debian", "etc/adjtime", "three\n")
				require.NoError(t, w.Start())
				fail()
				picked(w, "debian")
				_, err = early(t, w)
				require.NoError(t, err)
			}
			putAccounts(w, "debian", passwd, shadow)
			require.NoError(t, w.Reboot())
			require.Equal(t, "rpool/ROOT/be-2", w.Host.Running)
			noBob(t, w, "be-2")
			for _, name := range w.ZFS.Names() {
				if strings.Contains(name, "debian@sync-") {
					assert.Contains(t, props(t, w, "rpool/ROOT/be-2", "org.snapbe:synced")["org.snapbe:synced"].Value, name[strings.Index(name, "@")+1:], "only the last one is kept")
				}
			}
		})
	}
}

// TestHalfHandoverByHand: it is ended by hand in the BE that it is for, and what that
// changed since is its own.
func TestHalfHandoverByHand(t *testing.T) {
	w := onePool(t)
	accounts(w)
	setAnn(w, "debian", lockA)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Activate{Name: "be-2"})
	setAnn(w, "debian", pwA)
	w.Put("rpool/ROOT/debian", "etc/adjtime", "two\n")
	require.NoError(t, w.Start())
	full(w, 0, "adjtime")
	_, err := try(t, w, be.Handover{Boot: true})
	require.Error(t, err)
	w.Reset()
	setAnn(w, "be-2", lockB)
	do(t, w, be.Handover{})
	assert.Equal(t, lockB, annOf(w, "be-2"), "locked in it since")
	assert.Equal(t, "two\n", w.File("rpool/ROOT/be-2", "etc/adjtime"))
	assert.False(t, waiting(t, w))
}

// TestCloneOfAHalfHandover: what a clone has in part is known too.
func TestCloneOfAHalfHandover(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Activate{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	w.Put("rpool/ROOT/debian", "etc/adjtime", "two\n")
	require.NoError(t, w.Start())
	full(w, 0, "adjtime")
	_, err := try(t, w, be.Handover{Boot: true})
	require.Error(t, err)
	w.Reset()
	do(t, w, be.Create{Name: "be-3"})
	picked(w, "debian")
	_, err = early(t, w)
	require.NoError(t, err)
	putAccounts(w, "debian", passwd, shadow)
	do(t, w, be.Activate{Name: "be-3"})
	noBob(t, w, "be-3")
}
