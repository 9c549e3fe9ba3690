package be

import (
	"context"
	"fmt"
	"slices"
	"time"

	"snapbe/internal/journal"
	"snapbe/internal/mount"
	"snapbe/internal/treecopy"
	"snapbe/internal/zfs"
	"snapbe/sharedvar"
)

// ShareSnap is a snapshot of the share.
type ShareSnap struct {
	// Name is without the dataset's.
	Name string `json:"name"`
	// Own is true for one that snapbe made by itself; For is the BE whose
	// activation it was made for, where that still is.
	Own bool   `json:"own"`
	For string `json:"for,omitempty"`
	// Space is what only this snapshot holds, in bytes (zfsprops(7) "used").
	Space   uint64    `json:"space"`
	Created time.Time `json:"created"`

	uuid string
}

// forRestore is in the place of a BE's UUID where a restore has kept what it
// replaced.
const forRestore = "restore"

// ShareState is the share with its snapshots, oldest first.
type ShareState struct {
	// Zone is the zone whose share it is; "" is the host's.
	Zone string `json:"zone,omitempty"`
	// Dataset is "" where there is no share.
	Dataset   string      `json:"dataset,omitempty"`
	Dirs      []string    `json:"dirs"`
	Snapshots []ShareSnap `json:"snapshots"`
}

// Share reads the share of the host, or that of a zone; it needs no privileges.
func (m *Manager) Share(ctx context.Context, zone string) (ShareState, error) {
	st, err := m.read(ctx)
	if err == nil {
		err = m.ofZone(ctx, st, zone, "list the snapshots of "+theShare(zone))
	}
	if err != nil || st.share == "" {
		return ShareState{Zone: zone}, err
	}
	snaps, err := m.shareSnaps(ctx, st)
	return ShareState{Zone: zone, Dataset: st.share, Dirs: st.shareDirs, Snapshots: snaps}, err
}

// shareSnaps are the snapshots of the share that the state has.
func (m *Manager) shareSnaps(ctx context.Context, st *state) ([]ShareSnap, error) {
	snaps, err := m.snapsOf(ctx, st, []string{st.share})
	return snaps[st.share], err
}

// snapsOf are the snapshots of shares: one process.
func (m *Manager) snapsOf(ctx context.Context, st *state, shares []string) (map[string][]ShareSnap, error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: shares, Depth: 1, Kinds: []zfs.Kind{zfs.Snapshot},
		Props: []string{"creation", "used", propOp, propShareFor}})
	snaps := map[string][]ShareSnap{}
	for _, d := range ds {
		share, name, _ := splitName(d.Name)
		s := ShareSnap{Name: name, Own: d.Local(propOp) != "", Space: number(d.Value("used")), uuid: d.Local(propShareFor),
			Created: time.Unix(int64(number(d.Value("creation"))), 0).UTC()}
		if b, ok := st.byUUID(s.uuid); ok {
			s.For = b.Name
		}
		snaps[share] = append(snaps[share], s)
	}
	return snaps, err
}

// shareSnapsOf are those of the host's share and its zones' that were made for a BE
// and go with it, by share.
func (m *Manager) shareSnapsOf(ctx context.Context, b BE) (map[string][]ShareSnap, error) {
	st, shares, err := m.sharesOf(ctx)
	if err != nil || len(shares) == 0 || b.UUID == "" {
		return nil, err
	}
	snaps, err := m.snapsOf(ctx, st, shares)
	for share, all := range snaps {
		snaps[share] = slices.DeleteFunc(all, func(s ShareSnap) bool { return !s.Own || s.uuid != b.UUID })
	}
	return snaps, err
}

// readShare is read, for what needs a share, the host's or a zone's.
func (m *Manager) readShare(ctx context.Context, zone, what string) (*state, error) {
	st, err := m.readToChange(ctx, what)
	if err == nil {
		err = m.ofZone(ctx, st, zone, what)
	}
	if err == nil && st.share == "" {
		err = refuse(NotFound, "snapbe share init makes it", "%s: there is no share", what)
	}
	return st, err
}

// checkShareSnapshot refuses the name of a snapshot that is not there.
func (m *Manager) checkShareSnapshot(ctx context.Context, st *state, snap, what string) error {
	if st.share == "" {
		return refuse(NotFound, "snapbe share init makes it", "%s: there is no share", what)
	}
	snaps, err := m.shareSnaps(ctx, st)
	if err == nil && !slices.ContainsFunc(snaps, func(s ShareSnap) bool { return s.Name == snap }) {
		err = refuse(NotFound, st.shareCommand("list")+" shows them", "%s: the share has no snapshot %q", what, snap)
	}
	return err
}

