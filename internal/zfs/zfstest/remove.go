package zfstest

import (
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/zfs"
)

func (e *env) destroy(r zfs.Removal) error { return e.ZFS.Destroy(e.ctx, r) }

var destroyTests = []test{
	{"a tree with its snapshots", func(e *env) {
		e.create("a", "a/b", "a/b/c", "keep")
		e.snapshot("a@1", "a/b@1", "a/b/c@1")
		e.snapshot("a@2")
		require.NoError(e, e.destroy(zfs.Removal{Datasets: e.ats(
			"a/b/c@1", "a/b/c", "a/b@1", "a/b", "a@2", "a@1", "a",
		)}))
		assert.Equal(e, []string{"", "keep"}, e.names(zfs.Query{Roots: []string{e.root}, Depth: -1, Kinds: every}))
		assert.NoError(e, e.destroy(zfs.Removal{}))
	}},
	{"a clone and its origin", func(e *env) {
		e.create("a")
		e.snapshot("a@s")
		e.clone("a@s", "b")
		require.NoError(e, e.destroy(zfs.Removal{Datasets: e.ats("b", "a@s")}))
		assert.Equal(e, []string{"a"}, e.names(zfs.Query{Roots: e.ats("a"), Depth: -1, Kinds: every}))
	}},
	{"what is not listed keeps all", func(e *env) {
		e.create("a", "a/b", "x")
		e.snapshot("a@1", "a/b@1")
		e.clone("a/b@1", "c")
		e.inOneGo(func() {
			for _, list := range [][]string{
				{"x", "a"},
				{"x", "a@1", "a"},
				{"x", "a/b", "a@1", "a"},
				{"x", "a/b@1"},
				{"x", "a/b@1", "a/b", "a@1", "a"},
				{"x", "c", "a/b@1", "a/b", "a"},
				{"x", "c", "a/b", "a/b@1"},
				{"x", "a/b@1", "c"},
				{"x", "c", "a@1", "a", "a/b@1", "a/b"},
			} {
				e.refused(zfs.Dependents, func() error { return e.destroy(zfs.Removal{Datasets: e.ats(list...)}) })
			}
		})
		err := e.destroy(zfs.Removal{Datasets: e.ats("a/b@1")})
		assert.ErrorContains(e, err, e.at("a/b@1"))
		assert.ErrorContains(e, err, e.at("c"), "names what stands in the way")
	}},
	{"what is not there keeps all", func(e *env) {
		e.create("a")
		e.inOneGo(func() {
			for _, list := range [][]string{{"a", "no"}, {"a", "no@s"}, {"a", "a"}, {"no@s", "a"}} {
				e.refused(zfs.NotFound, func() error { return e.destroy(zfs.Removal{Datasets: e.ats(list...)}) })
			}
		})
		e.refused(zfs.NotFound, func() error { return e.destroy(zfs.Removal{Promote: e.ats("no"), Datasets: e.ats("a")}) })
	}},
	{"mounted", func(e *env) {
		e.create("a", "b", "c")
		e.snapshot("b@s")
		e.Mount(e.T, e.at("b"))
		e.Mount(e.T, e.at("c"))
		e.refused(zfs.Busy, func() error { return e.destroy(zfs.Removal{Datasets: e.ats("a", "b@s", "b")}) })
		e.refused(zfs.Busy, func() error { return e.destroy(zfs.Removal{Datasets: e.ats("a", "c")}) })
		e.Unmount(e.T, e.at("b"))
		e.Unmount(e.T, e.at("c"))
		require.NoError(e, e.destroy(zfs.Removal{Datasets: e.ats("a", "b@s", "b", "c")}))
	}},
	{"the snapshot of a mounted one", func(e *env) {
		e.create("a")
		e.snapshot("a@s")
		e.Mount(e.T, e.at("a"))
		require.NoError(e, e.destroy(zfs.Removal{Datasets: e.ats("a@s")}))
		e.Unmount(e.T, e.at("a"))
	}},
	{"held", func(e *env) {
		e.create("a", "b")
		e.snapshot("b@s")
		e.Hold(e.T, e.at("b@s"))
		e.refused(zfs.Busy, func() error { return e.destroy(zfs.Removal{Datasets: e.ats("a", "b@s", "b")}) })
		e.Release(e.T, e.at("b@s"))
		require.NoError(e, e.destroy(zfs.Removal{Datasets: e.ats("a", "b@s", "b")}))
	}},
	{"changes commit together with it", func(e *env) {
		e.create("a", "b")
		e.set("b", "test:op", "1")
		then := func(name string, set zfs.Props) []zfs.Change {
			return []zfs.Change{{Dataset: e.at("b"), Inherit: []string{"test:op"}}, {Dataset: e.at(name), Set: set}}
		}
		long := strings.Repeat("x", 9000)
		e.inOneGo(func() {
			for _, c := range []struct {
				then []zfs.Change
				want zfs.Reason
			}{
				{then("no", zfs.Props{"test:x": "y"}), zfs.NotFound},
				{then("a", zfs.Props{"test:x": "y"}), zfs.NotFound},
				{then("b", zfs.Props{"test:x": long}), zfs.Unknown},
				{then("b", zfs.Props{"readonly": "on"}), zfs.Unknown},
			} {
				e.refused(c.want, func() error { return e.destroy(zfs.Removal{Datasets: e.ats("a"), Then: c.then}) })
			}
		})
		require.NoError(e, e.destroy(zfs.Removal{Datasets: e.ats("a"), Then: then("b", zfs.Props{"test:x": "y"})}))
		assert.NotContains(e, e.one("b", "test:op").Props, "test:op")
		assert.Equal(e, "y", e.value("b", "test:x"))
		assert.Equal(e, []string{"", "b"}, e.names(zfs.Query{Roots: []string{e.root}, Depth: -1}))
	}},
	{"two pools", func(e *env) {
		e.create("a")
		e.refused(zfs.Unknown, func() error {
			return e.destroy(zfs.Removal{Datasets: []string{e.at("a"), "snapbe-other/a"}})
		})
	}},
	{"thirty nested", func(e *env) {
		var list []string
		for _, name := range e.nested(30) {
			list = append([]string{name + "@s", name}, list...)
		}
		e.refused(zfs.Dependents, func() error { return e.destroy(zfs.Removal{Datasets: e.ats(list[1:]...)}) })
		require.NoError(e, e.destroy(zfs.Removal{Datasets: e.ats(list...)}))
		assert.Equal(e, []string{"", "a"}, e.names(zfs.Query{Roots: []string{e.root}, Depth: -1}))
	}},
}

