package be

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"
	"syscall"

	"snapbe/internal/journal"
	"snapbe/internal/mount"
	"snapbe/internal/treecopy"
	"snapbe/internal/zfs"
	"snapbe/sharedvar"
)

// adoptOperation: the machine is what it was until its zone counts. From there on
// the old directory, which the zone has all of, only makes room.
func (m *Manager) adoptOperation(id string, args adoptArgs) *operation {
	op := &operation{kind: "zone-adopt", id: id, args: args, verb: fmt.Sprintf("adopt the machine %q", args.Zone)}
	op.result.Name = args.Zone
	op.add(m.makeStep(id, zoneDatasets(args.Container, args.Zone, args.Made)))
	if args.Dir != "" {
		op.add(m.copyMachineStep(op, id, args))
	} else {
		op.add(m.unmountMachineStep(args))
		op.add(m.tameStep(args.From, id, args.Was))
		op.add(m.moveMachineStep(id, args))
	}
	kept := len(op.steps)
	op.add(m.adoptKeepStep(id, args))
	if args.Dir != "" {
		op.add(m.asideStep(op, args))
	}
	op.add(m.showStep(op, args.Zone, args.zbe(), "", args.recovering))
	if args.Dir != "" {
		op.add(m.removeMachineStep(op, args))
	}
	op.committed = func(ctx context.Context) (int, bool, error) {
		ok, err := m.keptZone(ctx, args.zbe(), args.UUID)
		return kept, ok, err // once more: on two pools it is not all or none
	}
	return op
}

// made are the datasets that bear the mark until the zone counts, its root first.
func (a adoptArgs) made() []string {
	zonepath := a.Container + "/" + a.Zone
	of := []string{a.zbe(), zonepath + "/ROOT", zonepath}
	if a.Made {
		of = append(of, a.Container)
	}
	return of
}

func (m *Manager) copyMachineStep(op *operation, id string, args adoptArgs) journal.Step {
	return journal.Step{
		Name: "copy " + m.sys.Zones.RootDir(args.Zone) + " to " + args.zbe(),
		Do: func(ctx context.Context) error {
			props, err := m.rootProps(ctx, args)
			if err != nil {
				return err
			}
			props[propOp] = id
			if err := m.sys.ZFS.Create(ctx, args.zbe(), props); err != nil {
				return err
			}
			var report treecopy.CopyReport
			err = m.viewTree(mount.Tree{{Dataset: args.From, Dir: "."}}, true, func(from *treecopy.Tree) error {
				return m.viewTree(mount.Tree{{Dataset: args.zbe(), Dir: "."}}, false, func(to *treecopy.Tree) (err error) {
					report, err = to.CopyContents(ctx, from, args.Dir, ".", treecopy.WithSpecials)
					return err
				})
			})
			if n := len(report.Immutable); n > 0 && err == nil {
				op.result.Notes = append(op.result.Notes, fmt.Sprintf("%s had the flag of chattr +i or +a, and the copies have not, such as /%s", count(n, "file"), strings.TrimPrefix(report.Immutable[0], args.Dir+"/")))
			}
			return err
		},
		Undo: func(ctx context.Context) error { return m.unmake(ctx, args.zbe(), id) },
	}
}

// adoptKeepStep makes the zone count. The mark of its root tells whether it does.
func (m *Manager) adoptKeepStep(id string, args adoptArgs) journal.Step {
	var also []string
	container := ""
	if args.New {
		container = args.Container
	}
	return m.keepStep("make it a zone",
		func(ctx context.Context) ([]zfs.Change, error) {
			give, err := m.giveChanges(ctx, args.zbe(), args.UUID, "", id)
			if err != nil {
				return nil, err
			}
			also = unmarked(give, args.zbe())
			return m.naming(ctx, append(give, marks("", args.made()[1:]...)...), container)
		},
		func(ctx context.Context) ([]zfs.Change, error) {
			back := takeBackChanges(args.zbe(), "", id, args.Was, also)
			if args.Dir != "" { // made for it, with both properties
				back = marks(id, args.zbe())
			}
			return m.unnaming(ctx, append(back, marks(id, args.made()[1:]...)...), container)
		})
}

// asideStep makes room for the zone where the machine's directory is. An empty
// one is the mount point already.
func (m *Manager) asideStep(op *operation, args adoptArgs) journal.Step {
	return journal.Step{
		Name: "set " + m.sys.Zones.RootDir(args.Zone) + " aside",
		Do: func(ctx context.Context) error {
			aside, err := m.whereAside(ctx, op, args)
			if err != nil {
				return err
			}
			return m.inMachines(args, func(t *treecopy.Tree) error {
				names, err := t.Names(args.Dir)
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				if len(names) > 0 {
					if err := t.Rename(args.Dir, aside); err != nil {
						return err
					}
				} else if err == nil {
					return nil
				}
				return t.Mkdir(args.Dir, treecopy.Info{Kind: treecopy.Dir, Mode: 0o755})
			})
		},
		Undo: func(context.Context) error {
			return m.inMachines(args, func(t *treecopy.Tree) error {
				if _, err := t.Peek(args.aside()); errors.Is(err, fs.ErrNotExist) {
					return nil
				} else if err != nil {
					return err
				}
				// In the place of the mount point, where that is empty.
				return t.Rename(args.aside(), args.Dir)
			})
		},
	}
}

