package be

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"snapbe/internal/journal"
	"snapbe/internal/mount"
	"snapbe/internal/treecopy"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// plan of ZoneMount refuses nothing on account of an interrupted operation: the
// zones that start next need their roots, and those of the running boot
// environment are whole whatever waits.
func (ZoneMount) plan(ctx context.Context, m *Manager) (*operation, error) {
	const what = "mount the zones"
	st, err := m.readAll(ctx)
	if err != nil {
		return nil, err
	}
	op := &operation{verb: what, plan: Plan{root: st.root, Title: what}}
	b, ok := st.running()
	if !ok || len(st.zoneRoots) == 0 {
		return op, nil
	}
	active, notes := m.activeZones(st, b), []string(nil)
	for _, z := range st.zones {
		if problem := m.zoneProblem(st, z, b); problem != "" {
			notes = append(notes, problem)
		}
	}
	for _, root := range st.zonesAbsent {
		notes = append(notes, fmt.Sprintf("the zones below %s are not there", root))
	}
	notes = append(notes, m.orphanNotes(st)...)
	op.plan.Notes = notes
	todo := slices.DeleteFunc(active, func(z zones.BE) bool {
		return lastAt(st.mounts, m.sys.Zones.RootDir(z.Zone)).Dataset == z.Dataset
	})
	if len(todo) > 0 {
		op.add(journal.Step{Name: "mount the roots of " + count(len(todo), "zone"), Do: func(ctx context.Context) error {
			know, err := m.remember(ctx, append(datasetsOf(todo), b.Dataset))
			if err == nil {
				know.placeAll(ctx, op, st, todo)
				err = know.mountZones(ctx, st, b, todo)
			}
			op.late = explain(what, errors.Join(op.late, err)) // the others are withheld all the same
			return nil
		}})
	}
	op.add(journal.Step{Name: "let no zone start that has none", Do: func(ctx context.Context) error {
		return m.withholdZones(ctx, st, "")
	}})
	return op, nil
}

// withholdZones lets those zones start whose root is in place, put besides where
// an operation has just done that: what else shows at the directory of a zone, such
// as the root that it has in another boot environment, is not to run.
func (m *Manager) withholdZones(ctx context.Context, st *state, put string) error {
	mounts, err := m.sys.Host.Mounts()
	if err != nil {
		return err
	}
	run, _ := st.running()
	var of []zones.Placement
	for _, z := range st.zones {
		if m.policy(z.Name) == ZoneExcluded {
			continue
		}
		at := lastAt(mounts, m.sys.Zones.RootDir(z.Name)).Dataset
		root, err := m.rootIn(z, run)
		of = append(of, zones.Placement{Name: z.Name, Dataset: z.Dataset, Placed: at != "" && (at == put || err == nil && at == root.Dataset)})
	}
	return m.sys.Zones.Withhold(ctx, of, st.zonesAbsent)
}

// mountZones mounts zone BEs where the platform boots them, and keeps on them when
// that was. One that cannot be mounted is named, and the others are.
func (m *Manager) mountZones(ctx context.Context, st *state, b BE, of []zones.BE) error {
	trees, err := m.zoneTrees(ctx, of)
	if err != nil {
		return err
	}
	var failed error
	var booted []zfs.Change
	now := m.sys.Now().UTC().Format(time.RFC3339)
	for i, z := range of {
		if err := m.mountZone(ctx, st, b, z, trees[i]); err != nil {
			failed = errors.Join(failed, fmt.Errorf("the zone %q: %w", z.Zone, err))
			continue
		}
		booted = append(booted, zfs.Change{Dataset: z.Dataset, Set: zfs.Props{zones.PropBooted: now}})
	}
	return errors.Join(failed, m.setAll(ctx, booted))
}