// A destroyed BE whose clones live on: what they need is promoted first.
var destroyPromotedTests = []test{
	{"the clone takes the snapshots along", func(e *env) {
		e.create("a", "a/x")
		e.write("a", "one")
		e.snapshot("a@1", "a/x@1")
		e.snapshot("a@2")
		e.clone("a@2", "b", "a/x@1", "b/x")
		require.NoError(e, e.destroy(zfs.Removal{
			Promote:  e.ats("b", "b/x"),
			Datasets: e.ats("a/x", "b@1", "a"),
			Then:     []zfs.Change{{Dataset: e.at("b@2"), Set: zfs.Props{"test:was": "a@2"}}},
		}))
		assert.Equal(e, []string{"", "b", "b@2", "b/x", "b/x@1"},
			e.names(zfs.Query{Roots: []string{e.root}, Depth: -1, Kinds: every}))
		assert.Equal(e, "one", e.read("b"))
		assert.Equal(e, "-", e.value("b", "origin"))
		assert.Equal(e, "a@2", e.value("b@2", "test:was"))
	}},
	{"a chain", func(e *env) {
		e.create("a")
		e.snapshot("a@1")
		e.clone("a@1", "b")
		e.snapshot("b@2")
		e.clone("b@2", "c")
		require.NoError(e, e.destroy(zfs.Removal{Promote: e.ats("c", "c"), Datasets: e.ats("b", "a")}))
		assert.Equal(e, []string{"", "c", "c@1", "c@2"}, e.names(zfs.Query{Roots: []string{e.root}, Depth: -1, Kinds: every}))
	}},
	{"refused after the promotions", func(e *env) {
		e.create("a", "x", "busy")
		e.snapshot("a@1")
		e.snapshot("a@2")
		e.clone("a@2", "b", "a@1", "c")
		e.snapshot("b@3")
		e.clone("b@3", "d")
		e.Mount(e.T, e.at("busy"))
		e.inOneGo(func() {
			for _, c := range []struct {
				promote, list []string
				want          zfs.Reason
			}{
				{e.ats("b"), e.ats("x", "b@2", "a"), zfs.Dependents},         // a is a clone of b@2 now
				{e.ats("b"), e.ats("x", "a", "b@1"), zfs.Dependents},         // c hangs on b@1
				{e.ats("b"), e.ats("x", "a", "a@2"), zfs.NotFound},           // it is b@2 by then
				{e.ats("d", "d", "b"), e.ats("x", "a", "no"), zfs.NotFound},  // three steps to go back
				{e.ats("b", "a"), e.ats("x", "b", "a"), zfs.Dependents},      // promoted there and back
				{e.ats("b", "x"), e.ats("a"), zfs.Unknown},                   // x is no clone
				{e.ats("b", "no"), e.ats("a"), zfs.NotFound},                 // no such clone
				{e.ats("c", "b"), e.ats("x", "a", "busy"), zfs.Busy},         // mounted
				{e.ats("d", "b", "c"), e.ats("x", "a", "b"), zfs.Dependents}, // d's origin
			} {
				e.refused(c.want, func() error { return e.destroy(zfs.Removal{Promote: c.promote, Datasets: c.list}) })
			}
		})
		e.Unmount(e.T, e.at("busy"))
	}},
	{"names that clash", func(e *env) {
		e.create("a")
		e.snapshot("a@0")
		e.snapshot("a@1")
		e.clone("a@1", "b", "a@0", "c")
		e.snapshot("b@1")
		r := zfs.Removal{Promote: e.ats("c", "b"), Datasets: e.ats("a")}
		e.refused(zfs.Exists, func() error { return e.destroy(r) })
		assert.ErrorContains(e, e.destroy(r), e.at("b@1"))
		// A snapshot made after the origin stays behind and may be called so.
		e.clone("a@1", "d")
		e.snapshot("a@later")
		e.snapshot("d@later")
		require.NoError(e, e.destroy(zfs.Removal{Promote: e.ats("d")}))
		assert.Equal(e, []string{"d", "d@0", "d@1", "d@later"}, e.names(zfs.Query{Roots: e.ats("d"), Depth: -1, Kinds: every}))
	}},
}

