package be_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
)

// setWebAnn gives ann a password in a root of the zone "web", and webAnn tells it.
func setWebAnn(w *betest.World, root, password string) {
	w.Put(root, "etc/shadow", strings.Replace(shadow, "$y$hash-of-ann", password, 1))
}

func webAnn(w *betest.World, root string) string {
	for line := range strings.Lines(w.File(root, "etc/shadow")) {
		if f := strings.Split(line, ":"); f[0] == "ann" {
			return f[1]
		}
	}
	return ""
}

// TestZoneLockArrives goes ways on which a zone's root was not made by create: ann
// had a password that a third boot environment came to have, and was then locked as
// she had been at first. That lock is in the zone of the one that is activated.
func TestZoneLockArrives(t *testing.T) {
	for _, c := range []struct {
		name string
		// way leads from be-2, whose zone gave ann a password that it gave back to
		// that of debian, to a root that was made of another one.
		way func(t *testing.T, w *betest.World)
	}{
		{"failback", func(t *testing.T, w *betest.World) {
			do(t, w, be.ZoneFailback{Name: "web"})
			from := props(t, w, zoneRoot(w, "web"), "origin")["origin"].Value
			assert.NotEmpty(t, props(t, w, from, "org.snapbe:had")["org.snapbe:had"].Value, "for what is made of that, or goes back to it")
		}},
		{"failback, and back again", func(t *testing.T, w *betest.World) {
			do(t, w, be.ZoneFailback{Name: "web"})
			do(t, w, be.ZoneAttach{Name: "web", ZBE: "zbe-1"})
		}},
		{"attach by a clone", func(t *testing.T, w *betest.World) {
			do(t, w, be.ZoneAttach{Name: "web", ZBE: "zbe"})
		}},
		{"attach by a clone of a clone", func(t *testing.T, w *betest.World) {
			do(t, w, be.ZoneAttach{Name: "web", ZBE: "zbe"})
			do(t, w, be.ZoneAttach{Name: "web", ZBE: "zbe", Choices: []be.AttachChoice{be.ForceClone}})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := onePool(t)
			accounts(w)
			zoned(t, w)
			zoneAccounts(w, webRoot+"zbe")
			setWebAnn(w, webRoot+"zbe", lockA)
			do(t, w, be.Create{Name: "be-2"})
			into(t, w, "be-2")
			setWebAnn(w, webRoot+"zbe-1", pwB)
			do(t, w, be.Sync{Name: "debian"})
			require.Equal(t, pwB, webAnn(w, webRoot+"zbe"))
			do(t, w, be.Create{Name: "be-3"})
			c.way(t, w)
			root := zoneRoot(w, "web")
			require.Equal(t, pwB, webAnn(w, root))
			setWebAnn(w, root, lockA)
			into(t, w, "be-3")
			assert.Equal(t, webRoot+"zbe-2", zoneRoot(w, "web"))
			assert.True(t, strings.HasPrefix(webAnn(w, webRoot+"zbe-2"), "!"), "ann is %s", webAnn(w, webRoot+"zbe-2"))
			assert.Empty(t, status(t, w).Problems)
		})
	}
}

// TestZoneCloneKeepsLocks: the roots of a new zone come from one that has all that
// they have, and nothing of the zone that was cloned is held for them.
func TestZoneCloneKeepsLocks(t *testing.T) {
	const root = "rpool/zones/web2/ROOT/"
	w := onePool(t)
	accounts(w)
	zoned(t, w)
	zoneAccounts(w, webRoot+"zbe")
	setWebAnn(w, webRoot+"zbe", lockA)
	do(t, w, be.Create{Name: "be-2"})
	into(t, w, "be-2")
	setWebAnn(w, webRoot+"zbe-1", pwB)
	do(t, w, be.Sync{Name: "debian"})
	into(t, w, "debian")
	do(t, w, be.ZoneClone{From: "web", Name: "web2"})
	assert.Empty(t, props(t, w, root+"zbe", "org.snapbe:had")["org.snapbe:had"].Value)
	do(t, w, be.ZoneAttach{Name: "web2", BE: "be-2"})
	require.Equal(t, pwB, webAnn(w, root+"zbe-1"))
	setWebAnn(w, root+"zbe", lockA)
	into(t, w, "be-2")
	assert.Equal(t, root+"zbe-1", zoneRoot(w, "web2"))
	assert.True(t, strings.HasPrefix(webAnn(w, root+"zbe-1"), "!"), "ann is %s", webAnn(w, root+"zbe-1"))
}
