package be

import (
	"context"
	"slices"
	"strings"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
)

// keepStep makes a zone's root count, by changes that commit together where one
// pool has them all. Taking it back is for the process that did it: another one
// finds by them that the operation has to go forward.
func (m *Manager) keepStep(name string, do, undo func(context.Context) ([]zfs.Change, error)) journal.Step {
	tried := false
	set := func(ctx context.Context, changes func(context.Context) ([]zfs.Change, error)) error {
		c, err := changes(ctx)
		if err != nil {
			return err
		}
		return m.sys.ZFS.Set(ctx, c)
	}
	return journal.Step{
		Name: name,
		Do: func(ctx context.Context) error {
			tried = true
			return set(ctx, do)
		},
		Undo: func(ctx context.Context) error {
			if !tried {
				return nil
			}
			return set(ctx, undo)
		},
	}
}

// naming adds a container to those that zones lie in, with other changes: in one
// transaction group where it is on the pool of the boot environments, else after
// them. "" is none.
func (m *Manager) naming(ctx context.Context, changes []zfs.Change, container string) ([]zfs.Change, error) {
	name, err := m.nameChange(ctx, container, true)
	if err != nil || len(name) == 0 || zfs.Atomic(slices.Concat(changes, name)) {
		return slices.Concat(changes, name), err
	}
	if err := m.sys.ZFS.Set(ctx, changes); err != nil {
		return nil, err
	}
	return name, nil
}

// unnaming undoes naming.
func (m *Manager) unnaming(ctx context.Context, changes []zfs.Change, container string) ([]zfs.Change, error) {
	name, err := m.nameChange(ctx, container, false)
	return slices.Concat(changes, name), err
}

func (m *Manager) nameChange(ctx context.Context, container string, add bool) ([]zfs.Change, error) {
	if container == "" {
		return nil, nil
	}
	root, _, err := m.rootContainer()
	if err != nil {
		return nil, err
	}
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{root}, Props: []string{propZones}})
	if err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(zoneContainers(ds[0]), func(c string) bool { return c == container })
	if add {
		list = append(list, container)
	}
	if len(list) == 0 {
		return []zfs.Change{{Dataset: root, Inherit: []string{propZones}}}, nil
	}
	return []zfs.Change{{Dataset: root, Set: zfs.Props{propZones: strings.Join(list, ",")}}}, nil
}

// zoneContainers are the datasets that zones lie in.
func zoneContainers(root zfs.Dataset) []string {
	return strings.FieldsFunc(root.Local(propZones), func(r rune) bool { return r == ',' })
}

// marks are the changes that mark datasets, or take the mark off.
func marks(id string, datasets ...string) []zfs.Change {
	var changes []zfs.Change
	for _, d := range datasets {
		c := zfs.Change{Dataset: d, Inherit: []string{propOp}}
		if id != "" {
			c = zfs.Change{Dataset: d, Set: zfs.Props{propOp: id}}
		}
		changes = append(changes, c)
	}
	return changes
}
