package be

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"snapbe/internal/journal"
	"snapbe/internal/mount"
	"snapbe/internal/treecopy"
	"snapbe/internal/zfs"
	"snapbe/sharedvar"
	"snapbe/zones"
)

// zoneShareArgs are the record of a zone's share that is made, or given more
// directories.
type zoneShareArgs struct {
	Zone  string `json:"zone"`
	Share string `json:"share"`
	New   bool   `json:"new,omitempty"`
	// Dirs are the directories of its /var, as the property has them.
	Dirs string `json:"dirs"`

	// recovering: what cannot be placed now is told, and holds up nothing.
	recovering bool
}

// planZone plans the share of a zone. Other than the host's, which every boot puts
// in place, it is put in place at once, in each of the zone's active roots: the
// zone does not run, and nothing of snapbe runs in it.
func (r ShareInit) planZone(ctx context.Context, m *Manager, st *state) (*operation, error) {
	what := "make " + theShare(r.Zone)
	if err := m.readZones(ctx, st); err != nil {
		return nil, err
	}
	z, err := st.zone(r.Zone, what)
	if err != nil {
		return nil, err
	}
	if m.policy(z.Name) == ZoneExcluded {
		return nil, refuse(Invalid, "policy in the table of that zone in /etc/snapbe/snapbe.toml says so", "%s: the policy of the zone is %q", what, ZoneExcluded)
	}
	if err := m.refuseUp(ctx, z.Name, what); err != nil {
		return nil, err
	}
	roots := st.activeRoots(z)
	if len(roots) == 0 {
		return nil, refuse(Failed, "snapbe zone attach "+z.Name+" gives it one", "%s: it has no root in the boot environment that runs", what)
	}
	args := zoneShareArgs{Zone: z.Name, Share: z.Share}
	var dirs []string
	if z.Share == "" {
		args.New, args.Share = true, z.Dataset+"/VARSHARE"
	} else if dirs, err = m.dirsOn(ctx, st, z.Share); err != nil {
		return nil, err
	}
	l, err := m.lookAtZone(ctx, roots, dirs, r.Dirs, what)
	if err == nil {
		err = m.refuseZoneKey(ctx, roots[0], z, what)
	}
	if err != nil {
		return nil, err
	}
	args.Dirs = strings.Join(append(dirs, l.added...), " ")
	op := m.zoneShareOperation(m.sys.UUID(), args)
	if !args.New && len(l.added) == 0 && !l.unplaced && !m.shareHidden(st, z) {
		op.steps = nil
	}
	op.plan.root = st.root
	return op, nil
}

// activeRoots are those of a zone, that of the running boot environment first.
// There is none where that has none: its files are what goes to the share.
func (st *state) activeRoots(z zones.Zone) (roots []zones.BE) {
	run, _ := st.running()
	first, err := z.Active(run.UUID)
	if err != nil {
		return nil
	}
	roots = []zones.BE{first}
	for _, b := range st.bes {
		if zbe, err := z.Active(b.UUID); err == nil && zbe.Dataset != first.Dataset {
			roots = append(roots, zbe)
		}
	}
	return roots
}

// zoneLook is what was found in the roots of a zone.
type zoneLook struct {
	// added are the directories that are to go to the share; unplaced tells that
	// some that should be there are not links yet.
	added    []string
	unplaced bool
}

// lookAtZone finds the directories, and refuses what could not be placed.
func (m *Manager) lookAtZone(ctx context.Context, roots []zones.BE, dirs, wanted []string, what string) (l zoneLook, err error) {
	for _, d := range wanted {
		if err := sharedvar.CheckDir(d); err != nil {
			return l, refuse(Invalid, "", "%s: %v", what, err)
		}
	}
	for i, root := range roots {
		err := m.zoneVar(ctx, root, true, func(t *treecopy.Tree, _ mount.Tree) error {
			if info, err := t.Lstat(shareDir[1:]); err == nil && info.Kind != treecopy.Dir {
				return refuse(Failed, "move it away", "%s: in %s, %s is no directory", what, root.Dataset, shareDir)
			} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if i == 0 {
				l.added, err = newZoneDirs(t, dirs, wanted, what)
			}
			for _, d := range dirs {
				info, err := t.Lstat("var/" + d)
				l.unplaced = l.unplaced || err != nil || info.Kind != treecopy.Symlink
			}
			return err
		})
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

// newZoneDirs are those that were named, or at first the default ones that there
// are.
func newZoneDirs(t *treecopy.Tree, dirs, wanted []string, what string) (added []string, err error) {
	byDefault := len(wanted) == 0 && len(dirs) == 0
	if byDefault {
		wanted = sharedvar.Default()
	}
	for _, d := range wanted {
		info, err := t.Lstat("var/" + d)
		switch {
		case slices.Contains(dirs, d) || slices.Contains(added, d):
		case err == nil && (info.Kind == treecopy.Dir || !byDefault):
			added = append(added, d)
		case !byDefault:
			return nil, refuse(NotFound, "make it first, if it is to be", "%s: there is no /var/%s", what, d)
		}
	}
	if byDefault && len(added) == 0 {
		return nil, refuse(Failed, "name others with --dir", "%s: its /var has none of %s", what, strings.Join(sharedvar.Default(), ", "))
	}
	return added, nil
}

// refuseZoneKey is refuseOtherKey for a zone.
func (m *Manager) refuseZoneKey(ctx context.Context, root zones.BE, z zones.Zone, what string) error {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{z.Dataset, root.Dataset}, Props: []string{"encryptionroot"}})
	if err != nil {
		return err
	}
	if key := ds[1].Value("encryptionroot"); key != "" && key != ds[0].Value("encryptionroot") {
		return refuse(Failed, "", "%s: %s is encrypted, and the share below %s would not be", what, root.Dataset, z.Dataset)
	}
	return nil
}

