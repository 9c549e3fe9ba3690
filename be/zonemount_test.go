package be_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/zones"
)

// TestZonesWaitForSnapbe: where the zones could not be looked at in a boot, none that
// this boot environment has met starts, until they can.
func TestZonesWaitForSnapbe(t *testing.T) {
	w := betest.New(t.TempDir(), betest.Layout{Pools: []string{"tank"}})
	zoned(t, w)
	w.AddZone("tank/zones", "far")
	w.Zones.Machines = []zones.Machine{{Name: "mine", State: zones.Installed}}
	do(t, w, be.ZoneMount{})
	assert.Empty(t, w.Zones.Withheld())

	w.Host.Boot("rpool/ROOT/debian") // and snapbe-zones.service fails
	assert.Equal(t, []string{"db", "far", "web"}, w.Zones.Withheld(), "no machine that is no zone")

	// The pool of one is not there, and another one was taken out of snapbe's hands.
	require.NoError(t, w.ZFS.Rename(t.Context(), "tank/zones", "tank/not-there"))
	require.NoError(t, w.ZFS.Rename(t.Context(), "rpool/zones/db", "rpool/db"))
	do(t, w, be.ZoneMount{})
	assert.Equal(t, []string{"far"}, w.Zones.Withheld())
	require.NoError(t, w.ZFS.Rename(t.Context(), "tank/not-there", "tank/zones"))
	do(t, w, be.ZoneMount{})
	assert.Empty(t, w.Zones.Withheld())
}