// whereAside is where the machine's directory goes. One that has changed since it was
// copied must not be removed: somebody has started the machine meanwhile, or since
// snapbe was killed.
func (m *Manager) whereAside(ctx context.Context, op *operation, args adoptArgs) (string, error) {
	up := m.refuseUp(ctx, args.Zone, op.verb)
	if told, ok := errors.AsType[*Error](up); up != nil && !(args.recovering && ok && told.Code != Busy) {
		return "", up // early at boot, nobody may be there to tell
	}
	changed, err := m.changedSinceCopy(ctx, args)
	switch {
	case err != nil || !changed:
		return args.aside(), err
	case !args.recovering:
		return "", refuse(Busy, "let it be, and adopt it again", "%s: %s has changed since it was copied", op.verb, m.sys.Zones.RootDir(args.Zone))
	}
	op.result.Notes = append(op.result.Notes, fmt.Sprintf("the machine has run since it was copied: the zone has it as it was before, and all of it is left for you, as /%s on %s", args.newer(), args.From))
	return args.newer(), nil
}

// changedSinceCopy tells whether a machine's directory has something in it, and that
// is not what was copied.
func (m *Manager) changedSinceCopy(ctx context.Context, args adoptArgs) (changed bool, err error) {
	err = m.sys.Host.View(mount.Tree{{Dataset: args.From, Dir: "."}}, true, func(root *os.Root) error {
		dir, err := root.OpenRoot(args.Dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		defer dir.Close()
		from, err := treecopy.Open(dir)
		if err != nil {
			return err
		}
		defer from.Close()
		if names, err := from.Names("."); err != nil || len(names) == 0 {
			return err
		}
		return m.viewTree(mount.Tree{{Dataset: args.zbe(), Dir: "."}}, true, func(copied *treecopy.Tree) error {
			c := newComparison([]*treecopy.Tree{from, copied}, math.MaxInt)
			if err := c.walk(ctx, "."); err != nil || c.differ[0][1] == 0 {
				return err
			}
			// Only the times may differ; now all is read.
			return sharedvar.Diff(ctx, copied, from, ".", func(sharedvar.Change) error {
				changed = true
				return nil
			})
		})
	})
	return changed, err
}

// inMachines shows f what the machine's directory lies in.
func (m *Manager) inMachines(args adoptArgs, f func(*treecopy.Tree) error) error {
	return m.viewTree(mount.Tree{{Dataset: args.From, Dir: "."}}, false, f)
}

// removeMachineStep removes the old directory. What cannot be removed, since it is
// immutable, is left and told: the zone has all of it.
func (m *Manager) removeMachineStep(op *operation, args adoptArgs) journal.Step {
	return journal.Step{Name: "remove the old directory", Final: true, Do: func(context.Context) error {
		err := m.inMachines(args, func(t *treecopy.Tree) error { return t.RemoveAll(args.aside()) })
		if errors.Is(err, syscall.EPERM) {
			op.result.Notes = append(op.result.Notes, fmt.Sprintf("the old directory is left for you to remove, as /%s on %s: %v", args.aside(), args.From, err))
			return nil
		}
		return err
	}}
}

// unmountMachineStep takes the machine's dataset from its place, or puts it there
// again.
func (m *Manager) unmountMachineStep(args adoptArgs) journal.Step {
	dir := m.sys.Zones.RootDir(args.Zone)
	return journal.Step{
		Name: "unmount " + args.From + " from " + dir,
		Do:   func(context.Context) error { return m.sys.Host.Detach(dir, false) },
		Undo: func(ctx context.Context) error {
			st, err := m.read(ctx)
			if err != nil || lastAt(st.mounts, dir).Dataset != "" {
				return err
			}
			// Early at boot it mounts by itself, as it did.
			if b, ok := st.running(); ok && args.recovering {
				if there, err := m.reachable(ctx, st, b, dir); err != nil || !there {
					return err
				}
			}
			t, err := m.machineTree(ctx, args.From, dir)
			if err != nil {
				return err
			}
			return m.sys.Host.Attach(t, dir)
		},
	}
}

// machineTree is a machine's dataset with those below it, as they show at dir.
func (m *Manager) machineTree(ctx context.Context, root, dir string) (mount.Tree, error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{root}, Depth: -1, Kinds: []zfs.Kind{zfs.Filesystem}, Props: treeProps})
	if err != nil {
		return nil, err
	}
	for i, d := range ds { // mount points below its own are as if that were /
		p := d.Props["mountpoint"]
		p.Value = "/" + strings.TrimPrefix(strings.TrimPrefix(p.Value, dir), "/")
		ds[i].Props["mountpoint"] = p
	}
	return treeOf(BE{Dataset: root}, ds), nil
}

// moveMachineStep renames the machine's dataset, which its mark tells.
func (m *Manager) moveMachineStep(id string, args adoptArgs) journal.Step {
	move := func(from, to string) func(context.Context) error {
		return func(ctx context.Context) error {
			d, ok, err := m.zoneBE(ctx, from)
			if err != nil || !ok || d.Local(propOp) != id {
				return err
			}
			return m.sys.ZFS.Rename(ctx, from, to)
		}
	}
	return journal.Step{Name: "rename " + args.From + " to " + args.zbe(), Do: move(args.From, args.zbe()), Undo: move(args.zbe(), args.From)}
}