func (m *Manager) mountZone(ctx context.Context, st *state, b BE, z zones.BE, t mount.Tree) error {
	dir := m.sys.Zones.RootDir(z.Zone)
	if at := lastAt(st.mounts, dir); at.Dataset != "" {
		return fmt.Errorf("%s is mounted at %s already", at.Dataset, dir)
	}
	if err := m.makeZoneDir(ctx, b, dir[1:]); err != nil {
		return err
	}
	if share := st.zoneOf(z).Share; share != "" {
		t = append(t, mount.Entry{Dataset: share, Dir: shareDir[1:]})
	}
	return m.sys.Host.Attach(t, dir)
}

// makeZoneDir makes the directory of the running boot environment that a zone is
// mounted at. One that has something in it is no mount point but a machine.
func (m *Manager) makeZoneDir(ctx context.Context, b BE, dir string) error {
	return m.withZoneDir(ctx, b, dir, false, func(root *treecopy.Tree) error {
		at := ""
		for _, name := range strings.Split(dir, "/") {
			at = path.Join(at, name)
			mode := fs.FileMode(0o755)
			if path.Base(at) == "machines" {
				mode = 0o700
			}
			if _, err := root.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
				if err != nil {
					return err
				}
				continue
			}
			if err := root.Mkdir(at, treecopy.Info{Kind: treecopy.Dir, Mode: mode}); err != nil {
				return err
			}
		}
		names, err := root.Names(dir)
		if err == nil && len(names) > 0 {
			err = refuse(Failed, "snapbe zone adopt makes a zone of it under another name; or remove it", "mount at /%s: the directory is not empty", dir)
		}
		return err
	})
}

// withZoneDir shows f as much of what runs as a zone's directory lies in.
func (m *Manager) withZoneDir(ctx context.Context, b BE, dir string, readOnly bool, f func(*treecopy.Tree) error) error {
	t, err := m.tree(ctx, BE{Dataset: b.Dataset})
	if err == nil {
		t, err = m.onTheWay(t, dir)
	}
	if err != nil {
		return err
	}
	return m.viewTree(t, readOnly, f)
}

// onTheWay is the part of a boot environment's tree that a directory lies in, with
// what is mounted over it, such as a /var/lib that all boot environments have.
func (m *Manager) onTheWay(t mount.Tree, dir string) (mount.Tree, error) {
	mounts, err := m.sys.Host.Mounts()
	if err != nil {
		return nil, err
	}
	over := map[string]mount.Mounted{}
	for _, mnt := range mounts {
		if mnt.Dir != "/" && within("/"+dir, mnt.Dir) {
			over[mnt.Dir] = mnt
		}
	}
	t = slices.DeleteFunc(t, func(e mount.Entry) bool {
		_, hidden := over["/"+e.Dir]
		return e.Dir != "." && (hidden || !within(dir, e.Dir))
	})
	for _, at := range slices.Sorted(maps.Keys(over)) {
		mnt := over[at]
		if mnt.FSType != "zfs" || mnt.Root != "/" {
			return nil, refuse(Failed, "mount a ZFS filesystem there", "look into /%s: it is on %s at %s, which is no ZFS filesystem", dir, mnt.Dataset, at)
		}
		t = append(t, mount.Entry{Dataset: mnt.Dataset, Dir: at[1:]})
	}
	slices.SortStableFunc(t[1:], func(a, c mount.Entry) int { return depth(a.Dir) - depth(c.Dir) })
	return t, nil
}

// removeZoneDir removes the empty mount point of a zone that there is no more.
func (m *Manager) removeZoneDir(ctx context.Context, zone string) error {
	running, err := m.sys.Host.Root()
	if err != nil || running == "" {
		return err
	}
	dir := m.sys.Zones.RootDir(zone)[1:]
	return m.withZoneDir(ctx, BE{Dataset: running}, dir, false, func(root *treecopy.Tree) error {
		names, err := root.Names(dir)
		if err != nil || len(names) > 0 {
			if absent(err) {
				return nil
			}
			return err
		}
		return root.Remove(dir)
	})
}
