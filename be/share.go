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
)

// shareDir is where the share is mounted, in every BE.
const shareDir = "/var/share"

// shareUnit mounts it, and places directories on it.
const shareUnit = "snapbe-share.service"

// shareArgs are the record of a share that is made, or given more directories.
type shareArgs struct {
	// Root is the BE root container, Share the dataset; New tells that it is
	// made.
	Root  string `json:"root"`
	Share string `json:"share"`
	New   bool   `json:"new,omitempty"`
	// Dirs are the directories of /var, as the property has them, From the UUID
	// of the BE that they are taken from.
	Dirs string `json:"dirs"`
	From string `json:"from"`
}

func (r ShareInit) plan(ctx context.Context, m *Manager) (*operation, error) {
	const what = "make the share"
	st, err := m.readToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	if r.Zone != "" {
		return r.planZone(ctx, m, st)
	}
	b, ok := st.running()
	if !ok || b.UUID == "" {
		return nil, refuse(Invalid, "this is for the host that runs: leave -r out", "%s: no boot environment of %s is running", what, st.root)
	}
	missing, err := m.sys.Host.Units(ctx)
	if err != nil {
		return nil, err
	}
	if slices.Contains(missing, shareUnit) {
		return nil, refuse(Failed, "snapbe init enables it", "%s: %s, which puts it in place, is not enabled", what, shareUnit)
	}
	dirs, err := r.dirs(m, st, what)
	if err == nil {
		err = m.refuseOtherKey(ctx, b, what)
	}
	if err != nil {
		return nil, err
	}
	args := shareArgs{Root: st.root, From: b.UUID}
	if args.Share, err = m.shareThere(ctx, st); err != nil {
		return nil, err
	}
	if args.Share == "" {
		args.New, args.Share = true, zfs.PoolOf(st.root)+"/VARSHARE"
		if err := m.refuseShareExists(ctx, st, args.Share, what); err != nil {
			return nil, err
		}
	}
	var added []string
	for _, d := range dirs {
		if !slices.Contains(st.shareDirs, d) && !slices.Contains(added, d) {
			added = append(added, d)
		}
	}
	if len(added) > 0 && len(st.unmoved()) > 0 && st.shareFrom != b.UUID {
		return nil, refuse(Failed, "reboot into "+st.nameOf(st.shareFrom)+" first", "%s: /var/%s of %s is still to go to it", what,
			strings.Join(st.unmoved(), ", /var/"), st.nameOf(st.shareFrom))
	}
	args.Dirs = strings.Join(append(slices.Clone(st.shareDirs), added...), " ")
	op := m.shareOperation(m.sys.UUID(), args)
	if len(added) == 0 && !args.New {
		op.steps = nil
	}
	op.plan.root = st.root
	for _, d := range added {
		note := fmt.Sprintf("/var/%s goes to %s at the next boot, before any service starts", d, args.Share)
		if at := lastAt(st.mounts, "/var/"+d); at.Dataset != "" {
			note = fmt.Sprintf("/var/%s stays as it is as long as %s is mounted there", d, at.Dataset)
		}
		op.plan.Notes = append(op.plan.Notes, note)
	}
	return op, nil
}

// dirs are those to share: the ones that were named, or at first the default
// ones.
func (r ShareInit) dirs(m *Manager, st *state, what string) ([]string, error) {
	for _, d := range r.Dirs {
		if err := sharedvar.CheckDir(d); err != nil {
			return nil, refuse(Invalid, "", "%s: %v", what, err)
		}
	}
	if len(r.Dirs) > 0 || st.share != "" {
		return r.Dirs, m.refuseMissingDirs(st, r.Dirs, what)
	}
	dirs, err := m.defaultDirs(st)
	if err == nil && len(dirs) == 0 {
		err = refuse(Failed, "name others with --dir", "%s: /var has none of %s that is not a mount", what, strings.Join(sharedvar.Default(), ", "))
	}
	return dirs, err
}

