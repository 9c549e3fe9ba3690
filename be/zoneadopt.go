package be

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"snapbe/internal/mount"
	"snapbe/internal/treecopy"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// ZoneAdopt makes a zone of a machine that does not run: of a plain directory by a
// copy with all attributes, of a dataset without one.
type ZoneAdopt struct {
	Name string
	// Container is the dataset that the zone's is made in; "" is POOL/zones.
	Container string
}

// adoptArgs are the record of an adoption.
type adoptArgs struct {
	Zone string `json:"zone"`
	// Container is new where Made, and becomes one of the containers where New.
	Container string `json:"container"`
	Made      bool   `json:"made,omitempty"`
	New       bool   `json:"new,omitempty"`
	UUID      string `json:"uuid"`
	// From is the machine's dataset; or, with Dir, the dataset in which that is
	// the machine's directory.
	From string `json:"from"`
	Dir  string `json:"dir,omitempty"`
	Was  tame   `json:"was,omitzero"`

	recovering bool
}

func (a adoptArgs) zbe() string { return a.Container + "/" + a.Zone + "/ROOT/zbe" }

// aside is what the machine's directory is called until it is removed; no machine
// can have that name.
func (a adoptArgs) aside() string {
	return path.Join(path.Dir(a.Dir), "."+a.Zone+".before-zone")
}

// newer is what it is called where it has what the zone has not.
func (a adoptArgs) newer() string {
	return path.Join(path.Dir(a.Dir), "."+a.Zone+".newer-than-zone")
}

func (r ZoneAdopt) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("adopt the machine %q", r.Name)
	st, b, err := m.readZonesToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	if err := m.sys.Zones.CheckName(r.Name); err != nil {
		return nil, refuse(Invalid, "", "%s: %v", what, err)
	}
	for _, z := range st.zones {
		if z.Name == r.Name {
			return nil, refuse(Exists, "snapbe zone list shows it", "%s: it is a zone already", what)
		}
	}
	args := adoptArgs{Zone: r.Name, UUID: b.UUID}
	if err := m.findMachine(ctx, st, &args, what); err != nil {
		return nil, err
	}
	if err := m.refuseUp(ctx, r.Name, what); err != nil {
		return nil, err
	}
	if err := m.refuseMountPoint(ctx, b, m.sys.Zones.RootDir(r.Name), what); err != nil {
		return nil, err
	}
	if err := r.place(ctx, m, st, &args, what); err != nil {
		return nil, err
	}
	op := m.adoptOperation(m.sys.UUID(), args)
	op.plan.root = st.root
	op.plan.Title = what + " as a zone in " + args.Container
	if args.Dir != "" {
		op.plan.Notes = append(op.plan.Notes, "its files are copied, and removed where they are now when the zone is in place: do not start it meanwhile")
	} else {
		op.plan.Notes = append(op.plan.Notes, "the dataset "+args.From+" becomes "+args.zbe()+"; nothing is copied")
	}
	return op, nil
}

// refuseMountPoint refuses a directory that the boot environment is told to mount
// something at: what would be mounted there has another name then, and a boot does
// not go on without it.
func (m *Manager) refuseMountPoint(ctx context.Context, b BE, dir, what string) error {
	return m.withZoneDir(ctx, b, "etc", true, func(root *treecopy.Tree) error {
		told, err := mountPoints(root)
		if err != nil {
			return err
		}
		for _, at := range told {
			if within(at, dir) {
				return refuse(Failed, "take it out of /etc/fstab, or disable the mount unit, in each boot environment that is to boot again", "%s: something is to be mounted at %s by /etc/fstab or a mount unit", what, at)
			}
		}
		return nil
	})
}

// findMachine finds what the machine is kept in.
func (m *Manager) findMachine(ctx context.Context, st *state, args *adoptArgs, what string) error {
	dir := m.sys.Zones.RootDir(args.Zone)
	at := mount.Mounted{}
	for _, mnt := range st.mounts {
		if (within(dir, mnt.Dir) || mnt.Dir == "/") && len(mnt.Dir) >= len(at.Dir) {
			at = mnt
		}
	}
	if at.FSType != "zfs" || at.Root != "/" {
		return refuse(Failed, "copy it to a ZFS dataset first", "%s: %s is on %s at %s, which is no ZFS filesystem", what, dir, at.Dataset, at.Dir)
	}
	args.From = at.Dataset
	if at.Dir != dir {
		args.Dir = strings.TrimPrefix(dir[len(strings.TrimSuffix(at.Dir, "/")):], "/")
	}
	for _, mnt := range st.mounts {
		if mnt.Dir != at.Dir && within(mnt.Dir, dir) && (args.Dir != "" || !within(mnt.Dataset, at.Dataset)) {
			return refuse(Busy, "umount "+mnt.Dir, "%s: %s is mounted at %s", what, mnt.Dataset, mnt.Dir)
		}
	}
	if args.Dir == "" {
		return m.checkMachineDataset(ctx, st, args, dir, what)
	}
	return m.checkMachineDir(*args, what)
}

