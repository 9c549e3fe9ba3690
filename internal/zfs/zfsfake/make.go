package zfsfake

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"snapbe/internal/zfs"
)

// Snapshot is the promise of zfs.ZFS.
func (f *Fake) Snapshot(ctx context.Context, names []string, props zfs.Props) error {
	if len(names) == 0 {
		return nil
	}
	return f.change(ctx, "snapshot", func(t *tx) error {
		for prop, value := range props {
			if err := checkSet(zfs.Snapshot, prop, value); err != nil {
				return refuse("snapshot", names[0], zfs.Unknown, "%w", err)
			}
		}
		for _, name := range names {
			fs, snap, ok := strings.Cut(name, "@")
			switch {
			case !ok || !component.MatchString(snap):
				return refuse("snapshot", name, zfs.Unknown, "invalid name")
			case zfs.PoolOf(name) != zfs.PoolOf(names[0]):
				return refuse("snapshot", name, zfs.Unknown, "lies in another pool than %q", names[0])
			case t.Datasets[fs] == nil:
				return notFound("snapshot", fs)
			case t.Datasets[name] != nil:
				return refuse("snapshot", name, zfs.Exists, "dataset already exists")
			}
			f.snapshot(t, fs, name, props)
		}
		return nil
	})
}

func (f *Fake) snapshot(t *tx, fs, name string, props zfs.Props) {
	d := &dataset{Kind: zfs.Snapshot, Local: maps.Clone(map[string]string(props))}
	d.Numbers = map[string]int64{}
	for _, prop := range []string{"referenced", "logicalreferenced", "written"} {
		if n, ok := t.Datasets[fs].Numbers[prop]; ok {
			d.Numbers[prop] = n
		}
	}
	delete(t.Datasets[fs].Numbers, "written")
	t.add(name, d, t.now)
	from := t.Datasets[fs].Dir
	t.content = append(t.content, func() error { return f.copyDir(from, d.Dir) })
}

// Clone is the promise of zfs.ZFS; each clone is a change of its own.
func (f *Fake) Clone(ctx context.Context, clones []zfs.Clone) error {
	order := slices.Clone(clones)
	slices.SortStableFunc(order, func(a, b zfs.Clone) int {
		return strings.Count(a.Target, "/") - strings.Count(b.Target, "/")
	})
	for _, c := range order {
		err := f.inTwo(ctx, "clone", c.Target, c.Props, func(t *tx) error { return f.clone(t, c) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *Fake) clone(t *tx, c zfs.Clone) error {
	from := t.Datasets[c.Snapshot]
	switch {
	case from == nil:
		return refuse("clone", c.Target, zfs.NotFound, "%q does not exist", c.Snapshot)
	case from.Kind != zfs.Snapshot:
		return refuse("clone", c.Target, zfs.Unknown, "%q is not a snapshot", c.Snapshot)
	case zfs.PoolOf(c.Target) != zfs.PoolOf(c.Snapshot):
		return refuse("clone", c.Target, zfs.Unknown, "%q lies in another pool", c.Snapshot)
	}
	kind := t.Datasets[parent(c.Snapshot)].Kind
	d, err := t.make("clone", c.Target, kind, c.Props)
	if err != nil {
		return err
	}
	d.Origin = c.Snapshot
	d.Numbers = map[string]int64{"usedbydataset": 0}
	if n, ok := from.Numbers["referenced"]; ok {
		d.Numbers["referenced"] = n
	}
	t.content = append(t.content, func() error { return f.copyDir(from.Dir, d.Dir) })
	return nil
}

// Create is the promise of zfs.ZFS.
func (f *Fake) Create(ctx context.Context, name string, props zfs.Props) error {
	return f.create(ctx, name, zfs.Filesystem, props)
}

func (f *Fake) create(ctx context.Context, name string, kind zfs.Kind, props zfs.Props) error {
	return f.inTwo(ctx, "create", name, props, func(t *tx) error {
		d, err := t.make("create", name, kind, props)
		if err != nil {
			return err
		}
		t.content = append(t.content, func() error { return f.makeDir(d.Dir) })
		return nil
	})
}

// component is what zfs(8) allows between slashes and behind the "@".
var component = regexp.MustCompile(`^[A-Za-z0-9_.: -]+$`)

// make adds a filesystem or volume where one may be.
func (t *tx) make(verb, name string, kind zfs.Kind, props zfs.Props) (*dataset, error) {
	if err := t.free(verb, name); err != nil {
		return nil, err
	}
	for prop, value := range props {
		if err := checkSet(kind, prop, value); err != nil {
			return nil, refuse(verb, name, zfs.Unknown, "%w", err)
		}
	}
	d := &dataset{Kind: kind}
	t.add(name, d, t.now)
	return d, nil
}

// inTwo makes a dataset and gives it its properties; see Split.
func (f *Fake) inTwo(ctx context.Context, verb, name string, props zfs.Props, do func(*tx) error) error {
	set := func(t *tx) error {
		t.Datasets[name].Local = maps.Clone(map[string]string(props))
		return nil
	}
	if !f.Split || len(props) == 0 {
		return f.change(ctx, verb, func(t *tx) error {
			if err := do(t); err != nil {
				return err
			}
			return set(t)
		})
	}
	if err := f.change(ctx, verb, do); err != nil {
		return err
	}
	return f.change(ctx, verb+" properties", set)
}

// free tells whether a filesystem can have that name.
func (t *tx) free(verb, name string) error {
	for part := range strings.SplitSeq(name, "/") {
		if !component.MatchString(part) || part == "." || part == ".." {
			return refuse(verb, name, zfs.Unknown, "invalid name")
		}
	}
	up := parent(name)
	switch {
	case t.Datasets[name] != nil:
		return refuse(verb, name, zfs.Exists, "dataset already exists")
	case up == "":
		return refuse(verb, name, zfs.Unknown, "missing dataset name")
	case t.Datasets[up] == nil:
		return refuse(verb, name, zfs.NotFound, "parent does not exist")
	case t.Datasets[up].Kind != zfs.Filesystem:
		return refuse(verb, name, zfs.Unknown, "parent is not a filesystem")
	}
	return nil
}
