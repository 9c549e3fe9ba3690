package be_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

// counting counts the processes that its verbs take, but for clones, which are made
// side by side.
type counting struct {
	zfs.ZFS
	mu sync.Mutex
	n  map[string]int
}

func (c *counting) add(verb string, n int) {
	c.mu.Lock()
	c.n[verb] += n
	c.mu.Unlock()
}

func (c *counting) Get(ctx context.Context, q zfs.Query) ([]zfs.Dataset, error) {
	c.add("get", 1)
	return c.ZFS.Get(ctx, q)
}
func (c *counting) Snapshot(ctx context.Context, n []string, p zfs.Props) error {
	c.add("snapshot", 1)
	return c.ZFS.Snapshot(ctx, n, p)
}
func (c *counting) Clone(ctx context.Context, x []zfs.Clone) error {
	return c.ZFS.Clone(ctx, x)
}
func (c *counting) Create(ctx context.Context, n string, p zfs.Props) error {
	c.add("create", 1)
	return c.ZFS.Create(ctx, n, p)
}
func (c *counting) Set(ctx context.Context, x []zfs.Change) error {
	if len(x) > 0 {
		if zfs.Atomic(x) {
			c.add("set", 1)
		} else {
			c.add("set-each", len(x))
		}
	}
	return c.ZFS.Set(ctx, x)
}
func (c *counting) Promote(ctx context.Context, n string) error {
	c.add("promote", 1)
	return c.ZFS.Promote(ctx, n)
}
func (c *counting) Destroy(ctx context.Context, r zfs.Removal) error {
	if len(r.Datasets) > 0 {
		c.add("destroy", 1)
	}
	return c.ZFS.Destroy(ctx, r)
}
func (c *counting) Rollback(ctx context.Context, s, d []string) error {
	c.add("rollback", 1)
	return c.ZFS.Rollback(ctx, s, d)
}

// take is how many there were since it was called last.
func (c *counting) take() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range c.n {
		n += of
	}
	clear(c.n)
	return n
}

// costs are the numbers of processes that a cycle with n zones takes, by operation.
func costs(t *testing.T, n int) []string {
	w := betest.New(t.TempDir(), betest.Layout{Pools: []string{"tank"}})
	for i := range n {
		name := fmt.Sprintf("z%02d", i)
		in := []string{"rpool/zones", "tank/zones"}[i%2]
		w.AddZone(in, name)
		w.Put(in+"/"+name+"/ROOT/zbe", "etc/snapbe/synclist", "/etc/motd\n")
		create(t, w, in+"/"+name+"/VARSHARE", zfs.Props{"mountpoint": "/var/share", "canmount": "noauto", "org.snapbe:sharedirs": "mail"})
	}
	c := &counting{ZFS: w.ZFS, n: map[string]int{}}
	sys := w.System()
	sys.ZFS = c
	var of []string
	run := func(what string, r be.Request) {
		c.take()
		_, err := be.New(sys).Do(t.Context(), r, be.Options{})
		require.NoError(t, err, what)
		of = append(of, fmt.Sprintf("%s %d", what, c.take()))
	}
	run("boot", be.ZoneMount{})
	run("create", be.Create{Name: "be-2"})
	run("activate", be.Activate{Name: "be-2"})
	require.NoError(t, w.Start())
	run("handover", be.Handover{Boot: true})
	run("boot the new one", be.ZoneMount{})
	run("failback", be.Failback{})
	require.NoError(t, w.Start())
	run("handover back", be.Handover{Boot: true})
	run("destroy", be.Destroy{Name: "be-2"})
	_, err := be.New(sys).Zones(t.Context())
	require.NoError(t, err)
	return append(of, fmt.Sprintf("zone list %d", c.take()))
}

// TestZonesCost: no operation takes a process of ZFS for each zone, but for clones.
func TestZonesCost(t *testing.T) {
	few := costs(t, 2)
	t.Log(few)
	assert.Equal(t, few, costs(t, 4))
}
