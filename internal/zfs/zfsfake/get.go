package zfsfake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"snapbe/internal/zfs"
)

// Get is the promise of zfs.ZFS.
func (f *Fake) Get(ctx context.Context, q zfs.Query) ([]zfs.Dataset, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, prop := range q.Props {
		if !known(prop) {
			return nil, refuse("get", prop, zfs.Unknown, "invalid property %q", prop)
		}
	}
	roots := q.Roots
	for _, root := range roots {
		if _, ok := f.st.Datasets[root]; !ok {
			return nil, notFound("get", root)
		}
	}
	if len(roots) == 0 {
		for name := range f.st.Pools {
			roots = append(roots, name)
		}
	}
	kinds := q.Kinds
	if len(kinds) == 0 {
		kinds = []zfs.Kind{zfs.Filesystem, zfs.Volume}
	}
	var all []zfs.Dataset
	for _, name := range f.st.names() {
		within := slices.ContainsFunc(roots, func(r string) bool { return reaches(r, name, q.Depth) })
		if within && slices.Contains(kinds, f.st.Datasets[name].Kind) {
			all = append(all, f.st.read(name, q.Props))
		}
	}
	return all, nil
}

// reaches tells whether a dataset lies at most depth below a root; a snapshot
// counts as one level.
func reaches(root, name string, depth int) bool {
	if name == root {
		return true
	}
	rest, ok := strings.CutPrefix(name, root)
	if !ok || rest[0] != '/' && rest[0] != '@' {
		return false
	}
	return depth < 0 || strings.Count(rest, "/")+strings.Count(rest, "@") <= depth
}

func (s *state) read(name string, props []string) zfs.Dataset {
	d := zfs.Dataset{Name: name, Kind: s.Datasets[name].Kind, Props: map[string]zfs.Property{}}
	if props == nil {
		props = s.Datasets[name].locals()
	}
	for _, prop := range props {
		if p, ok := s.get(name, prop); ok {
			d.Props[prop] = p
		}
	}
	return d
}

// Pools is the promise of zfs.ZFS.
func (f *Fake) Pools(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for name := range f.st.Pools {
		all = append(all, name)
	}
	slices.Sort(all)
	return all, nil
}

// poolDefaults are the pool properties that the fake knows, with what a pool
// of the lab answers.
var poolDefaults = map[string]zfs.Property{
	"ashift":        {Value: "0", Source: zfs.SourceDefault},
	"autoexpand":    {Value: "off", Source: zfs.SourceDefault},
	"autotrim":      {Value: "off", Source: zfs.SourceDefault},
	"bootfs":        {Value: "-", Source: zfs.SourceDefault},
	"cachefile":     {Value: "-", Source: zfs.SourceDefault},
	"capacity":      {Value: "1", Source: zfs.SourceNone},
	"comment":       {Value: "-", Source: zfs.SourceDefault},
	"compatibility": {Value: "off", Source: zfs.SourceDefault},
	"free":          {Value: "10737418240", Source: zfs.SourceNone},
	"guid":          {Value: "1234567890123456789", Source: zfs.SourceNone},
	"health":        {Value: "ONLINE", Source: zfs.SourceNone},
	"readonly":      {Value: "off", Source: zfs.SourceNone},
	"size":          {Value: "10737418240", Source: zfs.SourceNone},
}

// PoolGet is the promise of zfs.ZFS.
func (f *Fake) PoolGet(ctx context.Context, name string, props []string) (map[string]zfs.Property, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.st.Pools[name]
	if !ok {
		return nil, notFound("pool get", name)
	}
	all := map[string]zfs.Property{}
	for _, prop := range props {
		def, ok := poolDefaults[prop]
		if !ok {
			return nil, refuse("pool get", name, zfs.Unknown, "invalid property %q", prop)
		}
		if v, ok := p.Props[prop]; ok {
			def.Value = v
			if def.Source == zfs.SourceDefault {
				def.Source = zfs.SourceLocal
			}
		}
		all[prop] = def
	}
	return all, nil
}

// PoolSet is the promise of zfs.ZFS.
func (f *Fake) PoolSet(ctx context.Context, name, prop, value string) error {
	return f.change(ctx, "pool set", func(t *tx) error {
		p, ok := t.Pools[name]
		if !ok {
			return notFound("pool set", name)
		}
		def, ok := poolDefaults[prop]
		if !ok || def.Source != zfs.SourceDefault {
			return refuse("pool set", name, zfs.Unknown, "property %q cannot be set", prop)
		}
		if value == "" {
			delete(p.Props, prop)
			return nil
		}
		if prop == "bootfs" {
			d, ok := t.Datasets[value]
			if !ok {
				return notFound("pool set", value)
			}
			if d.Kind != zfs.Filesystem || zfs.PoolOf(value) != name {
				return refuse("pool set", name, zfs.Unknown, "%q cannot be booted", value)
			}
		}
		p.Props[prop] = value
		return nil
	})
}

// Leaves is the promise of zfs.ZFS.
func (f *Fake) Leaves(ctx context.Context, name string) ([]zfs.Leaf, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.st.Pools[name]
	if !ok {
		return nil, notFound("leaves", name)
	}
	return slices.Clone(p.Leaves), nil
}

func refuse(verb, name string, r zfs.Reason, format string, args ...any) error {
	return &zfs.Error{Verb: verb, Name: name, Reason: r, Err: fmt.Errorf(format, args...)}
}

func notFound(verb, name string) error {
	return &zfs.Error{Verb: verb, Name: name, Reason: zfs.NotFound, Err: errors.New("dataset does not exist")}
}