// checkMachineDir refuses what is no directory with a machine in it.
func (m *Manager) checkMachineDir(args adoptArgs, what string) error {
	dir := m.sys.Zones.RootDir(args.Zone)
	return m.viewTree(mount.Tree{{Dataset: args.From, Dir: "."}}, true, func(t *treecopy.Tree) error {
		info, err := t.Peek(args.Dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return refuse(NotFound, "machinectl list-images shows those that there are", "%s: there is no %s", what, dir)
		case err != nil:
			return &Error{Code: Failed, Text: what, Err: err}
		case info.Kind != treecopy.Dir:
			return refuse(Failed, "put the machine itself there", "%s: %s is a %s", what, dir, info.Kind)
		}
		names, err := t.Names(args.Dir)
		if err == nil && len(names) == 0 {
			return refuse(Failed, "", "%s: %s is empty", what, dir)
		}
		if _, there := t.Peek(args.aside()); there == nil {
			return refuse(Exists, "see what it is, and remove it if nothing needs it", "%s: /%s, where the old directory would go, exists", what, path.Join(dir[1:], "..", path.Base(args.aside())))
		}
		return err
	})
}

// checkMachineDataset refuses a dataset that cannot be moved to where zones are,
// with all below it.
func (m *Manager) checkMachineDataset(ctx context.Context, st *state, args *adoptArgs, dir, what string) error {
	d := args.From
	if within(d, st.root) || st.bootRoot != "" && within(d, st.bootRoot) {
		return refuse(Failed, fmt.Sprintf("zfs rename %s %s/%s takes it out of there", d, zfs.PoolOf(d), args.Zone),
			"%s: its dataset %s is part of a boot environment", what, d)
	}
	if !strings.Contains(d, "/") {
		return refuse(Failed, "", "%s: %s is a pool, and cannot be renamed", what, d)
	}
	was, ds, err := m.tameOf(ctx, d)
	if err != nil {
		return err
	}
	for _, below := range ds[1:] {
		if mp := below.Local("mountpoint"); mp != "" && mp != "none" && mp != "legacy" {
			return refuse(Failed, "zfs inherit mountpoint "+below.Name, "%s: %s below it has the mount point %s of its own, and would be elsewhere in the zone", what, below.Name, mp)
		}
	}
	if ds[0].Local(propOp) != "" || was.Parent != "" {
		return refuse(Failed, "", "%s: %s is a zone's root, or one that was left unfinished", what, d)
	}
	args.Was = was
	return nil
}

// place finds where the zone's datasets go.
func (r ZoneAdopt) place(ctx context.Context, m *Manager, st *state, args *adoptArgs, what string) error {
	args.Container = r.Container
	pool := zfs.PoolOf(st.root)
	if args.Dir == "" {
		pool = zfs.PoolOf(args.From)
	}
	if args.Container == "" {
		args.Container = pool + "/zones"
	}
	c := args.Container
	switch {
	case args.Dir == "" && zfs.PoolOf(c) != pool:
		return refuse(Invalid, "name one of the pool "+pool, "%s in %s: its dataset %s is on another pool, and is not copied", what, c, args.From)
	case within(c, st.root) || st.bootRoot != "" && within(c, st.bootRoot) || within(c, args.From) && args.Dir == "" || strings.ContainsAny(c, ",@") || !strings.Contains(c, "/"):
		return refuse(Invalid, "name a dataset such as "+pool+"/zones", "%s in %s: zones cannot lie there", what, c)
	}
	args.New = !slices.Contains(st.zoneRoots, c)
	_, there, err := m.byDataset(ctx, c)
	if err != nil {
		return err
	}
	if args.Made = !there; args.Made {
		_, up, err := m.byDataset(ctx, parent(c))
		if err != nil {
			return err
		}
		if !up {
			return refuse(NotFound, "zfs create "+parent(c)+" makes it", "%s in %s: there is no dataset %s", what, c, parent(c))
		}
	}
	if len(args.zbe()) > maxDataset-maxName {
		return refuse(Invalid, "name another container", "%s in %s: the names of its datasets would be longer than ZFS allows", what, c)
	}
	return m.refuseDataset(ctx, c+"/"+args.Zone, what)
}

// rootProps are those of a zone's new root, which holds what another dataset held.
func (m *Manager) rootProps(ctx context.Context, args adoptArgs) (zfs.Props, error) {
	props, err := m.like(ctx, args.From, zfs.PoolOf(args.Container))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"canmount": "noauto", "mountpoint": "/", zones.PropParent: args.UUID, zones.PropActive: "on"} {
		props[name] = value
	}
	return props, nil
}
