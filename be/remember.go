package be

import (
	"context"
	"slices"
	"strings"

	"snapbe/internal/zfs"
)

// remembered answers reads from one that was made before: with many zones, a
// process for each question about each of them would take longer than the sync.
type remembered struct {
	zfs.ZFS
	roots []string
	ds    []zfs.Dataset
}

// rememberedProps are what the base of a sync and its trees are found by.
var rememberedProps = slices.Concat(treeProps, []string{"guid", "createtxg", "creation", "origin", "type", "clones", "userrefs", "used", propOp, propHad})

// remember is a Manager that knows all below the roots as it is now: one process,
// however much is then read. It is for reading alone.
func (m *Manager) remember(ctx context.Context, roots []string) (*Manager, error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: roots, Depth: -1,
		Kinds: []zfs.Kind{zfs.Filesystem, zfs.Volume, zfs.Snapshot}, Props: rememberedProps})
	if err != nil {
		return nil, err
	}
	sys := m.sys
	sys.ZFS = &remembered{ZFS: m.sys.ZFS, roots: roots, ds: ds}
	return &Manager{sys: sys}, nil
}

// Get is zfs.ZFS's. What was not read before is read now.
func (r *remembered) Get(ctx context.Context, q zfs.Query) ([]zfs.Dataset, error) {
	if !r.knows(q) {
		return r.ZFS.Get(ctx, q)
	}
	var found []zfs.Dataset
	for _, d := range r.ds {
		in := slices.ContainsFunc(q.Roots, func(root string) bool {
			deep := below(d.Name, root)
			return deep >= 0 && (q.Depth < 0 || deep <= q.Depth)
		})
		if in && slices.Contains(q.Kinds, d.Kind) {
			found = append(found, d)
		}
	}
	if len(found) == 0 { // with the error that it makes
		return r.ZFS.Get(ctx, q)
	}
	return found, nil
}

func (r *remembered) knows(q zfs.Query) bool {
	return len(q.Roots) > 0 && len(q.Kinds) > 0 && len(q.Props) > 0 &&
		!slices.ContainsFunc(q.Roots, func(of string) bool {
			return !slices.ContainsFunc(r.roots, func(root string) bool { return below(of, root) >= 0 })
		}) &&
		!slices.ContainsFunc(q.Props, func(p string) bool { return !slices.Contains(rememberedProps, p) })
}

// below tells how deep a dataset or snapshot lies below a root, a snapshot one
// deeper than what it was made of; -1 is not at all.
func below(name, root string) int {
	rest, ok := strings.CutPrefix(name, root)
	if !ok || rest != "" && rest[0] != '/' && rest[0] != '@' {
		return -1
	}
	return strings.Count(rest, "/") + strings.Count(rest, "@")
}
