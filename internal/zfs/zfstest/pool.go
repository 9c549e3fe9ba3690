package zfstest

import (
	"slices"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/zfs"
)

var poolTests = []test{
	{"list", func(e *env) {
		pools, err := e.ZFS.Pools(e.ctx)
		require.NoError(e, err)
		assert.Contains(e, pools, e.Pool)
		assert.True(e, slices.IsSorted(pools))
	}},
	{"bootfs", func(e *env) {
		bootfs := func() zfs.Property {
			all, err := e.ZFS.PoolGet(e.ctx, e.Pool, []string{"health", "bootfs", "guid"})
			require.NoError(e, err)
			require.Len(e, all, 3)
			assert.Equal(e, zfs.Property{Value: "ONLINE", Source: zfs.SourceNone}, all["health"])
			return all["bootfs"]
		}
		e.create("a", "a/b")
		assert.Equal(e, zfs.Property{Value: "-", Source: zfs.SourceDefault}, bootfs())
		require.NoError(e, e.ZFS.PoolSet(e.ctx, e.Pool, "bootfs", e.at("a/b")))
		assert.Equal(e, zfs.Property{Value: e.at("a/b"), Source: zfs.SourceLocal}, bootfs())
		require.NoError(e, e.ZFS.Rename(e.ctx, e.at("a"), e.at("c")))
		assert.Equal(e, e.at("c/b"), bootfs().Value)
		e.refuses(zfs.NotFound, e.ZFS.PoolSet(e.ctx, e.Pool, "bootfs", e.at("no")))
		assert.Equal(e, e.at("c/b"), bootfs().Value)
		require.NoError(e, e.ZFS.PoolSet(e.ctx, e.Pool, "bootfs", ""))
		assert.Equal(e, zfs.Property{Value: "-", Source: zfs.SourceDefault}, bootfs())
		require.NoError(e, e.ZFS.PoolSet(e.ctx, e.Pool, "bootfs", e.at("c/b")))
		require.NoError(e, e.destroy(zfs.Removal{Datasets: e.ats("c/b")}))
		assert.Equal(e, "-", bootfs().Value)
	}},
	{"refused", func(e *env) {
		for _, pool := range []string{"snapbe-no-such-pool", "-H", ""} {
			_, err := e.ZFS.PoolGet(e.ctx, pool, []string{"bootfs"})
			e.refuses(zfs.NotFound, err)
			_, err = e.ZFS.Leaves(e.ctx, pool)
			e.refuses(zfs.NotFound, err)
			e.refuses(zfs.NotFound, e.ZFS.PoolSet(e.ctx, pool, "bootfs", ""))
		}
		_, err := e.ZFS.PoolGet(e.ctx, e.Pool, []string{"nosuchproperty"})
		e.refuses(zfs.Unknown, err)
		e.refuses(zfs.Unknown, e.ZFS.PoolSet(e.ctx, e.Pool, "nosuchproperty", "x"))
		e.refuses(zfs.Unknown, e.ZFS.PoolSet(e.ctx, e.Pool, "health", "x"))
	}},
	{"leaves", func(e *env) {
		leaves, err := e.ZFS.Leaves(e.ctx, e.Pool)
		require.NoError(e, err)
		require.Len(e, leaves, 2)
		for _, l := range leaves {
			assert.Equal(e, zfs.Leaf{Path: l.Path, State: "ONLINE", Mirror: "mirror-0"}, l)
			assert.Regexp(e, "^/", l.Path)
		}
		assert.NotEqual(e, leaves[0].Path, leaves[1].Path)
	}},
}
