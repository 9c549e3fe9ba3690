package be_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
)

// The same for one whose pool was not there.
func TestRev5PolicyOfAZoneLeft(t *testing.T) {
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

// A clone of such a snapshot.
func TestRev5CloneOfAHalfHandoversSnapshot(t *testing.T) {
	for _, c := range []string{"own", "own, pick", "other", "other, pick"} {
		t.Run(c, func(t *testing.T) {
			w := halfHandover(t)
			if strings.HasPrefix(c, "own") {
				do(t, w, be.Create{Name: "be-2@good"})
			} else {
				snapshot(t, w, "rpool/ROOT/be-2@good")
			}
			do(t, w, be.Handover{})
			do(t, w, be.Create{Name: "be-3", From: "be-2@good"})
			if strings.HasSuffix(c, "pick") {
				picked(w, "debian")
			} else {
				into(t, w, "debian")
			}
			putAccounts(w, "debian", passwd, shadow)
			into(t, w, "be-3")
			noBob(t, w, "be-3")
		})
	}
}

// A rollback to such a snapshot, when the handover has been done since.
func TestRev5RollbackToAFormerHalfHandover(t *testing.T) {
	w := halfHandover(t)
	snapshot(t, w, "rpool/ROOT/be-2@good")
	do(t, w, be.Handover{})
	picked(w, "debian")
	putAccounts(w, "debian", passwd, shadow)
	do(t, w, be.Activate{Name: "debian"})
	do(t, w, be.Rollback{Name: "be-2@good", Newer: true})
	into(t, w, "be-2")
	noBob(t, w, "be-2")
}
