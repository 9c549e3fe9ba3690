package be_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/mount"
	"snapbe/internal/zfs"
)

// eachLayout runs a test on a host of either layout.
func eachLayout(t *testing.T, f func(t *testing.T, w *betest.World)) {
	t.Helper()
	for name, l := range layouts {
		t.Run(name, func(t *testing.T) { f(t, betest.New(t.TempDir(), l)) })
	}
}

func onePool(t *testing.T, nested ...string) *betest.World {
	t.Helper()
	return betest.New(t.TempDir(), betest.Layout{Nested: nested})
}

func split(t *testing.T, nested ...string) *betest.World {
	t.Helper()
	return betest.New(t.TempDir(), betest.Layout{Split: true, Nested: nested})
}

// try carries a request out and gives what became of it.
func try(t *testing.T, w *betest.World, r be.Request) (be.Result, error) {
	t.Helper()
	return be.New(w.System()).Do(t.Context(), r, be.Options{})
}

// refusal is what a user is told.
type refusal struct {
	code be.Code
	// text is the whole of it, after "cannot "; hint the next line.
	text, hint string
}

// refused carries out a request that must be refused in these words, before
// anything was changed.
func refused(t *testing.T, w *betest.World, r be.Request, want refusal) {
	t.Helper()
	before := w.Capture()
	w.Reset()
	_, err := try(t, w, r)
	require.Error(t, err)
	assert.Zero(t, w.Changes(), "refused before the first change")
	assertRefusal(t, want, err)
	same(t, before, w.Capture())
}

// undone carries out a request that fails on its way, and must leave all as
// it was.
func undone(t *testing.T, w *betest.World, r be.Request, want refusal) {
	t.Helper()
	before := w.Capture()
	_, err := try(t, w, r)
	require.Error(t, err)
	assertRefusal(t, want, err)
	same(t, before, w.Capture())
}

func assertRefusal(t *testing.T, want refusal, err error) {
	t.Helper()
	var e *be.Error
	require.True(t, errors.As(err, &e), "%v is no error for a user", err)
	assert.Equal(t, want, refusal{e.Code, e.Error(), e.Hint})
}

// props are what zfs get tells of a dataset.
func props(t *testing.T, w *betest.World, dataset string, names ...string) map[string]zfs.Property {
	t.Helper()
	ds, err := w.ZFS.Get(t.Context(), zfs.Query{Roots: []string{dataset}, Props: names,
		Kinds: []zfs.Kind{zfs.Filesystem, zfs.Volume, zfs.Snapshot}})
	require.NoError(t, err)
	return ds[0].Props
}

func set(t *testing.T, w *betest.World, dataset string, p zfs.Props) {
	t.Helper()
	require.NoError(t, w.ZFS.Set(t.Context(), []zfs.Change{{Dataset: dataset, Set: p}}))
}

func create(t *testing.T, w *betest.World, dataset string, p zfs.Props) {
	t.Helper()
	require.NoError(t, w.ZFS.Create(t.Context(), dataset, p))
}

// snapshot makes snapshots as a user does, beside snapbe.
func snapshot(t *testing.T, w *betest.World, names ...string) {
	t.Helper()
	require.NoError(t, w.ZFS.Snapshot(t.Context(), names, nil))
}

func clone(t *testing.T, w *betest.World, snap, target string) {
	t.Helper()
	require.NoError(t, w.ZFS.Clone(t.Context(), []zfs.Clone{{Snapshot: snap, Target: target}}))
}

func exists(w *betest.World, dataset string) bool {
	for _, n := range w.ZFS.Names() {
		if n == dataset {
			return true
		}
	}
	return false
}

func list(t *testing.T, w *betest.World, o be.ListOptions) []be.BE {
	t.Helper()
	bes, err := be.New(w.System()).List(t.Context(), o)
	require.NoError(t, err)
	return bes
}

func named(t *testing.T, w *betest.World, name string) be.BE {
	t.Helper()
	return list(t, w, be.ListOptions{Name: name})[0]
}

func status(t *testing.T, w *betest.World) be.Status {
	t.Helper()
	s, err := be.New(w.System()).Status(t.Context())
	require.NoError(t, err)
	return s
}

// foreign makes a BE look like one that another tool made: without a UUID,
// and mounting by itself.
func foreign(dataset string) []zfs.Change {
	return []zfs.Change{{Dataset: dataset, Set: zfs.Props{"canmount": "on"},
		Inherit: []string{"org.opensolaris.libbe:uuid", "org.opensolaris.libbe:policy"}}}
}

func tree(dataset string) mount.Tree { return mount.Tree{{Dataset: dataset, Dir: "."}} }

// same compares what Capture saw, and tells only of what differs.
func same(t *testing.T, before, after []string) {
	t.Helper()
	for _, l := range before {
		if !slices.Contains(after, l) {
			t.Errorf("gone: %.300s", l)
		}
	}
	for _, l := range after {
		if !slices.Contains(before, l) {
			t.Errorf("new: %.300s", l)
		}
	}
}

// removeKernel takes a file of a BE's /boot away.
func removeKernel(t *testing.T, w *betest.World, name, file string) {
	t.Helper()
	boot := filepath.Join(w.ZFS.Dir("rpool/ROOT/"+name), "boot")
	if exists(w, "bpool/BOOT/"+name) {
		boot = w.ZFS.Dir("bpool/BOOT/" + name)
	}
	require.NoError(t, os.Remove(filepath.Join(boot, file)))
}
