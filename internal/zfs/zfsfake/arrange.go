package zfsfake

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"snapbe/internal/zfs"
)

// The methods here arrange what a test finds; they are no verbs, call no Hook
// and panic where there is no such dataset or pool.

// SetMounted says whether a filesystem is mounted.
func (f *Fake) SetMounted(name string, mounted bool) {
	f.arrange(name, func(d *dataset) { d.Mounted = mounted })
}

// SetNumber gives one of the properties that count bytes: used, available,
// referenced, logicalreferenced, written, usedbydataset and so on. What is not
// given is small, and sums are made of their parts.
func (f *Fake) SetNumber(name, prop string, n int64) {
	f.arrange(name, func(d *dataset) {
		if d.Numbers == nil {
			d.Numbers = map[string]int64{}
		}
		d.Numbers[prop] = n
	})
}

// SetReceived sets a property as "zfs receive" does.
func (f *Fake) SetReceived(name, prop, value string) {
	f.arrange(name, func(d *dataset) {
		if d.Received == nil {
			d.Received = map[string]string{}
		}
		d.Received[prop] = value
	})
}

// SetHolds says how many holds a snapshot has (zfs-hold(8)).
func (f *Fake) SetHolds(snapshot string, n int) {
	f.arrange(snapshot, func(d *dataset) { d.Holds = n })
}

// SetCreation sets the time of creation, in seconds since 1970.
func (f *Fake) SetCreation(name string, unix int64) {
	f.arrange(name, func(d *dataset) { d.Creation = unix })
}

// SetLeaves gives a pool its devices.
func (f *Fake) SetLeaves(name string, leaves ...zfs.Leaf) {
	f.arrangePool(name, func(p *pool) { p.Leaves = slices.Clone(leaves) })
}

// SetPoolNumber gives a pool property that ZFS works out itself, such as
// health or free.
func (f *Fake) SetPoolNumber(name, prop, value string) {
	f.arrangePool(name, func(p *pool) { p.Props[prop] = value })
}

// CreateVolume makes a volume.
func (f *Fake) CreateVolume(name string, props zfs.Props) error {
	return f.create(context.Background(), name, zfs.Volume, props)
}

// Steps is how often a change was announced to Hook so far.
func (f *Fake) Steps() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.steps
}

// Names lists every dataset and snapshot, in ZFS's order.
func (f *Fake) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.st.names()
}

// Locals gives what is set on a dataset itself.
func (f *Fake) Locals(name string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d, ok := f.st.Datasets[name]; ok {
		return maps.Clone(d.Local)
	}
	return nil
}

func (f *Fake) arrange(name string, do func(*dataset)) {
	f.must(func(t *tx) error {
		d, ok := t.Datasets[name]
		if !ok {
			return fmt.Errorf("no dataset %q", name)
		}
		do(d)
		return nil
	})
}

func (f *Fake) arrangePool(name string, do func(*pool)) {
	f.must(func(t *tx) error {
		p, ok := t.Pools[name]
		if !ok {
			return fmt.Errorf("no pool %q", name)
		}
		do(p)
		return nil
	})
}

func (f *Fake) must(do func(*tx) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.commit(do); err != nil {
		panic(fmt.Errorf("zfsfake: %w", err))
	}
}
