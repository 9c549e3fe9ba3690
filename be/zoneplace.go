package be

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"snapbe/internal/mount"
	"snapbe/internal/treecopy"
	"snapbe/internal/zfs"
	"snapbe/sharedvar"
	"snapbe/zones"
)

// zoneVar shows f the root of a zone with its /var and /etc; t is all of its tree.
func (m *Manager) zoneVar(ctx context.Context, root zones.BE, readOnly bool, f func(*treecopy.Tree, mount.Tree) error) error {
	t, err := m.tree(ctx, BE{Dataset: root.Dataset})
	if err != nil {
		return err
	}
	part := slices.DeleteFunc(slices.Clone(t), func(e mount.Entry) bool { return e.Dir != "." && e.Dir != "var" && e.Dir != "etc" })
	return m.viewTree(part, readOnly, func(tree *treecopy.Tree) error { return f(tree, t) })
}

// placeZone makes directories of a zone's /var links in every active root; cut off
// anywhere, it goes on from what it finds.
func (m *Manager) placeZone(ctx context.Context, args zoneShareArgs) (notes []string, err error) {
	st, z, err := m.readZone(ctx, args.Zone)
	if err != nil {
		return nil, err
	}
	for _, root := range st.activeRoots(z) {
		placed, err := m.placeRoot(ctx, root, args.Share, strings.Fields(args.Dirs))
		if notes = append(notes, placed...); err != nil {
			return notes, err
		}
	}
	return notes, nil
}

// placeRoot makes directories of one root links into the zone's share.
func (m *Manager) placeRoot(ctx context.Context, root zones.BE, share string, dirs []string) (notes []string, err error) {
	err = m.zoneVar(ctx, root, false, func(tree *treecopy.Tree, all mount.Tree) error {
		willBe, err := mountPoints(tree)
		if err != nil {
			return err
		}
		for _, e := range all[1:] {
			willBe = append(willBe, "/"+e.Dir)
		}
		if _, err := tree.Lstat(shareDir[1:]); errors.Is(err, fs.ErrNotExist) {
			if err := tree.Mkdir(shareDir[1:], treecopy.Info{Kind: treecopy.Dir, Mode: 0o755}); err != nil {
				return err
			}
		}
		mounted := func(name string) bool {
			return slices.ContainsFunc(willBe, func(dir string) bool { return within(dir, "/"+name) })
		}
		return m.viewTree(mount.Tree{{Dataset: share, Dir: "."}}, false, func(share *treecopy.Tree) error {
			placed, err := sharedvar.Place(ctx, tree, share, dirs, mounted)
			for _, p := range placed {
				if p.Placement != sharedvar.Shared && p.Placement != sharedvar.Missing {
					notes = append(notes, strings.TrimSpace(fmt.Sprintf("%s, /var/%s: %s %s", root.Dataset, p.Dir, p.Placement, p.Detail)))
				}
			}
			return err
		})
	})
	return notes, err
}

// placeAll does for roots that are about to be mounted what ShareMount does for the
// host: one that was made before its zone had a share, or went back to then, has
// directories that would hide it. What fails is told, and stands in nobody's way.
func (m *Manager) placeAll(ctx context.Context, op *operation, st *state, of []zones.BE) {
	var shares []string
	by := map[string]zones.BE{}
	for _, root := range of {
		if share := st.zoneOf(root).Share; share != "" {
			shares, by[share] = append(shares, share), root
		}
	}
	if len(shares) == 0 {
		return
	}
	late := func(of string, err error) {
		op.late = errors.Join(op.late, &Error{Code: Failed, Text: "place what is on " + of, Err: err, Hint: "mend what it names; the next start of the host tries it again"})
	}
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: shares, Props: []string{propShareDirs}})
	if err != nil {
		late("the shares of the zones", err)
	}
	// Whoever is root in a zone has put there what is moved, and all zones wait.
	ctx, cancel := context.WithTimeout(ctx, m.zoneTime())
	defer cancel()
	for _, d := range ds {
		dirs := strings.Fields(d.Local(propShareDirs))
		if len(dirs) == 0 {
			continue
		}
		notes, err := m.placeRoot(ctx, by[d.Name], d.Name, dirs)
		op.result.Notes = append(op.result.Notes, notes...)
		if err != nil {
			late(theShare(by[d.Name].Zone), err)
		}
	}
}

// remountZone mounts a zone's root anew, so that the share is in it. It is put
// together out of sight: what a zone has for a path leads nowhere else.
func (m *Manager) remountZone(ctx context.Context, name string) error {
	st, z, err := m.readZone(ctx, name)
	if err != nil {
		return err
	}
	b, _ := st.running()
	root, err := z.Active(b.UUID)
	if errors.Is(err, zones.ErrNone) {
		return nil // another boot environment was booted
	} else if err != nil {
		return err
	}
	dir := m.sys.Zones.RootDir(name)
	if lastAt(st.mounts, dir).Dataset == root.Dataset {
		if err := m.sys.Host.Detach(dir, false); err != nil {
			return err
		}
		if st.mounts, err = m.sys.Host.Mounts(); err != nil {
			return err
		}
	}
	return m.mountZones(ctx, st, b, []zones.BE{root})
}
