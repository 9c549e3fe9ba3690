//go:build realzfs

package zfs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"snapbe/internal/command"
	"snapbe/internal/zfs"
)

// BenchmarkCreate is what "snapbe create" asks of ZFS: a snapshot of a tree,
// clones of all of it, and one look at the result. Beside our own ways it has
// the plain one, "zfs snapshot -r" and clones eight at a time.
//
//	zfs.test -test.run - -test.bench Create -test.benchtime 3x
func BenchmarkCreate(b *testing.B) {
	pool := newPool(b)
	tools := zfs.NewTools(command.Exec{})
	for _, n := range []int{1, 20, 100} {
		made := newTree(b, tools, pool, n)
		ways := []struct {
			name   string
			create func(b *testing.B, tree tree, snap, to string)
		}{
			{"direct", with(tools)},
			{"programs", with(tools.ProgramsOnly())},
			{"plain", plain},
		}
		for _, way := range ways {
			b.Run(fmt.Sprintf("%s/%d", way.name, n), func(b *testing.B) {
				for i := range b.N {
					snap := fmt.Sprintf("%s-%d-%d", way.name, b.N, i)
					to := fmt.Sprintf("%s/%s-%d", pool, snap, n)
					way.create(b, made, snap, to)
					b.StopTimer()
					made.destroy(b, tools, snap, to)
					b.StartTimer()
				}
			})
		}
	}
}

// tree is a filesystem with more below it, by the names relative to it.
type tree struct {
	root  string
	names []string
}

func newTree(b *testing.B, z zfs.ZFS, pool string, n int) tree {
	t := tree{root: fmt.Sprintf("%s/tree%d", pool, n)}
	for i := range n {
		name := ""
		if i > 0 {
			// Three levels, as a host with zones has.
			name = fmt.Sprintf("/d%d", i)
			if i > 3 {
				name = fmt.Sprintf("/d%d/e%d", i%3+1, i)
			}
		}
		t.names = append(t.names, name)
		require.NoError(b, z.Create(b.Context(), t.root+name, zfs.Props{"canmount": "noauto"}))
	}
	return t
}

// destroy takes the clones and the snapshots away again.
func (t tree) destroy(b *testing.B, z zfs.ZFS, snap, to string) {
	var r zfs.Removal
	for i := len(t.names) - 1; i >= 0; i-- {
		r.Datasets = append(r.Datasets, to+t.names[i], t.root+t.names[i]+"@"+snap)
	}
	require.NoError(b, z.Destroy(b.Context(), r))
}

func with(z zfs.ZFS) func(*testing.B, tree, string, string) {
	return func(b *testing.B, t tree, snap, to string) {
		var snaps []string
		var clones []zfs.Clone
		for _, name := range t.names {
			snaps = append(snaps, t.root+name+"@"+snap)
			clones = append(clones, zfs.Clone{
				Snapshot: t.root + name + "@" + snap, Target: to + name,
				Props: zfs.Props{"canmount": "noauto", "snapbe.test:op": snap},
			})
		}
		require.NoError(b, z.Snapshot(b.Context(), snaps, zfs.Props{"snapbe.test:op": snap}))
		require.NoError(b, z.Clone(b.Context(), clones))
		all, err := z.Get(b.Context(), zfs.Query{Roots: []string{to}, Depth: -1, Props: []string{"origin", "snapbe.test:op"}})
		require.NoError(b, err)
		require.Len(b, all, len(t.names))
	}
}

func plain(b *testing.B, t tree, snap, to string) {
	run(b, "", "zfs", "snapshot", "-r", "-o", "snapbe.test:op="+snap, t.root+"@"+snap)
	for depth := range 3 {
		var group errgroup.Group
		group.SetLimit(8)
		for _, name := range t.names {
			if strings.Count(name, "/") == depth {
				group.Go(func() error {
					run(b, "", "zfs", "clone", "-o", "canmount=noauto", "-o", "snapbe.test:op="+snap, t.root+name+"@"+snap, to+name)
					return nil
				})
			}
		}
		require.NoError(b, group.Wait())
	}
	run(b, "", "zfs", "list", "-H", "-r", "-o", "name,origin,snapbe.test:op", to)
}
