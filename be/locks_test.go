package be_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

// setAnn gives ann a password in a BE, and annOf tells it.
func setAnn(w *betest.World, name, password string) {
	w.Put("rpool/ROOT/"+name, "etc/shadow", strings.Replace(shadow, "$y$hash-of-ann", password, 1))
}

func annOf(w *betest.World, name string) string {
	for line := range strings.Lines(w.File("rpool/ROOT/"+name, "etc/shadow")) {
		if f := strings.Split(line, ":"); f[0] == "ann" {
			return f[1]
		}
	}
	return ""
}

// Two passwords, and how they look when they are locked.
const (
	pwA, lockA = "$y$A", "!$y$A"
	pwB, lockB = "$y$B", "!$y$B"
)

// picked boots a BE that was picked in the menu: nothing is synced.
func picked(w *betest.World, name string) { w.Host.Boot("rpool/ROOT/" + name) }

// TestLockArrives goes ways on which what a BE has taken over is not what it had
// been told to have: whoever is locked where the host runs is locked in the BE that
// is then activated.
func TestLockArrives(t *testing.T) {
	for _, c := range []struct {
		name string
		way  func(t *testing.T, w *betest.World)
		to   string
	}{
		{"a rollback to before the lock came", func(t *testing.T, w *betest.World) {
			do(t, w, be.Create{Name: "be-2"})
			setAnn(w, "debian", pwB)
			do(t, w, be.Sync{Name: "be-2"})
			do(t, w, be.Create{Name: "be-2@good"})
			setAnn(w, "debian", lockB)
			do(t, w, be.Sync{Name: "be-2"})
			do(t, w, be.Rollback{Name: "be-2@good", Newer: true})
		}, "be-2"},
		{"a rollback to a snapshot of another tool", func(t *testing.T, w *betest.World) {
			do(t, w, be.Create{Name: "be-2"})
			setAnn(w, "debian", pwB)
			do(t, w, be.Sync{Name: "be-2"})
			snapshot(t, w, "rpool/ROOT/be-2@hourly")
			setAnn(w, "debian", lockB)
			do(t, w, be.Sync{Name: "be-2"})
			do(t, w, be.Rollback{Name: "be-2@hourly", Newer: true})
		}, "be-2"},
		{"a clone of an old snapshot", func(t *testing.T, w *betest.World) {
			do(t, w, be.Create{Name: "be-2"})
			setAnn(w, "debian", pwB)
			do(t, w, be.Sync{Name: "be-2"})
			do(t, w, be.Create{Name: "be-2@good"})
			setAnn(w, "debian", lockB)
			do(t, w, be.Sync{Name: "be-2"})
			do(t, w, be.Create{Name: "be-3", From: "be-2@good"})
		}, "be-3"},
		{"a copy that came with today's properties", func(t *testing.T, w *betest.World) {
			do(t, w, be.Create{Name: "be-2"})
			setAnn(w, "debian", pwB)
			do(t, w, be.Sync{Name: "be-2"})
			do(t, w, be.Create{Name: "be-2@good"})
			setAnn(w, "debian", lockB)
			do(t, w, be.Sync{Name: "be-2"})
			p := zfs.Props{"mountpoint": "/", "canmount": "noauto"}
			for name, v := range props(t, w, "rpool/ROOT/be-2", "org.snapbe:had", "org.snapbe:synced", "org.opensolaris.libbe:uuid") {
				p[name] = v.Value
			}
			require.NoError(t, w.ZFS.Clone(t.Context(), []zfs.Clone{{Snapshot: "rpool/ROOT/be-2@good", Target: "rpool/ROOT/copy", Props: p}}))
			do(t, w, be.BootUpdate{})
		}, "copy"},
		{"a clock that was ahead", func(t *testing.T, w *betest.World) {
			do(t, w, be.Create{Name: "be-2"})
			w.SetClock(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC))
			setAnn(w, "debian", lockB)
			do(t, w, be.Sync{Name: "be-2"})
			w.SetClock(time.Date(2026, 11, 20, 13, 0, 0, 0, time.UTC))
			setAnn(w, "debian", pwB)
			do(t, w, be.Sync{Name: "be-2"})
			setAnn(w, "debian", lockB)
		}, "be-2"},
		{"a lock that was set before it ever ran, and a clone of the one before", func(t *testing.T, w *betest.World) {
			do(t, w, be.Create{Name: "be-2"})
			setAnn(w, "debian", pwB)
			do(t, w, be.Activate{Name: "be-2"})
			setAnn(w, "be-2", lockB) // by exec
			require.NoError(t, w.Reboot())
			do(t, w, be.Create{Name: "be-4", From: "debian"})
		}, "be-4"},
		{"the same, after a third one was synced back", func(t *testing.T, w *betest.World) {
			do(t, w, be.Create{Name: "be-2"})
			do(t, w, be.Create{Name: "be-3"})
			setAnn(w, "debian", pwB)
			do(t, w, be.Sync{Name: "be-3"})
			do(t, w, be.Activate{Name: "be-2"})
			setAnn(w, "be-2", lockB)
			require.NoError(t, w.Reboot())
			picked(w, "be-3")
			do(t, w, be.Sync{Name: "debian"})
			picked(w, "be-2")
		}, "debian"},
		{"a clone that was on the way has gone", func(t *testing.T, w *betest.World) {
			setAnn(w, "debian", lockA)
			do(t, w, be.Create{Name: "be-2"})
			picked(w, "be-2")
			setAnn(w, "be-2", pwB)
			do(t, w, be.Sync{Name: "debian"})
			picked(w, "debian")
			do(t, w, be.Create{Name: "be-3", From: "be-2"})
			into(t, w, "be-3")
			into(t, w, "debian")
			do(t, w, be.Destroy{Name: "be-3"})
			setAnn(w, "debian", lockA)
		}, "be-2"},
		{"a promotion, and what was promoted has gone", func(t *testing.T, w *betest.World) {
			setAnn(w, "debian", lockA)
			do(t, w, be.Create{Name: "be-2"})
			setAnn(w, "debian", pwB)
			do(t, w, be.Sync{Name: "be-2"})
			do(t, w, be.Create{Name: "be-3"})
			require.NoError(t, w.ZFS.Promote(t.Context(), "rpool/ROOT/be-3"))
			do(t, w, be.Destroy{Name: "be-3"})
			setAnn(w, "debian", lockA)
		}, "be-2"},
		{"the one that both come from has gone", func(t *testing.T, w *betest.World) {
			setAnn(w, "debian", lockA)
			do(t, w, be.Create{Name: "be-2"})
			setAnn(w, "debian", pwA)
			do(t, w, be.Activate{Name: "be-2"}) // and thought better of it
			do(t, w, be.Create{Name: "be-3"})
			into(t, w, "be-3")
			do(t, w, be.Destroy{Name: "debian"})
			setAnn(w, "be-3", lockA)
		}, "be-2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := onePool(t)
			accounts(w)
			c.way(t, w)
			require.True(t, strings.HasPrefix(annOf(w, strings.TrimPrefix(w.Host.Running, "rpool/ROOT/")), "!"))
			into(t, w, c.to)
			assert.True(t, strings.HasPrefix(annOf(w, c.to), "!"), "ann is %s", annOf(w, c.to))
		})
	}
}