// refuseMissingDirs refuses a directory that is not there: it would be a slip.
func (m *Manager) refuseMissingDirs(st *state, dirs []string, what string) error {
	root, err := m.sys.Host.Tree()
	if err != nil {
		return err
	}
	defer root.Close()
	for _, d := range dirs {
		if _, err := root.Lstat("var/" + d); err != nil && !slices.Contains(st.shareDirs, d) {
			return refuse(NotFound, "make it first, if it is to be", "%s: there is no /var/%s", what, d)
		}
	}
	return nil
}

// defaultDirs are those of the default ones that the running system has, and has
// not mounted: what is mounted is shared by all BEs already.
func (m *Manager) defaultDirs(st *state) (dirs []string, err error) {
	root, err := m.sys.Host.Tree()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for _, d := range sharedvar.Default() {
		info, err := root.Lstat("var/" + d)
		if err == nil && info.IsDir() && lastAt(st.mounts, "/var/"+d).Dataset == "" {
			dirs = append(dirs, d)
		}
	}
	return dirs, nil
}

// shareThere is the share's dataset, "" where there is none, or it has gone.
func (m *Manager) shareThere(ctx context.Context, st *state) (string, error) {
	if st.share == "" {
		return "", nil
	}
	_, ok, err := m.byDataset(ctx, st.share)
	if !ok {
		return "", err
	}
	return st.share, err
}

// unmoved are the directories that no BE has put on the share yet.
func (st *state) unmoved() (dirs []string) {
	for _, d := range st.shareDirs {
		if !slices.Contains(st.moved, d) {
			dirs = append(dirs, d)
		}
	}
	return dirs
}

// unmovedNote tells that another BE than the one whose directories go to the
// share is about to boot: its own are left alone, and are older.
func (st *state) unmovedNote(b BE) (notes []string) {
	if _, ok := st.byUUID(st.shareFrom); !ok || len(st.unmoved()) == 0 || b.UUID == st.shareFrom {
		return nil
	}
	from := st.nameOf(st.shareFrom)
	return []string{fmt.Sprintf("/var/%s of %s has not gone to the share yet: reboot into %s first, or %q has its own, older one",
		strings.Join(st.unmoved(), ", /var/"), from, from, b.Name)}
}

// refuseShareExists refuses to take what somebody has made for the share.
func (m *Manager) refuseShareExists(ctx context.Context, st *state, share, what string) error {
	_, ok, err := m.byDataset(ctx, share)
	switch {
	case err != nil:
		return err
	case ok:
		return refuse(Exists, "zfs rename it, or destroy it if nothing needs it", "%s: the dataset %s, where it would be, exists", what, share)
	}
	for _, mnt := range st.mounts {
		if within(mnt.Dir, shareDir) {
			return refuse(Busy, "unmount it", "%s: %s is mounted at %s", what, mnt.Dataset, mnt.Dir)
		}
	}
	root, err := m.sys.Host.Tree()
	if err != nil {
		return err
	}
	defer root.Close()
	entries, err := root.Open(shareDir[1:])
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return &Error{Code: Failed, Text: what, Err: err}
	}
	defer entries.Close()
	if names, _ := entries.Readdirnames(1); len(names) > 0 {
		return refuse(Exists, "move away what is in it", "%s: %s, where it would be mounted, is not empty", what, shareDir)
	}
	return nil
}

