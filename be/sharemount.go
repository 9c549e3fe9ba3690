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

// plan of ShareMount refuses nothing on account of an interrupted operation: the
// services that start next need the share.
func (ShareMount) plan(ctx context.Context, m *Manager) (*operation, error) {
	const what = "mount the share"
	st, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	op := &operation{verb: what, plan: Plan{root: st.root, Title: what}}
	b, ok := st.running()
	if st.share == "" || !ok {
		return op, nil
	}
	if there, err := m.shareThere(ctx, st); err != nil || there == "" {
		return nil, errors.Join(err, refuse(NotFound, "snapbe share init makes it again", "%s: the dataset %s has gone", what, st.share))
	}
	if at := lastAt(st.mounts, shareDir); at.Dataset != st.share {
		if at.Dataset != "" {
			return nil, refuse(Busy, "unmount it", "%s: %s is mounted at %s", what, at.Dataset, shareDir)
		}
		op.add(journal.Step{Name: "mount " + st.share + " at " + shareDir, Do: func(ctx context.Context) error {
			return m.mountShare(ctx, st, b)
		}})
	}
	dirs := st.shareDirs
	if _, ok := st.byUUID(st.shareFrom); ok && st.shareFrom != b.UUID {
		dirs = st.moved
		for _, d := range st.unmoved() {
			op.plan.Notes = append(op.plan.Notes, fmt.Sprintf("/var/%s stays as it is: that of %s is to go to the share first", d, st.nameOf(st.shareFrom)))
		}
	}
	if len(dirs) == 0 {
		return op, nil
	}
	op.add(journal.Step{Name: "place " + strings.Join(dirs, ", ") + " of /var on it", Do: func(ctx context.Context) error {
		notes, err := m.place(ctx, st, b, dirs)
		op.result.Notes = append(op.result.Notes, notes...)
		return err
	}})
	return op, nil
}

// mountShare mounts the share where zfs-mount.service has not, or has not yet.
func (m *Manager) mountShare(ctx context.Context, st *state, b BE) error {
	err := m.withVar(ctx, b, func(root *treecopy.Tree) error {
		_, err := root.Lstat(shareDir[1:])
		if errors.Is(err, fs.ErrNotExist) {
			err = root.Mkdir(shareDir[1:], treecopy.Info{Kind: treecopy.Dir, Mode: 0o755})
		}
		return err
	})
	if err != nil {
		return err
	}
	return m.sys.Host.Attach(mount.Tree{{Dataset: st.share, Dir: "."}}, shareDir)
}

// withVar shows f the root of a BE with its /var and /etc, and nothing else.
func (m *Manager) withVar(ctx context.Context, b BE, f func(root *treecopy.Tree) error) error {
	t, err := m.tree(ctx, BE{Dataset: b.Dataset})
	if err != nil {
		return err
	}
	return m.viewTree(slices.DeleteFunc(t, func(e mount.Entry) bool { return e.Dir != "." && e.Dir != "var" && e.Dir != "etc" }), false, f)
}

// place makes the directories of the running BE links into the share. It is its
// own record: cut off anywhere, the next boot goes on from what it finds.
func (m *Manager) place(ctx context.Context, st *state, b BE, dirs []string) (notes []string, err error) {
	moved := st.moved
	err = m.withVar(ctx, b, func(root *treecopy.Tree) error {
		willBe, err := mountPoints(root)
		if err != nil {
			return err
		}
		mounted := func(name string) bool {
			return slices.ContainsFunc(st.mounts, func(mnt mount.Mounted) bool { return within(mnt.Dir, "/"+name) }) ||
				slices.ContainsFunc(willBe, func(dir string) bool { return within(dir, "/"+name) })
		}
		return m.viewTree(mount.Tree{{Dataset: st.share, Dir: "."}}, false, func(share *treecopy.Tree) error {
			placed, err := sharedvar.Place(ctx, root, share, dirs, mounted)
			err = errors.Join(err, sharedvar.Confine(root, st.shareDirs))
			for _, p := range placed {
				if p.Placement != sharedvar.Failed && !slices.Contains(moved, p.Dir) {
					moved = append(moved, p.Dir)
				}
				if p.Placement != sharedvar.Shared && p.Placement != sharedvar.Missing {
					notes = append(notes, strings.TrimSpace(fmt.Sprintf("/var/%s: %s %s", p.Dir, p.Placement, p.Detail)))
				}
			}
			return err
		})
	})
	// What failed is tried again at the next boot; until then, those of a clone
	// are not the share's.
	if b.UUID == st.shareFrom && len(moved) > len(st.moved) {
		err = errors.Join(err, m.sys.ZFS.Set(ctx, []zfs.Change{{Dataset: st.root, Set: zfs.Props{propShared: strings.Join(moved, " ")}}}))
	}
	return notes, err
}
