package zfstest

import (
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/zfs"
)

var setTests = []test{
	{"several at once", func(e *env) {
		e.create("a", "b")
		e.snapshot("a@s")
		e.change(zfs.Change{Dataset: e.at("a"), Set: zfs.Props{"test:1": "x", "test:2": "y"}})
		e.change(
			zfs.Change{Dataset: e.at("a"), Set: zfs.Props{"test:3": "z"}, Inherit: []string{"test:1", "test:unset"}},
			zfs.Change{Dataset: e.at("b"), Set: zfs.Props{"test:4": "w"}},
			zfs.Change{Dataset: e.at("a@s"), Set: zfs.Props{"test:5": "v"}},
		)
		d := e.one("a", "test:1", "test:2", "test:3", "test:unset")
		assert.NotContains(e, d.Props, "test:1")
		assert.NotContains(e, d.Props, "test:unset")
		assert.Equal(e, "y", d.Local("test:2"))
		assert.Equal(e, "z", d.Local("test:3"))
		assert.Equal(e, "w", e.one("b", "test:4").Local("test:4"))
		assert.Equal(e, "v", e.one("a@s", "test:5").Local("test:5"))
		e.change(zfs.Change{Dataset: e.at("a@s"), Inherit: []string{"test:5"}})
		assert.NotContains(e, e.one("a@s", "test:5").Props, "test:5")
		assert.NoError(e, e.ZFS.Set(e.ctx, nil))
	}},
	{"all or none of user properties", func(e *env) {
		e.create("a", "b")
		e.set("a", "test:old", "1")
		long := strings.Repeat("x", 9000)
		ok := zfs.Change{Dataset: e.at("a"), Set: zfs.Props{"test:new": "2"}, Inherit: []string{"test:old"}}
		e.inOneGo(func() {
			for _, c := range []struct {
				bad  zfs.Change
				want zfs.Reason
			}{
				{zfs.Change{Dataset: e.at("no"), Set: zfs.Props{"test:new": "2"}}, zfs.NotFound},
				{zfs.Change{Dataset: e.at("a@no"), Inherit: []string{"test:new"}}, zfs.NotFound},
				{zfs.Change{Dataset: e.at("b"), Set: zfs.Props{"test:new": long}}, zfs.Unknown},
				{zfs.Change{Dataset: e.at("b"), Set: zfs.Props{"test:" + long[:300]: "x"}}, zfs.Unknown},
				{zfs.Change{Dataset: e.at("b"), Set: zfs.Props{"test:Upper": "x"}}, zfs.Unknown},
			} {
				e.refused(c.want, func() error { return e.ZFS.Set(e.ctx, []zfs.Change{ok, c.bad}) })
				e.refused(c.want, func() error { return e.ZFS.Set(e.ctx, []zfs.Change{c.bad, ok}) })
				e.refused(c.want, func() error { return e.ZFS.Set(e.ctx, []zfs.Change{c.bad}) })
			}
		})
	}},
	{"sixty datasets in one transaction group", func(e *env) {
		var changes []zfs.Change
		names := e.many("d", 60)
		for _, name := range names {
			changes = append(changes, zfs.Change{Dataset: e.at(name), Set: zfs.Props{
				"test:1": strings.Repeat("long ", 100), "test:2": name,
			}})
		}
		e.change(changes...)
		for _, d := range e.get(zfs.Query{Roots: e.ats(names...), Props: []string{"test:2"}}) {
			assert.Equal(e, d.Name, e.at(d.Local("test:2")))
		}
	}},
	{"native ones in the order given", func(e *env) {
		e.create("a", "b")
		bad := zfs.Change{Dataset: e.at("no"), Set: zfs.Props{"readonly": "on"}}
		err := e.ZFS.Set(e.ctx, []zfs.Change{
			{Dataset: e.at("a"), Set: zfs.Props{"readonly": "on", "test:a": "1"}}, bad,
			{Dataset: e.at("b"), Set: zfs.Props{"readonly": "on"}},
		})
		e.refuses(zfs.NotFound, err)
		assert.Equal(e, "on", e.value("a", "readonly"))
		assert.Equal(e, "1", e.value("a", "test:a"))
		assert.Equal(e, "off", e.value("b", "readonly"))
		e.change(zfs.Change{Dataset: e.at("a"), Inherit: []string{"readonly", "test:a"}})
		d := e.one("a", "readonly", "test:a")
		assert.Equal(e, zfs.Property{Value: "off", Source: zfs.SourceDefault}, d.Props["readonly"])
		assert.NotContains(e, d.Props, "test:a")
	}},
	{"mounts nothing", func(e *env) {
		dir := e.TempDir()
		e.create("a", "a/b")
		e.change(zfs.Change{Dataset: e.at("a"), Set: zfs.Props{"mountpoint": dir}})
		e.change(zfs.Change{Dataset: e.at("a"), Set: zfs.Props{"canmount": "on"}})
		e.change(zfs.Change{Dataset: e.at("a"), Set: zfs.Props{"mountpoint": dir + "/x"}})
		assert.Equal(e, "no", e.value("a", "mounted"))
		assert.Equal(e, "no", e.value("a/b", "mounted"))
		e.change(zfs.Change{Dataset: e.at("a"), Set: zfs.Props{"canmount": "noauto"}, Inherit: []string{"mountpoint"}})
		assert.Equal(e, e.Pool, e.one("a", "mountpoint").Props["mountpoint"].Source)
	}},
	{"canmount of a mounted one", func(e *env) {
		e.create("a")
		e.Mount(e.T, e.at("a"))
		e.set("a", "canmount", "on")
		e.set("a", "canmount", "noauto")
		assert.Equal(e, "yes", e.value("a", "mounted"))
		e.Unmount(e.T, e.at("a"))
		assert.Equal(e, "no", e.value("a", "mounted"))
	}},
	{"refused", func(e *env) {
		e.create("a")
		e.snapshot("a@s")
		e.inOneGo(func() {
			for _, c := range []zfs.Change{
				{Dataset: e.at("a"), Set: zfs.Props{"nosuchproperty": "x"}},
				{Dataset: e.at("a"), Set: zfs.Props{"canmount": "perhaps"}},
				{Dataset: e.at("a"), Set: zfs.Props{"mountpoint": "relative"}},
				{Dataset: e.at("a"), Set: zfs.Props{"guid": "1"}},
				{Dataset: e.at("a"), Set: zfs.Props{"-u": "1"}},
				{Dataset: e.at("a@s"), Set: zfs.Props{"readonly": "on"}},
				{Dataset: e.at("a"), Inherit: []string{"canmount"}},
				{Dataset: e.at("a"), Inherit: []string{"guid"}},
				{Dataset: e.at("a"), Inherit: []string{"-r"}},
			} {
				e.refused(zfs.Unknown, func() error { return e.ZFS.Set(e.ctx, []zfs.Change{c}) })
			}
		})
	}},
}

