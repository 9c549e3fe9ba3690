package zfstest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/zfs"
)

var getTests = []test{
	{"depth and order", func(e *env) {
		e.create("b", "a", "a-c", "a/x", "a/x/y")
		e.snapshot("a@2")
		e.snapshot("a@1", "a/x@1")
		roots := []string{e.root}
		a := e.ats("a")
		both := []zfs.Kind{zfs.Filesystem, zfs.Snapshot}
		snap := []zfs.Kind{zfs.Snapshot}
		for _, c := range []struct {
			q    zfs.Query
			want []string
		}{
			{zfs.Query{Roots: roots}, []string{""}},
			{zfs.Query{Roots: roots, Depth: 1}, []string{"", "a", "a-c", "b"}},
			{zfs.Query{Roots: roots, Depth: 2}, []string{"", "a", "a-c", "a/x", "b"}},
			{zfs.Query{Roots: roots, Depth: -1}, []string{"", "a", "a-c", "a/x", "a/x/y", "b"}},
			{zfs.Query{Roots: a, Kinds: both}, []string{"a"}},
			{zfs.Query{Roots: a, Kinds: both, Depth: 1}, []string{"a", "a@2", "a@1", "a/x"}},
			{zfs.Query{Roots: a, Kinds: both, Depth: 2}, []string{"a", "a@2", "a@1", "a/x", "a/x@1", "a/x/y"}},
			{zfs.Query{Roots: a, Kinds: snap}, []string{}},
			{zfs.Query{Roots: a, Kinds: snap, Depth: 1}, []string{"a@2", "a@1"}},
			{zfs.Query{Roots: a, Kinds: snap, Depth: -1}, []string{"a@2", "a@1", "a/x@1"}},
			{zfs.Query{Roots: e.ats("a@1"), Kinds: snap}, []string{"a@1"}},
			{zfs.Query{Roots: e.ats("a@1"), Kinds: snap, Depth: -1}, []string{"a@1"}},
			{zfs.Query{Roots: e.ats("a@1"), Kinds: both, Depth: 1}, []string{"a@1"}},
			{zfs.Query{Roots: e.ats("a@1")}, []string{}},
			{zfs.Query{Roots: e.ats("b", "a@1", "a"), Kinds: both}, []string{"a", "a@1", "b"}},
			{zfs.Query{Roots: e.ats("b", "a/x", "a"), Depth: 1}, []string{"a", "a/x", "a/x/y", "b"}},
			{zfs.Query{Roots: e.ats("a", "a"), Depth: 0}, []string{"a"}},
		} {
			assert.Equal(e, c.want, e.names(c.q), "%+v", c.q)
		}
	}},
	{"siblings that sort between", func(e *env) {
		// "-" and "." come before "/" in ASCII.
		e.create("a", "a/x", "a-1", "a.1", "a0")
		all := e.names(zfs.Query{Roots: []string{e.root}, Depth: -1})
		assert.ElementsMatch(e, []string{"", "a", "a-1", "a.1", "a/x", "a0"}, all)
		assert.Less(e, slices.Index(all, "a"), slices.Index(all, "a/x"))
	}},
	{"creation within one second", func(e *env) {
		var want []string
		e.create("a")
		for i := range 12 {
			name := fmt.Sprintf("a@%x", (i*7+5)%12)
			e.snapshot(name)
			want = append(want, name)
		}
		assert.Equal(e, want, e.names(zfs.Query{Roots: e.ats("a"), Depth: 1, Kinds: []zfs.Kind{zfs.Snapshot}}))
	}},
	{"volumes", func(e *env) {
		e.create("a")
		e.Volume(e.T, e.at("a/v"))
		e.snapshot("a/v@s")
		v := e.one("a/v", "type", "canmount", "mountpoint")
		assert.Equal(e, zfs.Volume, v.Kind)
		assert.Equal(e, zfs.Property{Value: "-", Source: zfs.SourceNone}, v.Props["canmount"])
		assert.Equal(e, zfs.Property{Value: "-", Source: zfs.SourceNone}, v.Props["mountpoint"])
		fs := []zfs.Kind{zfs.Filesystem}
		assert.Equal(e, []string{"a"}, e.names(zfs.Query{Roots: e.ats("a"), Depth: -1, Kinds: fs}))
		assert.Equal(e, []string{}, e.names(zfs.Query{Roots: e.ats("a/v"), Kinds: fs}))
		assert.Equal(e, []string{"a", "a/v"}, e.names(zfs.Query{Roots: e.ats("a"), Depth: -1}))
		assert.Equal(e, []string{"a/v", "a/v@s"}, e.names(zfs.Query{Roots: e.ats("a/v"), Depth: 1, Kinds: every}))
		require.NoError(e, e.ZFS.Clone(e.ctx, []zfs.Clone{{Snapshot: e.at("a/v@s"), Target: e.at("a/w")}}))
		assert.Equal(e, zfs.Volume, e.one("a/w").Kind)
		require.NoError(e, e.ZFS.Rename(e.ctx, e.at("a/w"), e.at("a/u")))
		assert.Equal(e, e.at("a/v@s"), e.value("a/u", "origin"))
		// The host opens a new volume for a moment, to see what is on it.
		removal := zfs.Removal{Datasets: e.ats("a/u", "a/v@s", "a/v")}
		require.Eventually(e, func() bool { return e.destroy(removal) == nil }, time.Minute, time.Second)
		assert.Equal(e, []string{"a"}, e.names(zfs.Query{Roots: e.ats("a"), Depth: -1, Kinds: every}))
	}},
	{"every pool", func(e *env) {
		var tops []string
		for _, d := range e.get(zfs.Query{Props: []string{"type"}}) {
			tops = append(tops, d.Name)
		}
		assert.Contains(e, tops, e.Pool)
		assert.NotContains(e, tops, e.root)
		var all []string
		for _, d := range e.get(zfs.Query{Depth: -1, Props: []string{"type"}}) {
			all = append(all, d.Name)
		}
		assert.Contains(e, all, e.root)
	}},
	{"not there", func(e *env) {
		e.create("a")
		for _, name := range []string{
			e.at("no"), e.at("a@no"), e.at("no@no"), e.at("no/no/no"),
			"snapbe-no-such-pool", "snapbe-no-such-pool/a", "-r", "--help", "/etc", "./a", "", "@", "a b c|d",
		} {
			_, err := e.ZFS.Get(e.ctx, zfs.Query{Roots: []string{e.at("a"), name}, Depth: -1, Kinds: every, Props: []string{"type"}})
			e.refuses(zfs.NotFound, err)
			var refusal *zfs.Error
			require.ErrorAs(e, err, &refusal)
			assert.Equal(e, name, refusal.Name)
		}
	}},
	{"a property that is none", func(e *env) {
		for _, prop := range []string{"nosuchproperty", "-r", "User:upper", ""} {
			_, err := e.ZFS.Get(e.ctx, zfs.Query{Roots: []string{e.root}, Props: []string{prop}})
			e.refuses(zfs.Unknown, err)
		}
	}},
	{"sixty datasets", func(e *env) {
		want := e.many("d", 60)
		assert.Equal(e, append([]string{"", "a"}, want...), e.names(zfs.Query{Roots: []string{e.root}, Depth: 1}))
	}},
}

