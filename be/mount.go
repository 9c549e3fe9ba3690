package be

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"snapbe/internal/journal"
	"snapbe/internal/mount"
)

func (r Mount) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("mount %q", r.Name)
	st, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := st.refusePending(); err != nil {
		return nil, err
	}
	b, err := st.usable(r.Name, what)
	if err != nil {
		return nil, err
	}
	if b.Running {
		return nil, refuse(Busy, "", "%s: it is running, at /", what)
	}
	if err := m.readZones(ctx, st); err != nil {
		return nil, err
	}
	if b, err = st.usable(r.Name, what); err != nil { // with its zone BEs
		return nil, err
	}
	if err := st.refuseMounted(m.withFollowers(b), what, ""); err != nil {
		return nil, err
	}
	dir := r.Dir
	if dir == "" {
		dir = m.mountDir(b)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := checkMountDir(dir, what); err != nil {
		return nil, err
	}
	t, err := m.withZones(ctx, st, b)
	if err != nil {
		return nil, err
	}
	op := &operation{verb: what, plan: Plan{root: st.root, Title: what + " at " + dir}, result: Result{Name: b.Name, Dir: dir}}
	op.add(journal.Step{
		Name: fmt.Sprintf("mount %s at %s", count(len(t), "dataset"), dir),
		Do: func(context.Context) error {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			return m.sys.Host.Attach(t, dir)
		},
	})
	return op, nil
}

// mountDir is where a BE shows when the user names no directory.
func (m *Manager) mountDir(b BE) string {
	return filepath.Join(filepath.Dir(m.sys.LockFile), "mnt", b.Name)
}

// checkMountDir refuses a directory that something would be hidden in.
func checkMountDir(dir, what string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &Error{Code: Failed, Text: what, Err: err}
	case len(entries) > 0:
		return refuse(Failed, "name an empty directory, or none", "%s at %s: the directory is not empty", what, dir)
	}
	return nil
}

func (r Unmount) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("unmount %q", r.Name)
	st, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	b, err := st.mountedAs(r.Name, what)
	if err != nil {
		return nil, err
	}
	op := &operation{verb: what, plan: Plan{root: st.root, Title: what}, result: Result{Name: b.Name, Dir: b.Mountpoint}}
	op.add(journal.Step{Name: "unmount " + b.Mountpoint, Do: func(context.Context) error {
		if err := m.sys.Host.Detach(b.Mountpoint, r.Force); err != nil {
			return &Error{Code: Busy, Text: what, Err: err, Hint: "end what uses it, or -f"}
		}
		if b.Mountpoint == m.mountDir(b) {
			_ = os.Remove(b.Mountpoint)
		}
		return nil
	}})
	if st.adopted() && b.UUID != "" && st.props.Local(propJournal) == "" {
		op.add(m.refreshStep(op, b.Dataset))
	}
	return op, nil
}

// mountedAs finds a mounted BE by its name or its directory.
func (st *state) mountedAs(name, what string) (BE, error) {
	abs, _ := filepath.Abs(name)
	for _, b := range st.bes {
		if b.Mountpoint == "" || b.Name != name && b.Mountpoint != abs {
			continue
		}
		if b.Running {
			return b, refuse(Busy, "", "%s: it is running", what)
		}
		return b, nil
	}
	if _, err := st.find(name, what); err == nil {
		return BE{}, refuse(Failed, "snapbe list shows what is mounted", "%s: it is not mounted", what)
	}
	return BE{}, refuse(NotFound, "snapbe list shows what is mounted", "%s: no mounted boot environment has that name or directory", what)
}

func (BootMount) plan(ctx context.Context, m *Manager) (*operation, error) {
	const what = "mount /boot"
	st, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	op := &operation{verb: what, plan: Plan{root: st.root, Title: what}}
	b, ok := st.running()
	if !ok || b.BootDataset == "" {
		return op, nil
	}
	there := lastAt(st.mounts, "/boot")
	if there.Dataset == b.BootDataset {
		return op, nil
	}
	if there.Dataset != "" {
		if err := st.refuseOtherBoot(there, b, what); err != nil {
			return nil, err
		}
		op.add(journal.Step{Name: "unmount " + there.Dataset + " from /boot", Do: func(context.Context) error {
			return m.sys.Host.Detach("/boot", false)
		}})
	}
	t, err := m.bootOnly(ctx, b)
	if err != nil {
		return nil, err
	}
	op.add(journal.Step{Name: "mount " + b.BootDataset + " at /boot", Do: func(context.Context) error {
		err := m.sys.Host.Attach(t, "/boot")
		if err != nil && len(t) > 1 { // without what lies below it rather than not at all
			op.result.Notes = append(op.result.Notes, "without what lies below it: "+err.Error())
			err = m.sys.Host.Attach(t[:1], "/boot")
		}
		return err
	}})
	return op, nil
}

