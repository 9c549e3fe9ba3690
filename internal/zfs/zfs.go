// Package zfs holds the ZFS verbs that snapbe needs, the parsing of what ZFS
// answers, and the kinds of its errors. It keeps no state and knows nothing
// of boot environments.
package zfs

import (
	"context"
	"fmt"
	"strings"
)

// Kind is a dataset's type, as zfsprops(7) "type" gives it.
type Kind string

// The kinds of datasets.
const (
	Filesystem Kind = "filesystem"
	Volume     Kind = "volume"
	Snapshot   Kind = "snapshot"
)

// Property is a value with where it comes from.
type Property struct {
	// Value is as "zfs get -p" prints it: sizes in bytes, times in seconds
	// since 1970, "-" where there is none.
	Value string
	// Source is "local", "received", "default", "temporary", "none", or
	// the name of the dataset that it is inherited from.
	Source string
}

// The sources that are not a dataset's name.
const (
	SourceLocal    = "local"
	SourceReceived = "received"
	SourceDefault  = "default"
	SourceNone     = "none"
)

// Props maps names to values.
type Props map[string]string

// Dataset is one filesystem, volume or snapshot and those of its properties
// that were asked for. A user property that is not set is absent.
type Dataset struct {
	Name  string
	Kind  Kind
	Props map[string]Property
}

// Value is a property's value, "" where it is absent or "-".
func (d Dataset) Value(prop string) string {
	if v := d.Props[prop].Value; v != "-" {
		return v
	}
	return ""
}

// Local is a property's value where it was set on this very dataset, else "".
func (d Dataset) Local(prop string) string {
	if p, ok := d.Props[prop]; ok && (p.Source == SourceLocal || p.Source == SourceReceived) {
		return p.Value
	}
	return ""
}

// Query says what to read.
type Query struct {
	// Roots are the datasets to begin at; none means every pool.
	Roots []string
	// Depth is how far below the roots to read: 0 the roots alone (and,
	// where Kinds holds Snapshot, a root's own snapshots need 1), negative
	// without end.
	Depth int
	// Kinds limits the answer; none means filesystems and volumes.
	Kinds []Kind
	// Props names the properties. None means every property that is set
	// locally or was received; it is then for backing up and copying.
	Props []string
}

// Change sets and clears properties of one dataset or snapshot.
type Change struct {
	Dataset string
	Set     Props
	Inherit []string
}

// Clone makes Target from Snapshot, with Props local to it.
type Clone struct {
	Snapshot string
	Target   string
	Props    Props
}

// Removal is what Destroy takes away, in one pool.
type Removal struct {
	// Promote are clones to promote first, in this order.
	Promote []string
	// Datasets are filesystems, volumes and snapshots, by the names that
	// they have after the promotions, children and snapshots before what
	// they belong to.
	Datasets []string
	// Then are changes of user properties that commit together with it.
	Then []Change
}

// Leaf is a disk or partition of a pool (zpoolconcepts(7)), by "zpool status".
type Leaf struct {
	// Path is the device file with links resolved, such as /dev/vda3; for a
	// device that is absent, its last path or GUID.
	Path string
	// State is ONLINE, DEGRADED, FAULTED, OFFLINE, REMOVED, UNAVAIL.
	State string
	// Resilvering is true while ZFS brings this leaf up to date.
	Resilvering bool
	// Mirror names the top-level vdev that the leaf is part of, such as
	// mirror-0; a pool of one disk has the leaf's own name there.
	Mirror string
	// Class is "" for data, else logs, cache, spares, special, dedup.
	Class string
}

// ZFS is the verbs. Two things implement it, the host's tools and a fake, and
// one suite (zfstest) holds both to what is said here. Every method returns
// an *Error on what ZFS refused.
type ZFS interface {
	// Get reads properties. The answer is in ZFS's order: a dataset comes
	// before what lies below it, a dataset's snapshots by creation. It
	// costs one process however much is read. A root that is not there is
	// NotFound, and the Error names it. ZFS 2.1 cuts "clones" at 4 KiB.
	Get(ctx context.Context, q Query) ([]Dataset, error)

	// Snapshot makes snapshots in one pool, all or none in one transaction
	// group, with the properties given.
	Snapshot(ctx context.Context, names []string, props Props) error

	// Clone makes clones side by side, parents before children. On an
	// error some of them may exist. A clone and its properties are two
	// transaction groups (OpenZFS 2.1 to 2.4): a crash may leave one that
	// has none, which its origin tells. Nothing is mounted, provided that
	// a filesystem's Props hold canmount=noauto or off.
	Clone(ctx context.Context, clones []Clone) error

	// Create makes a filesystem and mounts nothing. Here too a crash may
	// leave one without its properties.
	Create(ctx context.Context, name string, props Props) error

	// Set changes properties. Changes that touch user properties only and
	// lie in one pool commit in one transaction group, all or none; others
	// commit dataset by dataset in the order given. Setting mounts and
	// unmounts nothing, except that OpenZFS 2.1 moves the mount of a
	// mounted filesystem whose mountpoint changes, and that canmount=off
	// unmounts.
	Set(ctx context.Context, changes []Change) error

	// Promote makes the clone independent of its origin (zfs-promote(8)).
	Promote(ctx context.Context, name string) error

	// Rename gives a dataset, with all below it, another name in its pool.
	// Nothing is mounted or unmounted.
	Rename(ctx context.Context, from, to string) error

	// Destroy carries a removal out in one transaction group, all or none.
	// A dataset below, a snapshot or a clone that the removal does not
	// name makes it fail with nothing changed (Dependents); so does a
	// filesystem that is mounted, and a snapshot that is held or, below
	// .zfs/snapshot, in use (Busy).
	Destroy(ctx context.Context, r Removal) error

	// Rollback brings filesystems of one pool back to their newest
	// snapshots, given as dataset@snapshot, in one transaction group, all
	// or none; destroy are newer snapshots that go first. It fails with
	// nothing changed where another newer snapshot is there (Dependents; a
	// bookmark counts as one where snapshots go first), or where a
	// filesystem is mounted (Busy).
	Rollback(ctx context.Context, snapshots, destroy []string) error

	// Pools lists the imported pools, sorted.
	Pools(ctx context.Context) ([]string, error)
	// PoolGet reads pool properties (zpoolprops(7)).
	PoolGet(ctx context.Context, pool string, props []string) (map[string]Property, error)
	// PoolSet sets a pool property such as bootfs; "" clears it.
	PoolSet(ctx context.Context, pool, prop, value string) error
	// Leaves lists the devices of a pool.
	Leaves(ctx context.Context, pool string) ([]Leaf, error)
}

// PoolOf is the pool that a dataset or snapshot lies in.
func PoolOf(name string) string {
	if i := strings.IndexAny(name, "/@"); i >= 0 {
		return name[:i]
	}
	return name
}

// Reason is why ZFS refused.
type Reason int

// The reasons that snapbe tells apart; all else is Unknown and keeps ZFS's
// own words.
const (
	Unknown Reason = iota
	NotFound
	Exists
	Busy
	Dependents
	Denied
	NoSpace
)

// Error tells of a verb that ZFS refused.
type Error struct {
	// Verb and Name say what was asked, such as "clone" and the target.
	Verb   string
	Name   string
	Reason Reason
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("zfs %s %q: %v", e.Verb, e.Name, e.Err) }

func (e *Error) Unwrap() error { return e.Err }