// zoneShareOperation: the dataset counts once it has the names of its directories,
// and no mark. From there on it goes forward only, since files move.
func (m *Manager) zoneShareOperation(id string, args zoneShareArgs) *operation {
	verb := "make " + theShare(args.Zone)
	op := &operation{kind: "share-zone", id: id, args: args, verb: verb}
	op.plan.Title = fmt.Sprintf("share %s of /var in the zone %q by %s", args.Dirs, args.Zone, args.Share)
	if args.New {
		op.add(journal.Step{
			Name: "make the dataset " + args.Share,
			Do: func(ctx context.Context) error {
				return m.sys.ZFS.Create(ctx, args.Share, zfs.Props{"mountpoint": shareDir, "canmount": "noauto", propOp: id})
			},
			Undo: func(ctx context.Context) error { return m.destroyMade(ctx, args.Share, id) },
		})
	}
	op.add(journal.Step{
		Name: "name its directories",
		Do: func(ctx context.Context) error {
			c := zfs.Change{Dataset: args.Share, Set: zfs.Props{propShareDirs: args.Dirs}}
			if args.New {
				c.Inherit = []string{propOp}
			}
			return m.sys.ZFS.Set(ctx, []zfs.Change{c})
		},
	})
	named := len(op.steps)
	op.add(journal.Step{Name: "place them in each of its active roots", Final: true, Do: func(ctx context.Context) error {
		if up, err := args.later(ctx, m, op); err != nil || up {
			return err
		}
		notes, err := m.placeZone(ctx, args)
		op.result.Notes = append(op.result.Notes, notes...)
		if err != nil && args.recovering {
			op.late, err = &Error{Code: Failed, Text: verb, Err: err, Hint: "snapbe share init --zone " + args.Zone + " tries it again"}, nil
		}
		return err
	}})
	op.add(journal.Step{Name: "mount its root again, with the share", Final: true, Do: func(ctx context.Context) error {
		if up, err := args.later(ctx, m, op); err != nil || up {
			return err
		}
		return m.remountZone(ctx, args.Zone)
	}})
	op.committed = func(ctx context.Context) (int, bool, error) {
		ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{args.Share}, Props: []string{propShareDirs, propOp}})
		if zfs.Is(err, zfs.NotFound) {
			return 0, false, nil
		} else if err != nil {
			return 0, false, err
		}
		return named, ds[0].Local(propShareDirs) == args.Dirs && ds[0].Local(propOp) == "", nil
	}
	return op
}

// later refuses a zone that runs. A recovery leaves the rest to the next start of the
// host, which does the same for every root (placeAll): nothing is to wait for a zone
// that somebody has started since.
func (a zoneShareArgs) later(ctx context.Context, m *Manager, op *operation) (up bool, err error) {
	err = m.refuseUp(ctx, a.Zone, op.verb)
	if told, ok := errors.AsType[*Error](err); !ok || !a.recovering || told.Code != Busy {
		return false, err
	}
	op.late = &Error{Code: Busy, Text: op.verb, Err: errors.New("the zone runs, and goes on without it until the next start of the host"),
		Hint: fmt.Sprintf("machinectl poweroff %s; snapbe share init --zone %s does it now", a.Zone, a.Zone)}
	return true, nil
}

// shareHidden tells whether a zone's root is in its place without the zone's share.
func (m *Manager) shareHidden(st *state, z zones.Zone) bool {
	dir := m.sys.Zones.RootDir(z.Name)
	return z.Share != "" && lastAt(st.mounts, dir).Dataset != "" && lastAt(st.mounts, dir+shareDir).Dataset != z.Share
}

// readZone is a zone as it is now.
func (m *Manager) readZone(ctx context.Context, name string) (st *state, z zones.Zone, err error) {
	if st, err = m.read(ctx); err == nil {
		err = m.readZones(ctx, st)
	}
	if err == nil {
		z, err = st.zone(name, "share")
	}
	return st, z, err
}