var sourceTests = []test{
	{"local, inherited, default, none", func(e *env) {
		e.create("a", "a/b", "a/b/c")
		e.set("a", "readonly", "on")
		e.set("a", "test:user", "x")
		e.set("a/b/c", "readonly", "off")
		e.snapshot("a/b@s")
		a, b, c := e.one("a", "readonly", "test:user", "exec", "guid"), e.one("a/b", "readonly", "test:user"), e.one("a/b/c", "readonly")
		assert.Equal(e, zfs.Property{Value: "on", Source: zfs.SourceLocal}, a.Props["readonly"])
		assert.Equal(e, zfs.Property{Value: "x", Source: zfs.SourceLocal}, a.Props["test:user"])
		assert.Equal(e, zfs.Property{Value: "on", Source: zfs.SourceDefault}, a.Props["exec"])
		assert.Equal(e, zfs.SourceNone, a.Props["guid"].Source)
		assert.Equal(e, zfs.Property{Value: "on", Source: e.at("a")}, b.Props["readonly"])
		assert.Equal(e, zfs.Property{Value: "x", Source: e.at("a")}, b.Props["test:user"])
		assert.Equal(e, zfs.Property{Value: "off", Source: zfs.SourceLocal}, c.Props["readonly"])
		s := e.one("a/b@s", "test:user", "readonly", "mounted", "canmount")
		assert.Equal(e, zfs.Property{Value: "x", Source: e.at("a")}, s.Props["test:user"])
		for _, prop := range []string{"readonly", "mounted", "canmount"} {
			assert.Equal(e, zfs.Property{Value: "-", Source: zfs.SourceNone}, s.Props[prop], prop)
		}
	}},
	{"mountpoints", func(e *env) {
		e.create("a", "a/b", "a/b/c")
		assert.Equal(e, zfs.Property{Value: "none", Source: e.Pool}, e.one("a", "mountpoint").Props["mountpoint"])
		e.set("a", "mountpoint", "/snapbe-test")
		assert.Equal(e, zfs.Property{Value: "/snapbe-test/b/c", Source: e.at("a")}, e.one("a/b/c", "mountpoint").Props["mountpoint"])
		e.set("a", "mountpoint", "/")
		assert.Equal(e, zfs.Property{Value: "/b/c", Source: e.at("a")}, e.one("a/b/c", "mountpoint").Props["mountpoint"])
		e.set("a/b", "mountpoint", "legacy")
		assert.Equal(e, zfs.Property{Value: "legacy", Source: e.at("a/b")}, e.one("a/b/c", "mountpoint").Props["mountpoint"])
	}},
	{"unset user properties are absent", func(e *env) {
		e.create("a")
		d := e.one("a", "test:no", "origin", "test:no2")
		assert.NotContains(e, d.Props, "test:no")
		assert.NotContains(e, d.Props, "test:no2")
		assert.Equal(e, "-", d.Props["origin"].Value)
		assert.Len(e, d.Props, 1)
	}},
	{"received", func(e *env) {
		e.create("a")
		e.Receive(e.T, e.at("a/r"), "test:r", "from afar")
		e.create("a/r/c")
		assert.Equal(e, zfs.Property{Value: "from afar", Source: zfs.SourceReceived}, e.one("a/r", "test:r").Props["test:r"])
		assert.Equal(e, zfs.Property{Value: "from afar", Source: e.at("a/r")}, e.one("a/r/c", "test:r").Props["test:r"])
		assert.Equal(e, "from afar", e.one("a/r", "test:r").Local("test:r"))
		assert.Contains(e, e.get(zfs.Query{Roots: e.ats("a/r")})[0].Props, "test:r")
		e.change(zfs.Change{Dataset: e.at("a/r"), Inherit: []string{"test:r"}})
		assert.NotContains(e, e.one("a/r", "test:r").Props, "test:r")
	}},
	{"all that is local", func(e *env) {
		e.create("a", "a/b")
		e.set("a", "test:above", "x")
		e.change(zfs.Change{Dataset: e.at("a/b"), Set: zfs.Props{"readonly": "on", "test:lines": "1\n2\tlocal\n3", "test:z": "-"}})
		e.snapshot("a/b@s")
		e.set("a/b@s", "test:snap", "y")
		all := e.get(zfs.Query{Roots: e.ats("a/b"), Depth: 1, Kinds: every})
		require.Len(e, all, 2)
		assert.Equal(e, zfs.Filesystem, all[0].Kind)
		assert.Equal(e, map[string]zfs.Property{
			"canmount":   {Value: "noauto", Source: zfs.SourceLocal},
			"readonly":   {Value: "on", Source: zfs.SourceLocal},
			"test:lines": {Value: "1\n2\tlocal\n3", Source: zfs.SourceLocal},
			"test:z":     {Value: "-", Source: zfs.SourceLocal},
		}, all[0].Props)
		assert.Equal(e, zfs.Snapshot, all[1].Kind)
		assert.Equal(e, map[string]zfs.Property{"test:snap": {Value: "y", Source: zfs.SourceLocal}}, all[1].Props)
	}},
	{"every native property", func(e *env) {
		e.create("a")
		e.snapshot("a@s")
		e.clone("a@s", "b")
		props := []string{
			"name", "type", "creation", "createtxg", "guid", "used", "available", "referenced", "logicalreferenced",
			"usedbysnapshots", "usedbydataset", "usedbychildren", "usedbyrefreservation", "origin", "clones", "mounted",
			"mountpoint", "canmount", "compression", "readonly", "written", "defer_destroy", "userrefs",
		}
		for _, name := range []string{"a", "a@s", "b"} {
			d := e.one(name, props...)
			assert.Len(e, d.Props, len(props), name)
			assert.Equal(e, e.at(name), d.Props["name"].Value)
			assert.Equal(e, string(d.Kind), d.Props["type"].Value)
			for _, prop := range []string{"creation", "createtxg", "guid", "used", "referenced", "logicalreferenced", "written"} {
				assert.Regexp(e, `^[0-9]+$`, d.Props[prop].Value, "%s of %s", prop, name)
			}
		}
		assert.Equal(e, e.at("b"), e.value("a@s", "clones"))
		assert.Equal(e, e.at("a@s"), e.value("b", "origin"))
		assert.Equal(e, "-", e.value("a", "origin"))
		assert.Equal(e, "no", e.value("b", "mounted"))
		assert.Equal(e, "0", e.value("a@s", "userrefs"))
		assert.Equal(e, "off", e.value("a@s", "defer_destroy"))
		for _, prop := range []string{"clones", "userrefs", "defer_destroy"} {
			assert.Equal(e, "-", e.value("a", prop), prop)
		}
		e.clone("a@s", "c")
		assert.ElementsMatch(e, e.ats("b", "c"), strings.Split(e.value("a@s", "clones"), ","))
	}},
}