var rollbackTests = []test{
	{"to the newest", func(e *env) {
		e.create("a", "a/b")
		e.write("a", "one")
		e.write("a/b", "one")
		e.snapshot("a@s", "a/b@t")
		e.write("a", "two")
		e.write("a/b", "two")
		require.NoError(e, e.ZFS.Rollback(e.ctx, e.ats("a@s", "a/b@t"), nil))
		assert.Equal(e, "one", e.read("a"))
		assert.Equal(e, "one", e.read("a/b"))
		assert.NoError(e, e.ZFS.Rollback(e.ctx, nil, nil))
	}},
	{"newer ones go first", func(e *env) {
		e.create("a", "b")
		e.write("a", "one")
		e.snapshot("a@1", "b@1")
		e.write("a", "two")
		e.snapshot("a@2")
		e.snapshot("a@3")
		roll := func(destroy ...string) func() error {
			return func() error { return e.ZFS.Rollback(e.ctx, e.ats("b@1", "a@1"), e.ats(destroy...)) }
		}
		e.refused(zfs.Dependents, roll())
		e.refused(zfs.Dependents, roll("a@3"))
		e.refused(zfs.Dependents, roll("a@2"))
		e.refused(zfs.NotFound, roll("a@2", "a@3", "a@no"))
		e.refused(zfs.NotFound, roll("a@2", "a@3", "a@1"))
		e.refused(zfs.NotFound, roll("a@2", "a@2", "a@3"))
		e.clone("a@2", "c")
		e.refused(zfs.Dependents, roll("a@3", "a@2"))
		require.NoError(e, e.destroy(zfs.Removal{Datasets: e.ats("c")}))
		e.Hold(e.T, e.at("a@3"))
		e.refused(zfs.Busy, roll("a@2", "a@3"))
		e.Release(e.T, e.at("a@3"))
		require.NoError(e, roll("a@2", "a@3")())
		assert.Equal(e, "one", e.read("a"))
		assert.Equal(e, []string{"a", "a@1"}, e.names(zfs.Query{Roots: e.ats("a"), Depth: -1, Kinds: every}))
	}},
	{"mounted", func(e *env) {
		e.create("a", "b")
		e.snapshot("a@s", "b@s")
		e.snapshot("a@t")
		e.Mount(e.T, e.at("b"))
		e.refused(zfs.Busy, func() error { return e.ZFS.Rollback(e.ctx, e.ats("a@s", "b@s"), e.ats("a@t")) })
		e.Unmount(e.T, e.at("b"))
	}},
	{"refused", func(e *env) {
		e.create("a", "b")
		e.snapshot("a@s")
		e.refused(zfs.NotFound, func() error { return e.ZFS.Rollback(e.ctx, e.ats("a@s", "b@s"), nil) })
		e.refused(zfs.NotFound, func() error { return e.ZFS.Rollback(e.ctx, e.ats("a@s", "no@s"), nil) })
		e.refused(zfs.Unknown, func() error { return e.ZFS.Rollback(e.ctx, e.ats("a"), nil) })
		e.refused(zfs.Unknown, func() error { return e.ZFS.Rollback(e.ctx, e.ats("a@s"), e.ats("b")) })
		e.refused(zfs.Unknown, func() error {
			return e.ZFS.Rollback(e.ctx, []string{e.at("a@s"), "snapbe-other/a@s"}, nil)
		})
	}},
	{"clones of the target stay", func(e *env) {
		e.create("a")
		e.write("a", "one")
		e.snapshot("a@s")
		e.clone("a@s", "b")
		e.write("a", "two")
		e.write("b", "three")
		require.NoError(e, e.ZFS.Rollback(e.ctx, e.ats("a@s"), nil))
		assert.Equal(e, "one", e.read("a"))
		assert.Equal(e, "three", e.read("b"))
	}},
}
