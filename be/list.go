package be

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"snapbe/internal/zfs"
)

// List reads the boot environments, oldest first, in a number of processes
// that does not grow with them. Nested datasets and snapshots are read only
// where they are asked for.
func (m *Manager) List(ctx context.Context, o ListOptions) ([]BE, error) {
	st, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	bes := st.bes
	if o.Name != "" {
		b, err := st.find(o.Name, fmt.Sprintf("list %q", o.Name))
		if err != nil {
			return nil, err
		}
		bes = []BE{b}
	}
	if !o.Datasets && !o.Snapshots || len(bes) == 0 {
		return bes, nil
	}
	return bes, m.listDeeper(ctx, bes, o)
}

var deeperProps = []string{"creation", "used", "usedbysnapshots", "referenced", "mountpoint", propPolicy, propOp}

// listDeeper fills in datasets and snapshots: one process for all of them.
func (m *Manager) listDeeper(ctx context.Context, bes []BE, o ListOptions) error {
	q := zfs.Query{Depth: -1, Kinds: []zfs.Kind{zfs.Filesystem, zfs.Volume}, Props: deeperProps}
	if o.Snapshots {
		q.Kinds = append(q.Kinds, zfs.Snapshot)
	}
	for _, b := range bes {
		q.Roots = append(q.Roots, b.datasets()...)
	}
	ds, err := m.sys.ZFS.Get(ctx, q)
	if err != nil {
		return err
	}
	for i := range bes {
		b := &bes[i]
		for _, root := range b.datasets() {
			for _, d := range ds {
				b.fill(d, root, o)
			}
		}
	}
	return nil
}

func (b *BE) fill(d zfs.Dataset, root string, o ListOptions) {
	created := time.Unix(int64(number(d.Value("creation"))), 0).UTC()
	policy := cmp.Or(d.Local(propPolicy), "static")
	name, _, isSnap := splitName(d.Name)
	switch {
	case !within(name, root):
	case isSnap:
		b.Snapshots = append(b.Snapshots, Snapshot{Name: d.Name, Own: d.Local(propOp) != "",
			Space: number(d.Value("used")), Created: created, Policy: policy})
	case o.Datasets:
		b.Datasets = append(b.Datasets, Dataset{Name: d.Name, Mountpoint: d.Value("mountpoint"),
			Space: number(d.Value("used")), Referenced: number(d.Value("referenced")), Created: created, Policy: policy})
	}
}
