package be

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"snapbe/internal/journal"
	"snapbe/internal/mount"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// rootArgs are the record of a zone's root that is cloned from another one.
type rootArgs struct {
	// Kind is the operation's.
	Kind string `json:"kind"`
	Zone string `json:"zone"`
	From string `json:"from"`
	To   string `json:"to"`
	Snap string `json:"snap"`
	// UUID is the boot environment's that it is for.
	UUID string `json:"uuid"`
	// Off is the name of the zone BE that it replaces, Shown tells that this one
	// is mounted, Show that the boot environment runs.
	Off   string `json:"off,omitempty"`
	Shown bool   `json:"shown,omitempty"`
	Show  bool   `json:"show,omitempty"`
	// Src is the zone whose machine is cloned, where the zone is a new one.
	Src string `json:"src,omitempty"`
	// New is the container of the zone, where that is the first one in it.
	New string `json:"new,omitempty"`

	recovering bool
}

// rootClone is such an operation on its way, or one that is being recovered.
type rootClone struct {
	m    *Manager
	id   string
	args rootArgs
	// clones are those to make, held what the root is given at the end, tree where
	// they will show, had what the one that is cloned has taken over; a recovery has
	// none, and only undoes.
	clones []zfs.Clone
	had    facts
	names  []string
	held   []zfs.Change
	tree   mount.Tree
}

// planRoot reads what is cloned.
func (m *Manager) planRoot(ctx context.Context, args rootArgs, what string) (*operation, error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{args.From}, Depth: -1})
	if err != nil {
		return nil, err
	}
	c := &rootClone{m: m, id: m.sys.UUID(), args: args}
	if err := checkLengths(ds, args.Snap, what, c.target); err != nil {
		return nil, err
	}
	c.fill(ds)
	op := c.operation()
	if args.Off != "" {
		op.plan.Notes = append(op.plan.Notes, fmt.Sprintf("%s stays, and boots no more: snapbe zone attach --zbe %s %s takes it back", args.Off, args.Off, args.Zone))
	}
	return op, nil
}

func (c *rootClone) target(source string) string { return c.args.To + source[len(c.args.From):] }

// fill names the clones. The root is held from mounting those below it until it
// counts, as creation.hold says.
func (c *rootClone) fill(ds []zfs.Dataset) {
	for _, d := range ds {
		props := copiedProps(d)
		if d.Name == c.args.From {
			props["mountpoint"] = "/"
			props[zones.PropParent], props[zones.PropActive], props[propOp] = c.args.UUID, "on", c.id
			c.had = parseFacts(d.Local(propHad))
			if c.args.Src == "" { // all roots of a new zone come from this one
				maps.Copy(props, c.had.props())
			}
		}
		c.names = append(c.names, d.Name+"@"+c.args.Snap)
		c.clones = append(c.clones, zfs.Clone{Snapshot: d.Name + "@" + c.args.Snap, Target: c.target(d.Name), Props: props})
	}
	c.tree = treeOfClones(BE{Dataset: c.args.To}, ds, c.clones)
	if len(c.clones) > 1 {
		c.clones[0].Props["mountpoint"] = "none"
		c.held = []zfs.Change{{Dataset: c.args.To, Set: zfs.Props{"mountpoint": "/"}}}
	}
}

// operation: the clone counts with the change of properties that takes the other
// one's turn from it: at every instant there is exactly one.
func (c *rootClone) operation() *operation {
	m, args := c.m, c.args
	op := &operation{kind: args.Kind, id: c.id, args: args, verb: args.verb()}
	op.result.Name = args.Zone
	op.add(journal.Step{
		Name: fmt.Sprintf("snapshot %s@%s (%s)", args.From, args.Snap, count(len(c.names), "dataset")),
		Do: func(ctx context.Context) error {
			props := zfs.Props{propOp: c.id}
			maps.Copy(props, c.had.props())
			return m.sys.ZFS.Snapshot(ctx, c.names, props)
		},
		Undo: func(ctx context.Context) error {
			return m.destroyMarked(ctx, []string{args.From}, c.id, func(name string) bool { return strings.HasSuffix(name, "@"+args.Snap) })
		},
	})
	if args.Src != "" {
		op.add(m.makeStep(c.id, zoneDatasets(c.container(), args.Zone, false)))
	}
	op.add(journal.Step{
		Name: fmt.Sprintf("clone %s to %s", count(len(c.clones), "dataset"), args.To),
		Do:   func(ctx context.Context) error { return m.sys.ZFS.Clone(ctx, c.clones) },
		Undo: func(ctx context.Context) error {
			return m.destroyTree(ctx, args.To, c.id, args.From+"@"+args.Snap)
		},
	})
	if args.Src != "" {
		op.add(c.ownStep(op))
	}
	kept := len(op.steps)
	op.add(m.keepStep("make it the one that boots", c.keep, c.unkeep))
	if args.Src != "" {
		op.add(c.settingsStep())
	}
	if args.Show {
		old := ""
		if args.Shown {
			old = c.off()
		}
		show := m.showStep(op, args.Zone, args.To, old, args.recovering)
		if args.Src != "" { // or the name is taken by an empty machine
			show.Undo = then(show.Undo, func(ctx context.Context) error { return m.removeZoneDir(ctx, args.Zone) })
		}
		op.add(show)
	}
	op.committed = func(ctx context.Context) (int, bool, error) {
		ok, err := m.keptZone(ctx, args.To, args.UUID)
		return kept, ok, err // once more: with two pools it is not all or none
	}
	return op
}

func (a rootArgs) verb() string {
	switch a.Kind {
	case "zone-failback":
		return fmt.Sprintf("fail back the zone %q", a.Zone)
	case "zone-clone":
		return fmt.Sprintf("clone the zone %q to %q", a.Src, a.Zone)
	}
	return fmt.Sprintf("attach the zone %q", a.Zone)
}

// container is where the zonepath dataset of the new zone lies.
func (c *rootClone) container() string { return parent(parent(parent(c.args.To))) }

// off is the zone BE that the clone replaces; "" where there is none.
func (c *rootClone) off() string {
	if c.args.Off == "" {
		return ""
	}
	return parent(c.args.To) + "/" + c.args.Off
}

// made are the datasets that bear the mark until the clone counts.
func (c *rootClone) made() []string {
	if c.args.Src == "" {
		return []string{c.args.To}
	}
	return []string{c.args.To, parent(c.args.To), parent(parent(c.args.To))}
}

func (c *rootClone) keep(ctx context.Context) ([]zfs.Change, error) {
	if err := c.m.sys.ZFS.Set(ctx, c.held); err != nil {
		return nil, err
	}
	return c.m.naming(ctx, slices.Concat(marks("", c.made()...), activeChange(c.off(), "off")), c.args.New)
}

func (c *rootClone) unkeep(ctx context.Context) ([]zfs.Change, error) {
	return c.m.unnaming(ctx, slices.Concat(marks(c.id, c.made()...), activeChange(c.off(), "on")), c.args.New)
}