var promoteTests = []test{
	{"snapshots up to the origin move", func(e *env) {
		e.create("a")
		e.write("a", "one")
		e.snapshot("a@1")
		e.snapshot("a@2")
		e.clone("a@2", "b", "a@1", "c", "a@2", "d")
		e.snapshot("a@3")
		e.snapshot("b@own")
		guid := e.value("a@1", "guid")
		require.NoError(e, e.ZFS.Promote(e.ctx, e.at("b")))
		assert.Equal(e, []string{"", "a", "a@3", "b", "b@1", "b@2", "b@own", "c", "d"},
			e.names(zfs.Query{Roots: []string{e.root}, Depth: -1, Kinds: every}))
		assert.Equal(e, guid, e.value("b@1", "guid"))
		assert.Equal(e, "-", e.value("b", "origin"))
		assert.Equal(e, e.at("b@2"), e.value("a", "origin"))
		assert.Equal(e, e.at("b@1"), e.value("c", "origin"))
		assert.Equal(e, e.at("b@2"), e.value("d", "origin"))
		assert.ElementsMatch(e, e.ats("a", "d"), strings.Split(e.value("b@2", "clones"), ","))
		assert.Equal(e, "one", e.read("b"))
	}},
	{"a clone of a clone", func(e *env) {
		e.create("a")
		e.snapshot("a@1")
		e.clone("a@1", "b")
		e.snapshot("b@2")
		e.clone("b@2", "c")
		require.NoError(e, e.ZFS.Promote(e.ctx, e.at("c")))
		assert.Equal(e, e.at("c@2"), e.value("b", "origin"))
		assert.Equal(e, e.at("a@1"), e.value("c", "origin"))
		require.NoError(e, e.ZFS.Promote(e.ctx, e.at("c")))
		assert.Equal(e, e.at("c@1"), e.value("a", "origin"))
		assert.Equal(e, "-", e.value("c", "origin"))
	}},
	{"refused", func(e *env) {
		e.create("a")
		e.snapshot("a@1")
		e.clone("a@1", "b")
		e.snapshot("b@1")
		e.refused(zfs.Exists, func() error { return e.ZFS.Promote(e.ctx, e.at("b")) })
		e.refused(zfs.Unknown, func() error { return e.ZFS.Promote(e.ctx, e.at("a")) })
		e.refused(zfs.Unknown, func() error { return e.ZFS.Promote(e.ctx, e.at("a@1")) })
		e.refused(zfs.NotFound, func() error { return e.ZFS.Promote(e.ctx, e.at("no")) })
	}},
}

