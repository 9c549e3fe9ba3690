//go:build rev4

// What the review found and did not mend: these fail. go test -tags rev4 ./be -run TestRev4
package be_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/internal/zfs"
)

// What whoever is root in a zone writes to its synclist between activate and the
// reboot must not take failback away from the host, whose own part is done.
func TestRev4ZoneHoldsUpFailback(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Activate{Name: "be-2"})
	w.Put(webRoot+"zbe", "etc/snapbe/synclist", "no path\n")
	require.NoError(t, w.Start())
	_, err := try(t, w, be.Handover{Boot: true})
	require.ErrorContains(t, err, `the zone "web"`)
	do(t, w, be.ZoneMount{})
	_, err = be.New(w.System()).Do(t.Context(), be.Failback{}, be.Options{DryRun: true})
	assert.NoError(t, err)
}

// What a zone has on its own synclist is not to be done before sysinit.target, where
// the whole host waits for it: up to 30 minutes (snapbe-handover.service).
func TestRev4ZoneHoldsUpBoot(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	w.Put(webRoot+"zbe", "etc/snapbe/synclist", "/srv-data\n")
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Activate{Name: "be-2"})
	for i := range 100 {
		w.Put(webRoot+"zbe", fmt.Sprintf("srv-data/%d", i), "much\n")
	}
	require.NoError(t, w.Start())
	n := 0
	w.Stop = func(what string, _ int) error {
		if strings.Contains(what, "srv-data") {
			n++
		}
		return nil
	}
	do(t, w, be.Handover{Boot: true})
	assert.Zero(t, n, "files of a zone before sysinit.target")
}

// The mount point of each new root with a nested dataset is set by a process of its
// own, one after the other (creation.hold).
func TestRev4NestedZonesCost(t *testing.T) {
	cost := func(zones int) int {
		w := onePool(t)
		for i := range zones {
			w.AddZone("rpool/zones", fmt.Sprintf("z%d", i))
			create(t, w, fmt.Sprintf("rpool/zones/z%d/ROOT/zbe/srv", i), zfs.Props{"canmount": "noauto"})
		}
		c := &counting{ZFS: w.ZFS, n: map[string]int{}}
		sys := w.System()
		sys.ZFS = c
		_, err := be.New(sys).Do(t.Context(), be.Create{Name: "be-2"}, be.Options{})
		require.NoError(t, err)
		return c.take()
	}
	assert.Equal(t, cost(2), cost(6))
}