// shareOperation: the dataset counts once the container names it; until then its
// mark tells whose it is. No file moves before the next boot.
func (m *Manager) shareOperation(id string, args shareArgs) *operation {
	op := &operation{kind: "share", id: id, args: args, verb: "make the share", plan: Plan{Title: "share " + args.Dirs + " of /var by " + args.Share}}
	if args.New {
		op.add(journal.Step{
			Name: "make the dataset " + args.Share,
			Do: func(ctx context.Context) error {
				props, err := m.likeVar(ctx, args.Root, args.Share)
				if err != nil {
					return err
				}
				props["mountpoint"], props[propOp] = shareDir, id
				return m.sys.ZFS.Create(ctx, args.Share, props)
			},
			Undo: func(ctx context.Context) error { return m.destroyMade(ctx, args.Share, id) },
		})
	}
	op.add(journal.Step{
		Name: "name its directories",
		Do: func(ctx context.Context) error {
			changes := []zfs.Change{{Dataset: args.Root, Set: zfs.Props{propShare: args.Share, propShareDirs: args.Dirs, propShareFrom: args.From}}}
			if args.New {
				changes = append(changes, zfs.Change{Dataset: args.Share, Inherit: []string{propOp}})
			}
			return m.sys.ZFS.Set(ctx, changes)
		},
	})
	op.committed = func(ctx context.Context) (int, bool, error) {
		ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{args.Root}, Props: []string{propShare, propShareDirs}})
		if err != nil {
			return 0, false, err
		}
		return len(op.steps), ds[0].Local(propShareDirs) == args.Dirs && ds[0].Local(propShare) == args.Share, nil
	}
	return op
}

// varProps are properties that files of /var may depend on.
var varProps = []string{"acltype", "xattr", "atime", "relatime", "devices", "setuid", "exec"}

// likeVar is what makes a new share hold what /var of the running BE holds.
func (m *Manager) likeVar(ctx context.Context, root, share string) (zfs.Props, error) {
	running, err := m.sys.Host.Root()
	if err != nil {
		return nil, err
	}
	mounts, err := m.sys.Host.Mounts()
	if err != nil {
		return nil, err
	}
	if at := lastAt(mounts, "/var"); at.FSType == "zfs" && within(at.Dataset, root) {
		running = at.Dataset
	}
	return m.like(ctx, running, zfs.PoolOf(share))
}

// like is what makes a new dataset of a pool hold what another one holds.
func (m *Manager) like(ctx context.Context, dataset, pool string) (zfs.Props, error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{dataset, pool}, Props: varProps})
	if err != nil {
		return nil, err
	}
	props := zfs.Props{}
	for _, d := range ds {
		for _, p := range varProps {
			if v := d.Value(p); d.Name == dataset && v != "" {
				props[p] = v
			}
		}
	}
	for _, d := range ds { // what the pool says anyway stays inherited
		for _, p := range varProps {
			if d.Name == pool && d.Name != dataset && props[p] == d.Value(p) {
				delete(props, p)
			}
		}
	}
	return props, nil
}

// refuseOtherKey refuses to take what is encrypted in the BE to a share that is
// not, or not in the same way.
func (m *Manager) refuseOtherKey(ctx context.Context, b BE, what string) error {
	pool := zfs.PoolOf(b.Dataset)
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{b.Dataset, pool}, Props: []string{"encryptionroot"}})
	if err != nil {
		return err
	}
	keys := map[string]string{}
	for _, d := range ds {
		keys[d.Name] = d.Value("encryptionroot")
	}
	if keys[b.Dataset] != "" && keys[b.Dataset] != keys[pool] {
		return refuse(Failed, "", "%s: %s is encrypted, and the share at %s would not be", what, b.Dataset, pool+"/VARSHARE")
	}
	return nil
}

// destroyMade destroys a filesystem that an operation made, also one that a power
// cut left without its properties, which come a transaction group later; one
// that has files is somebody's.
func (m *Manager) destroyMade(ctx context.Context, name, id string) error {
	d, ok, err := m.byDataset(ctx, name)
	if err != nil || !ok {
		return err
	}
	if d.Local(propOp) != id {
		if d.Local(propOp) != "" || d.Local("mountpoint") != "" {
			return nil
		}
		empty := false
		err := m.viewTree(mount.Tree{{Dataset: name, Dir: "."}}, true, func(t *treecopy.Tree) error {
			names, err := t.Names(".")
			empty = len(names) == 0
			return err
		})
		if err != nil || !empty {
			return err
		}
	}
	if err := m.detachAll(name); err != nil {
		return err
	}
	return m.sys.ZFS.Destroy(ctx, zfs.Removal{Datasets: []string{name}})
}