// bootOnly is the boot dataset with what lies below it, as /boot shows them.
func (m *Manager) bootOnly(ctx context.Context, b BE) (mount.Tree, error) {
	whole, err := m.tree(ctx, b)
	t := mount.Tree{{Dataset: b.BootDataset, Dir: "."}}
	for _, e := range whole {
		if dir, ok := strings.CutPrefix(e.Dir, "boot/"); ok && within(e.Dataset, b.BootDataset) {
			e.Dir = dir
			t = append(t, e)
		}
	}
	return t, err
}

// refuseOtherBoot refuses to take from /boot what is not another BE's boot
// dataset, or has something mounted below it. Such a one gets there by
// zfs-mount-generator(8): its cache in a new BE is that of the BE it was cloned
// from.
func (st *state) refuseOtherBoot(there mount.Mounted, b BE, what string) error {
	const hint = "umount -R /boot, and then: systemctl restart snapbe-boot-mount.service"
	if there.FSType != "zfs" || !within(there.Dataset, st.bootRoot) {
		return refuse(Failed, hint, "%s: %s is there, not %s of the running boot environment", what, there.Dataset, b.BootDataset)
	}
	for _, mnt := range st.mounts {
		if mnt.Dir != "/boot" && within(mnt.Dir, "/boot") {
			return refuse(Busy, hint, "%s: %s is there, not %s of the running boot environment, and %s below it is mounted", what, there.Dataset, b.BootDataset, mnt.Dir)
		}
	}
	return nil
}

// Exec runs a command in an inactive BE and returns its exit code. The command
// sees the BE as if it ran, with GRUB's shared directory and the share; no service starts,
// and nothing stays when it ends, however it ends. In a zone it is confined, and is
// told of the environment only what is no secret; see mount.ExecSpec. Afterwards the boot menu
// follows from what it left behind; the notes tell what that menu lacks, such
// as a kernel without an initrd.
func (m *Manager) Exec(ctx context.Context, x Exec) (code int, notes []string, err error) {
	what := fmt.Sprintf("run a command in %q", x.Name)
	st, b, err := m.toWorkIn(ctx, x.Name, what, "run the command itself")
	if err != nil {
		return 0, nil, err
	}
	if x.Zones != nil {
		return m.execZones(ctx, st, b, x, what)
	}
	t, err := m.withZones(ctx, st, b)
	if err != nil {
		return 0, nil, err
	}
	release, err := m.work(b, what)
	if err != nil {
		return 0, nil, err
	}
	defer func() { release() }()
	x.Env = execEnv(b)
	if x.Extra, err = m.hostExtra(ctx, st); err != nil {
		return 0, nil, err
	}
	code, err = m.sys.Host.Exec(ctx, t, x.ExecSpec)
	release()
	release = func() {}
	if err != nil {
		return 0, nil, explain(what, err)
	}
	if st.adopted() && b.UUID != "" {
		ctx = context.WithoutCancel(ctx)
		// The command has run, and its menu must follow.
		res, err := m.Do(ctx, bootRefresh{b.Dataset}, Options{Patience: x.Patience})
		return code, res.Notes, err
	}
	return code, nil, nil
}

// bootRefresh brings the menu up to date after one BE's files changed.
type bootRefresh struct{ dataset string }

func (r bootRefresh) plan(_ context.Context, m *Manager) (*operation, error) {
	op := &operation{verb: "update the boot menu", plan: Plan{Title: "update the boot menu"}}
	op.add(journal.Step{Name: "write the boot menu", Do: func(ctx context.Context) error {
		// update-grub in a BE without the hook writes a grub.cfg without it.
		if _, err := m.sys.Boot.Hook(ctx); err != nil {
			return err
		}
		return m.refreshStep(op, r.dataset).Do(ctx)
	}})
	return op, nil
}