var valueTests = []test{
	{"hostile ones come back as they are", func(e *env) {
		props := zfs.Props{}
		want := map[string]zfs.Property{}
		var order []string
		for i, h := range hostile {
			prop := fmt.Sprintf("test:%02d", i)
			props[prop] = h
			want[prop] = zfs.Property{Value: h, Source: zfs.SourceLocal}
			order = append(order, prop)
		}
		e.create("b", "c")
		require.NoError(e, e.ZFS.Create(e.ctx, e.at("a"), props))
		require.NoError(e, e.ZFS.Snapshot(e.ctx, e.ats("b@s"), props))
		require.NoError(e, e.ZFS.Clone(e.ctx, []zfs.Clone{e.cloneOf("b@s", "a/d", props)}))
		e.change(zfs.Change{Dataset: e.at("b"), Set: props})
		e.change(zfs.Change{Dataset: e.at("c"), Set: props}, zfs.Change{Dataset: e.at("c"), Inherit: []string{"test:none"}})
		require.NoError(e, e.ZFS.Snapshot(e.ctx, e.ats("a@inherits"), nil))
		q := zfs.Query{Roots: []string{e.root}, Depth: -1, Kinds: every}
		for range 2 {
			slices.Reverse(order)
			q.Props = order
			for _, d := range e.get(q)[1:] {
				if d.Name == e.at("a@inherits") {
					for _, prop := range order {
						assert.Equal(e, zfs.Property{Value: props[prop], Source: e.at("a")}, d.Props[prop])
					}
					continue
				}
				assert.Equal(e, want, d.Props, d.Name)
			}
		}
		q.Props = nil
		for _, d := range e.get(q) {
			for prop, p := range d.Props {
				if strings.HasPrefix(prop, "test:") {
					assert.Equal(e, want[prop], p, "%s of %s", prop, d.Name)
				}
			}
		}
	}},
	{"hostile ones commit with a removal", func(e *env) {
		e.create("a", "b")
		set := zfs.Props{}
		for i, h := range hostile {
			set[fmt.Sprintf("test:%02d", i)] = h
		}
		require.NoError(e, e.destroy(zfs.Removal{Datasets: e.ats("a"), Then: []zfs.Change{{Dataset: e.at("b"), Set: set}}}))
		for prop, p := range e.get(zfs.Query{Roots: e.ats("b")})[0].Props {
			if prop != "canmount" {
				assert.Equal(e, set[prop], p.Value)
			}
		}
	}},
}