// plan: one snapshot is atomic, and there is nothing to recover.
func (r ShareSnapshot) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := "snapshot " + theShare(r.Zone)
	st, err := m.readShare(ctx, r.Zone, what)
	if err != nil {
		return nil, err
	}
	name := r.Name
	if name == "" {
		name = m.autoSnap()
	} else if err := checkSnapName(name); err != nil {
		return nil, refuse(Invalid, "", "%s: %v", what, err)
	}
	snaps, err := m.shareSnaps(ctx, st)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(snaps, func(s ShareSnap) bool { return s.Name == name }) {
		return nil, refuse(Exists, "take another name, or "+st.shareCommand("destroy")+" "+name, "%s: it has a snapshot %q", what, name)
	}
	op := &operation{verb: what, plan: Plan{root: st.root, Title: what}, result: Result{Name: name}}
	op.add(journal.Step{Name: "snapshot " + st.share + "@" + name, Do: func(ctx context.Context) error {
		return m.sys.ZFS.Snapshot(ctx, []string{st.share + "@" + name}, nil)
	}})
	return op, nil
}

// plan: here too one transaction group does it.
func (r ShareDestroy) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("destroy the share's snapshot %q", r.Snap)
	if r.Zone != "" {
		what = fmt.Sprintf("destroy the snapshot %q of %s", r.Snap, theShare(r.Zone))
	}
	st, err := m.readShare(ctx, r.Zone, what)
	if err == nil {
		err = m.checkShareSnapshot(ctx, st, r.Snap, what)
	}
	if err != nil {
		return nil, err
	}
	if h, ok := st.handover(); ok && h.Restore == r.Snap && r.Zone == "" {
		return nil, refuse(Busy, "", "%s: the share goes back to it at the next boot", what)
	}
	name := st.share + "@" + r.Snap
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{name}, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{"clones", "userrefs", "used"}})
	if err != nil {
		return nil, err
	}
	if c := ds[0].Value("clones"); c != "" {
		return nil, refuse(Failed, "destroy those first", "%s: it is the origin of %s", what, c)
	}
	if number(ds[0].Value("userrefs")) > 0 {
		return nil, held(what, name)
	}
	op := &operation{verb: what, plan: Plan{root: st.root, Title: what, Frees: number(ds[0].Value("used"))}, result: Result{Name: r.Snap}}
	op.add(journal.Step{Name: "destroy " + name, Do: func(ctx context.Context) error { return m.dropSnapshot(ctx, name) }})
	return op, nil
}

// shareSnapshotStep makes snapshots that belong to a BE: of the share, "" is none,
// and of those of the zones; what is in one pool is of one instant.
func (m *Manager) shareSnapshotStep(id, share string, zones bool, snap, uuid string) journal.Step {
	name := "snapshot the share"
	switch {
	case zones && share == "":
		name = "snapshot the shares of the zones"
	case zones:
		name = "snapshot the share and those of the zones"
	}
	return journal.Step{
		Name: name,
		Do: func(ctx context.Context) error {
			_, shares, err := m.sharesOf(ctx)
			if err != nil {
				return err
			}
			names := make([]string, 0, len(shares))
			for _, s := range shares {
				names = append(names, s+"@"+snap)
			}
			return m.snapshotOnce(ctx, names, id, zfs.Props{propShareFor: uuid})
		},
		Undo: func(ctx context.Context) error {
			roots := []string{}
			if share != "" {
				roots = append(roots, share)
			}
			return m.dropSides(ctx, id, snap, zones, roots...)
		},
	}
}

// tidyStep takes away the snapshots that nothing needs any more.
func (m *Manager) tidyStep(op *operation) journal.Step {
	step := m.dropStep(op)
	drop := step.Do
	step.Name = "drop old snapshots of the share and of former syncs"
	step.Do = func(ctx context.Context) error {
		if err := drop(ctx); err != nil {
			return err
		}
		notes, err := m.pruneShare(ctx, m.sys.ShareSnapshots, nil)
		op.result.Notes = append(op.result.Notes, notes...)
		return err
	}
	return step
}

