package zfstest

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/zfs"
)

var snapshotTests = []test{
	{"one transaction group", func(e *env) {
		e.create("a", "a/b", "c")
		require.NoError(e, e.ZFS.Snapshot(e.ctx, e.ats("a@s", "a/b@s", "c@t"), zfs.Props{"test:op": "1"}))
		txg := e.value("a@s", "createtxg")
		assert.Equal(e, txg, e.value("a/b@s", "createtxg"))
		assert.Equal(e, txg, e.value("c@t", "createtxg"))
		for _, name := range []string{"a@s", "a/b@s", "c@t"} {
			assert.Equal(e, "1", e.one(name, "test:op").Local("test:op"), name)
		}
	}},
	{"none where one is there", func(e *env) {
		e.create("a", "b")
		e.snapshot("b@s")
		e.refused(zfs.Exists, func() error { return e.ZFS.Snapshot(e.ctx, e.ats("a@s", "b@s"), nil) })
	}},
	{"none where a filesystem is not", func(e *env) {
		e.create("a")
		e.refused(zfs.NotFound, func() error { return e.ZFS.Snapshot(e.ctx, e.ats("a@s", "no@s"), nil) })
	}},
	{"none in another pool", func(e *env) {
		e.create("a")
		e.refused(zfs.NotFound, func() error {
			return e.ZFS.Snapshot(e.ctx, []string{"snapbe-no-such-pool@s"}, nil)
		})
	}},
	{"names that are none", func(e *env) {
		e.create("a")
		e.inOneGo(func() {
			for _, name := range []string{"a", "a@", "a@b@c", "a@b/c"} {
				e.refused(zfs.Unknown, func() error { return e.ZFS.Snapshot(e.ctx, e.ats(name), nil) })
			}
		})
	}},
	{"native properties", func(e *env) {
		e.create("a")
		e.refused(zfs.Unknown, func() error {
			return e.ZFS.Snapshot(e.ctx, e.ats("a@s"), zfs.Props{"readonly": "on"})
		})
	}},
	{"of nothing", func(e *env) { assert.NoError(e, e.ZFS.Snapshot(e.ctx, nil, nil)) }},
	{"keeps content", func(e *env) {
		e.create("a")
		e.write("a", "one")
		e.snapshot("a@s")
		e.write("a", "two")
		e.clone("a@s", "b")
		assert.Equal(e, "two", e.read("a"))
		assert.Equal(e, "one", e.read("b"))
	}},
	{"while mounted", func(e *env) {
		e.create("a")
		e.Mount(e.T, e.at("a"))
		assert.Equal(e, "yes", e.value("a", "mounted"))
		e.snapshot("a@s")
		e.Unmount(e.T, e.at("a"))
		assert.Equal(e, "no", e.value("a", "mounted"))
	}},
}