// TestFailbackWithShareCut: a failback that a power cut stopped, with the other BE
// picked then, is ended or undone, and what it had taken over is known rightly.
func TestFailbackWithShareCut(t *testing.T) {
	for n := 1; ; n++ {
		w := onePool(t)
		accounts(w)
		shared(t, w)
		setAnn(w, "debian", lockA)
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.ShareSnapshot{Name: "mine"})
		into(t, w, "be-2")
		setAnn(w, "be-2", pwB)
		do(t, w, be.Sync{Name: "debian"})
		if !cut(t, w, be.Failback{Share: "mine"}, n) {
			require.Greater(t, n, 8)
			break
		}
		chosen := props(t, w, "rpool/ROOT", "org.snapbe:default")["org.snapbe:default"].Value
		picked(w, "be-2")
		_, err := early(t, w)
		require.NoError(t, err)
		assert.Equal(t, chosen, props(t, w, "rpool/ROOT", "org.snapbe:default")["org.snapbe:default"].Value, "cut before change %d: what was chosen stays", n)
		setAnn(w, "be-2", lockA)
		into(t, w, "debian")
		assert.True(t, strings.HasPrefix(annOf(w, "debian"), "!"), "cut before change %d: ann is %s", n, annOf(w, "debian"))
	}
}

// TestPlacingFailsEarly: where nothing could be looked at, nothing has moved.
func TestPlacingFailsEarly(t *testing.T) {
	w := onePool(t)
	putVar(w, "debian", "mail/ann", "a letter\n")
	do(t, w, be.ShareInit{Dirs: []string{"mail"}})
	do(t, w, be.Create{Name: "be-2"})
	putVar(w, "debian", "mail/ann", "a letter\nand a new one\n")
	fstab := w.ZFS.Dir("rpool/ROOT/debian") + "/etc/fstab"
	text, err := os.ReadFile(fstab)
	require.NoError(t, err)
	require.NoError(t, os.Remove(fstab))
	require.NoError(t, os.Symlink("fstab.d/main", fstab))
	picked(w, "debian")
	_, err = try(t, w, be.ShareMount{})
	require.ErrorContains(t, err, "not followed")
	require.NoError(t, os.Remove(fstab))
	require.NoError(t, os.WriteFile(fstab, text, 0o644))
	picked(w, "be-2")
	do(t, w, be.ShareMount{})
	picked(w, "debian")
	do(t, w, be.ShareMount{})
	assert.Equal(t, "a letter\nand a new one\n", w.File("rpool/VARSHARE", "mail/ann"))
}