// pruneShare destroys those snapshots of the share and of zones' shares that snapbe
// made and that are more than limit of one share, oldest first, or that gone wants
// away; a limit of 0 is none. What is held or cloned stays, and so does what a
// handover is to go back to.
func (m *Manager) pruneShare(ctx context.Context, limit int, gone func(ShareSnap) bool) (notes []string, err error) {
	st, shares, err := m.sharesOf(ctx)
	if err != nil || len(shares) == 0 {
		return nil, err
	}
	snaps, err := m.snapsOf(ctx, st, shares)
	if err != nil {
		return nil, err
	}
	h, _ := st.handover()
	var drop, over []string
	for _, share := range shares {
		own := slices.DeleteFunc(snaps[share], func(s ShareSnap) bool { return !s.Own })
		for i, s := range own {
			tooMany := limit > 0 && i < len(own)-limit
			orphan := s.For == "" && s.uuid != "" && s.uuid != forRestore // it was in use when its BE went
			awaited := s.Name == h.Restore && share == st.share
			if awaited || !tooMany && !orphan && (gone == nil || !gone(s)) {
				continue
			}
			drop = append(drop, share+"@"+s.Name)
			if tooMany {
				over = append(over, share+"@"+s.Name)
			}
		}
	}
	stay, err := m.dropSnapshots(ctx, drop)
	for _, name := range drop {
		if why := stay[name]; why != nil {
			notes = append(notes, fmt.Sprintf("%s stays: %v", name, why))
		} else if err == nil && slices.Contains(over, name) {
			notes = append(notes, fmt.Sprintf("gone: %s, one of more than %d", name, limit))
		}
	}
	return notes, err
}

// dropSnapshots destroys snapshots, those of a pool at once. Where one of them is
// held, cloned or in use they go one by one, and stay tells why it does not.
func (m *Manager) dropSnapshots(ctx context.Context, names []string) (stay map[string]error, err error) {
	stay = map[string]error{}
	for len(names) > 0 {
		pool := zfs.PoolOf(names[0])
		var same, others []string
		for _, name := range names {
			if zfs.PoolOf(name) == pool {
				same = append(same, name)
			} else {
				others = append(others, name)
			}
		}
		names = others
		err := m.dropSnapshot(ctx, same...)
		for _, name := range same {
			if zfs.Is(err, zfs.Busy) || zfs.Is(err, zfs.Dependents) {
				if e := m.dropSnapshot(ctx, name); zfs.Is(e, zfs.Busy) || zfs.Is(e, zfs.Dependents) {
					stay[name] = e
				} else if e != nil {
					return stay, e
				}
			} else if err != nil {
				return stay, err
			}
		}
	}
	return stay, nil
}

// dropSnapshot destroys snapshots of one pool, all or none. ZFS mounts one below
// .zfs/snapshot for whoever looks into it, and leaves it there for some minutes.
func (m *Manager) dropSnapshot(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := m.detachAll(name); err != nil {
			return err
		}
	}
	return m.sys.ZFS.Destroy(ctx, zfs.Removal{Datasets: names})
}

// ShareDiff tells what differs in the share of the host, or of a zone, now against
// one of its snapshots; "" is the newest that snapbe made. It needs root, to look
// into both.
func (m *Manager) ShareDiff(ctx context.Context, zone, snap string) (against string, changes []sharedvar.Change, err error) {
	what := "compare " + theShare(zone)
	if !m.sys.Host.Privileged() {
		return "", nil, refuse(Denied, "run it as root, or with sudo", "%s: only root can look into it", what)
	}
	st, err := m.read(ctx)
	if err == nil {
		err = m.ofZone(ctx, st, zone, what)
	}
	if err != nil {
		return "", nil, err
	}
	if snap == "" {
		if snap, err = m.newestOwn(ctx, st, what); err != nil {
			return "", nil, err
		}
	}
	if err := m.checkShareSnapshot(ctx, st, snap, what); err != nil {
		return "", nil, err
	}
	err = m.viewTree(mount.Tree{{Dataset: st.share + "@" + snap, Dir: "."}}, true, func(then *treecopy.Tree) error {
		return m.viewTree(mount.Tree{{Dataset: st.share, Dir: "."}}, true, func(now *treecopy.Tree) error {
			return sharedvar.Diff(ctx, then, now, ".", func(c sharedvar.Change) error {
				changes = append(changes, c)
				return nil
			})
		})
	})
	return snap, changes, err
}

func (m *Manager) newestOwn(ctx context.Context, st *state, what string) (string, error) {
	if st.share == "" {
		return "", refuse(NotFound, "snapbe share init makes it", "%s: there is no share", what)
	}
	snaps, err := m.shareSnaps(ctx, st)
	if err != nil {
		return "", err
	}
	for _, s := range slices.Backward(snaps) {
		if s.Own && s.uuid != forRestore {
			return s.Name, nil
		}
	}
	return "", refuse(NotFound, "name one of those that "+st.shareCommand("list")+" shows", "%s: no activation has made a snapshot of it yet", what)
}
