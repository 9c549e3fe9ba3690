package be_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

// counted counts the processes that reading takes with the real tools.
type counted struct {
	zfs.ZFS
	gets int
}

func (c *counted) Get(ctx context.Context, q zfs.Query) ([]zfs.Dataset, error) {
	c.gets++
	return c.ZFS.Get(ctx, q)
}

func TestListReadsAsOftenForMany(t *testing.T) {
	count := func(w *betest.World, o be.ListOptions) int {
		sys := w.System()
		c := &counted{ZFS: sys.ZFS}
		sys.ZFS = c
		_, err := be.New(sys).List(t.Context(), o)
		require.NoError(t, err)
		return c.gets
	}
	for name, l := range map[string]betest.Layout{"one pool": {}, "split": {Split: true}} {
		t.Run(name, func(t *testing.T) {
			pools := 1
			if l.Split {
				pools = 2
			}
			few := betest.New(t.TempDir(), l)
			for i := range 20 {
				l.Nested = append(l.Nested, fmt.Sprintf("n%d", i))
			}
			many := betest.New(t.TempDir(), l)
			for range 5 {
				do(t, many, be.Create{})
			}
			for _, w := range []*betest.World{few, many} {
				assert.Equal(t, pools, count(w, be.ListOptions{}))
				assert.Equal(t, pools+1, count(w, be.ListOptions{Datasets: true}))
				assert.Equal(t, pools+1, count(w, be.ListOptions{Datasets: true, Snapshots: true}))
				assert.Equal(t, pools+1, count(w, be.ListOptions{Name: "debian", Snapshots: true}))
			}
		})
	}
}

func TestListDeeper(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "debian@mine"})
		parts := 1 + len(layouts["one pool"].Nested)
		if status(t, w).BootRoot != "" {
			parts = 2 + len(layouts["split"].Nested)
		}
		bes := list(t, w, be.ListOptions{Datasets: true, Snapshots: true})
		assert.Len(t, bes[0].Datasets, parts)
		assert.Len(t, bes[1].Datasets, parts)
		assert.Len(t, bes[0].Snapshots, 2*parts, "the user's, and the origins of be-2")
		assert.Empty(t, bes[1].Snapshots)
		own := 0
		for _, s := range bes[0].Snapshots {
			if s.Own {
				own++
			}
		}
		assert.Equal(t, parts, own)
		assert.Empty(t, list(t, w, be.ListOptions{})[0].Datasets, "not asked for")
		_, err := be.New(w.System()).List(t.Context(), be.ListOptions{Name: "none"})
		assertRefusal(t, refusal{be.NotFound, `list "none": no boot environment has that name in rpool/ROOT`,
			"snapbe list shows those that there are"}, err)
	})
}

// Space is what destroying would free: a BE that others were cloned from keeps
// its snapshots in them.
func TestListSpace(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		boot := uint64(0)
		for _, name := range []string{"debian", "be-2"} {
			d := "rpool/ROOT/" + name
			w.ZFS.SetNumber(d, "used", 10<<20)
			w.ZFS.SetNumber(d, "usedbysnapshots", 4<<20)
			if b := named(t, w, name).BootDataset; b != "" {
				boot = 2 << 20
				w.ZFS.SetNumber(b, "used", 2<<20)
				w.ZFS.SetNumber(b, "usedbysnapshots", 1<<20)
			}
		}
		assert.Equal(t, 10<<20+boot, named(t, w, "be-2").Space)
		assert.Equal(t, 6<<20+boot/2, named(t, w, "debian").Space)
	})
}

func TestListFlags(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Activate{Name: "be-2"})
		dir := do(t, w, be.Mount{Name: "be-2"}).Dir
		now, next := named(t, w, "debian"), named(t, w, "be-2")
		assert.True(t, now.Running && !now.Default && now.Previous)
		assert.True(t, !next.Running && next.Default && !next.Previous)
		assert.Equal(t, "/", now.Mountpoint)
		assert.Equal(t, dir, next.Mountpoint)
		assert.Equal(t, "static", next.Policy)
		assert.True(t, next.Booted.IsZero())
	})
}

// Reading works for every user, changing for none but root.
func TestUnprivileged(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		w.Host.User = true
		assert.Equal(t, []string{"debian"}, names(t, w))
		assert.Equal(t, "debian", status(t, w).Running)
		denied := refusal{be.Denied, "change boot environments: only root may do that", "run it as root, or with sudo"}
		for _, r := range []be.Request{be.Create{}, be.Activate{Name: "debian"}, be.Destroy{Name: "debian"}, be.Recover{}, be.Mount{Name: "debian"}} {
			refused(t, w, r, denied)
		}
		_, _, err := be.New(w.System()).Exec(t.Context(), be.Exec{Name: "debian"})
		assertRefusal(t, refusal{be.Denied, `run a command in "debian": only root may do that`, "run it as root, or with sudo"}, err)
		_, err = be.New(w.System()).Check(t.Context())
		assertRefusal(t, refusal{be.Denied, "check the boot menu: only root can look into boot environments", "run it as root, or with sudo"}, err)
	})
}

func TestOtherContainer(t *testing.T) {
	w := onePool(t)
	sys := w.System()
	sys.Root = "rpool/NONE"
	_, err := be.New(sys).List(t.Context(), be.ListOptions{})
	want := refusal{be.NotFound, `find the BE root container "rpool/NONE": no such dataset`, "name another one with -r"}
	assertRefusal(t, want, err)
	_, err = be.New(sys).Do(t.Context(), be.Create{Name: "x"}, be.Options{})
	assertRefusal(t, want, err)
	w.Host.Running = ""
	_, err = be.New(w.System()).List(t.Context(), be.ListOptions{})
	assertRefusal(t, refusal{be.Failed, "find the boot environments: / is not on ZFS, where a dataset POOL/ROOT/NAME is needed",
		"for those of another pool, name their container, as in -r rpool/ROOT"}, err)
	sys.Root = "rpool/ROOT"
	bes, err := be.New(sys).List(t.Context(), be.ListOptions{})
	require.NoError(t, err)
	assert.False(t, bes[0].Running, "a rescue system")
}

func TestBootPoolNotThere(t *testing.T) {
	w := onePool(t)
	set(t, w, "rpool/ROOT", zfs.Props{"org.snapbe:bootroot": "bpool/BOOT"})
	_, err := be.New(w.System()).List(t.Context(), be.ListOptions{})
	assertRefusal(t, refusal{be.NotFound, "find the boot datasets: no such dataset as bpool/BOOT",
		"zpool import bpool where that pool is not there"}, err)
}