var renameTests = []test{
	{"children, snapshots and origins follow", func(e *env) {
		e.create("a", "a/b", "p")
		e.write("a/b", "one")
		e.snapshot("a@s", "a/b@s")
		e.clone("a@s", "n", "a/b@s", "n/b")
		require.NoError(e, e.ZFS.Rename(e.ctx, e.at("a"), e.at("p/c")))
		assert.Equal(e, []string{"", "n", "n/b", "p", "p/c", "p/c@s", "p/c/b", "p/c/b@s"},
			e.names(zfs.Query{Roots: []string{e.root}, Depth: -1, Kinds: every}))
		assert.Equal(e, e.at("p/c/b@s"), e.value("n/b", "origin"))
		assert.Equal(e, e.at("n/b"), e.value("p/c/b@s", "clones"))
		assert.Equal(e, "one", e.read("p/c/b"))
		require.NoError(e, e.ZFS.Rename(e.ctx, e.at("n"), e.at("m")))
		assert.Equal(e, e.at("p/c/b@s"), e.value("m/b", "origin"))
	}},
	{"a snapshot", func(e *env) {
		e.create("a")
		e.snapshot("a@s")
		e.clone("a@s", "b")
		require.NoError(e, e.ZFS.Rename(e.ctx, e.at("a@s"), e.at("a@t")))
		assert.Equal(e, e.at("a@t"), e.value("b", "origin"))
	}},
	{"mounts nothing", func(e *env) {
		dir := e.TempDir()
		e.create("p")
		require.NoError(e, e.ZFS.Create(e.ctx, e.at("a"), zfs.Props{"mountpoint": dir, "canmount": "on"}))
		require.NoError(e, e.ZFS.Rename(e.ctx, e.at("a"), e.at("p/b")))
		assert.Equal(e, "no", e.value("p/b", "mounted"))
		e.set("p/b", "canmount", "noauto")
	}},
	{"while mounted", func(e *env) {
		e.create("a")
		e.Mount(e.T, e.at("a"))
		require.NoError(e, e.ZFS.Rename(e.ctx, e.at("a"), e.at("b")))
		assert.Equal(e, "yes", e.value("b", "mounted"))
		e.Unmount(e.T, e.at("b"))
	}},
	{"refused", func(e *env) {
		e.create("a", "b")
		e.snapshot("a@s", "b@s")
		e.snapshot("a@t")
		e.inOneGo(func() {
			for _, c := range []struct {
				from, to string
				want     zfs.Reason
			}{
				{"a", "b", zfs.Exists},
				{"no", "c", zfs.NotFound},
				{"a", "no/c", zfs.NotFound},
				{"a", "a/c", zfs.Unknown},
				{"a@s", "a@t", zfs.Exists},
				{"a@s", "b@u", zfs.Unknown},
				{"a@no", "a@u", zfs.NotFound},
				{"a", "c@s", zfs.Unknown},
			} {
				e.refused(c.want, func() error { return e.ZFS.Rename(e.ctx, e.at(c.from), e.at(c.to)) })
			}
		})
		e.refused(zfs.NotFound, func() error { return e.ZFS.Rename(e.ctx, e.at("a"), "snapbe-no-such-pool/a") })
	}},
}