var cloneTests = []test{
	{"parents before children", func(e *env) {
		e.create("a", "a/b", "a/b/c", "z")
		e.snapshot("a@s", "a/b@s", "a/b/c@s", "z@s")
		e.clone("a/b/c@s", "n/b/c", "z@s", "z/n", "a/b@s", "n/b", "a@s", "n")
		assert.Equal(e, e.at("a@s"), e.value("n", "origin"))
		assert.Equal(e, e.at("a/b@s"), e.value("n/b", "origin"))
		assert.Equal(e, e.at("a/b/c@s"), e.value("n/b/c", "origin"))
		assert.Equal(e, e.at("z@s"), e.value("z/n", "origin"))
	}},
	{"properties are the clone's own", func(e *env) {
		e.create("a", "p")
		e.set("a", "test:a", "of the origin")
		e.set("p", "test:p", "of the parent")
		e.snapshot("a@s")
		require.NoError(e, e.ZFS.Clone(e.ctx, []zfs.Clone{e.cloneOf("a@s", "p/n", zfs.Props{
			"mountpoint": "/", "readonly": "on", "test:n": "own",
		})}))
		d := e.one("p/n", "canmount", "mountpoint", "readonly", "test:n", "test:p", "test:a", "mounted")
		for prop, want := range map[string]string{"canmount": "noauto", "mountpoint": "/", "readonly": "on", "test:n": "own"} {
			assert.Equal(e, zfs.Property{Value: want, Source: zfs.SourceLocal}, d.Props[prop], prop)
		}
		assert.Equal(e, zfs.Property{Value: "of the parent", Source: e.at("p")}, d.Props["test:p"])
		assert.NotContains(e, d.Props, "test:a")
		assert.Equal(e, "no", d.Props["mounted"].Value)
	}},
	{"thirty nested", func(e *env) {
		names := e.nested(30)
		assert.Equal(e, names, e.names(zfs.Query{Roots: e.ats("d"), Depth: -1}))
	}},
	{"refused", func(e *env) {
		e.create("a", "b")
		e.snapshot("a@s")
		e.inOneGo(func() {
			for _, c := range []struct {
				snapshot, target string
				want             zfs.Reason
			}{
				{"a@s", "b", zfs.Exists},
				{"a@no", "n", zfs.NotFound},
				{"no@s", "n", zfs.NotFound},
				{"a@s", "no/n", zfs.NotFound},
				{"a", "n", zfs.Unknown},
				{"a@s", "n|n", zfs.Unknown},
			} {
				e.refused(c.want, func() error {
					return e.ZFS.Clone(e.ctx, []zfs.Clone{e.cloneOf(c.snapshot, c.target, nil)})
				})
			}
		})
		e.refused(zfs.Unknown, func() error {
			return e.ZFS.Clone(e.ctx, []zfs.Clone{e.cloneOf("a@s", "n", zfs.Props{"nosuchproperty": "x"})})
		})
	}},
	{"of nothing", func(e *env) { assert.NoError(e, e.ZFS.Clone(e.ctx, nil)) }},
}

var createTests = []test{
	{"with properties", func(e *env) {
		require.NoError(e, e.ZFS.Create(e.ctx, e.at("a"), zfs.Props{"canmount": "off", "test:a": "b", "readonly": "on"}))
		d := e.one("a", "canmount", "test:a", "readonly")
		assert.Equal(e, "off", d.Local("canmount"))
		assert.Equal(e, "b", d.Local("test:a"))
		assert.Equal(e, "on", d.Local("readonly"))
	}},
	{"mounts nothing", func(e *env) {
		dir := e.TempDir()
		require.NoError(e, e.ZFS.Create(e.ctx, e.at("a"), zfs.Props{"canmount": "on", "mountpoint": dir}))
		assert.Equal(e, "no", e.value("a", "mounted"))
		e.set("a", "canmount", "noauto")
	}},
	{"refused", func(e *env) {
		e.create("a")
		e.inOneGo(func() {
			for name, want := range map[string]zfs.Reason{
				e.at("a"):               zfs.Exists,
				e.at("no/b"):            zfs.NotFound,
				e.at("b@c"):             zfs.Unknown,
				e.at("b//c"):            zfs.Unknown,
				"snapbe-no-such-pool/a": zfs.NotFound,
				"-o":                    zfs.Unknown,
			} {
				e.refused(want, func() error { return e.ZFS.Create(e.ctx, name, nil) })
			}
		})
		e.refused(zfs.Unknown, func() error { return e.ZFS.Create(e.ctx, e.at("b"), zfs.Props{"nosuchproperty": "x"}) })
		e.refused(zfs.Unknown, func() error { return e.ZFS.Create(e.ctx, e.at("b"), zfs.Props{"canmount": "perhaps"}) })
	}},
	{"names with spaces and dashes", func(e *env) {
		e.create("-rf", "a b", "a b/--", "x:y_z.1")
		e.snapshot("-rf@-r", "a b/--@ ")
		e.clone("-rf@-r", "-n")
		e.set("a b/--", "test:x", "y")
		assert.Equal(e, "y", e.value("a b/--", "test:x"))
		require.NoError(e, e.ZFS.Destroy(e.ctx, zfs.Removal{Datasets: e.ats("-n", "-rf@-r", "-rf")}))
	}},
}
