// Package zfstest holds every implementation of zfs.ZFS to what is promised
// there: the fake in each test run, the programs on a pool of real OpenZFS.
package zfstest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/zfs"
)

// Subject is an implementation with a pool to work on, and what a test needs
// beside the verbs.
type Subject struct {
	ZFS zfs.ZFS
	// Pool is a mirror of two whole, idle disks. Its filesystems inherit
	// the mountpoint none.
	Pool string
	// Mount mounts a filesystem and gives the directory.
	Mount func(t *testing.T, name string) string
	// Unmount takes that back.
	Unmount func(t *testing.T, name string)
	// Volume makes a small one.
	Volume func(t *testing.T, name string)
	// Receive makes a filesystem with that user property received.
	Receive func(t *testing.T, name, prop, value string)
	// Hold keeps a snapshot from being destroyed; Release no longer.
	Hold, Release func(t *testing.T, snapshot string)
}

// Run runs the suite.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	s := open(t)
	groups := []struct {
		name  string
		cases []test
	}{
		{"Get", getTests}, {"Sources", sourceTests}, {"Values", valueTests},
		{"Snapshot", snapshotTests}, {"Clone", cloneTests}, {"Create", createTests},
		{"Set", setTests}, {"Promote", promoteTests}, {"Rename", renameTests},
		{"Destroy", destroyTests}, {"DestroyPromoted", destroyPromotedTests},
		{"Rollback", rollbackTests}, {"Pool", poolTests},
	}
	n := 0
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				n++
				root := fmt.Sprintf("%s/t%d", s.Pool, n)
				t.Run(c.name, func(t *testing.T) {
					e := &env{T: t, Subject: s, ctx: t.Context(), root: root}
					e.create("")
					c.run(e)
				})
			}
		})
	}
}

type test struct {
	name string
	run  func(*env)
}

// env is one test with a filesystem of its own to work below.
type env struct {
	*testing.T
	Subject
	ctx  context.Context
	root string
	// before is what was there before the first refusal, later that more
	// refusals follow.
	before []string
	later  bool
}

// at is the name of a dataset below the test's own: "a/b@s", "@s" or "".
func (e *env) at(name string) string {
	if name == "" || name[0] == '@' {
		return e.root + name
	}
	return e.root + "/" + name
}

func (e *env) ats(names ...string) []string {
	var all []string
	for _, name := range names {
		all = append(all, e.at(name))
	}
	return all
}

// create makes filesystems, that of the test itself for "".
func (e *env) create(names ...string) {
	e.Helper()
	for _, name := range names {
		require.NoError(e, e.ZFS.Create(e.ctx, e.at(name), zfs.Props{"canmount": "noauto"}))
	}
}

func (e *env) snapshot(names ...string) {
	e.Helper()
	require.NoError(e, e.ZFS.Snapshot(e.ctx, e.ats(names...), nil))
}

// clone makes clones, given as snapshot and target in turn.
func (e *env) clone(pairs ...string) {
	e.Helper()
	var clones []zfs.Clone
	for i := 0; i < len(pairs); i += 2 {
		clones = append(clones, e.cloneOf(pairs[i], pairs[i+1], nil))
	}
	require.NoError(e, e.ZFS.Clone(e.ctx, clones))
}

func (e *env) cloneOf(snapshot, target string, props zfs.Props) zfs.Clone {
	all := zfs.Props{"canmount": "noauto"}
	for prop, value := range props {
		all[prop] = value
	}
	return zfs.Clone{Snapshot: e.at(snapshot), Target: e.at(target), Props: all}
}

// many makes n clones of one snapshot, which is quicker than as many new
// filesystems: a00, a01 and so on, of a filesystem "a".
func (e *env) many(prefix string, n int) []string {
	e.Helper()
	e.create("a")
	e.snapshot("a@s")
	var names []string
	var clones []zfs.Clone
	for i := range n {
		names = append(names, fmt.Sprintf("%s%02d", prefix, i))
		clones = append(clones, e.cloneOf("a@s", names[i], nil))
	}
	require.NoError(e, e.ZFS.Clone(e.ctx, clones))
	return names
}

// nested makes n clones of one snapshot, each below the one before, and
// snapshots of them.
func (e *env) nested(n int) []string {
	e.Helper()
	e.create("a")
	e.snapshot("a@s")
	var names, snaps []string
	var clones []zfs.Clone
	for i := range n {
		names = append(names, "d"+strings.Repeat("/d", i))
		snaps = append(snaps, names[i]+"@s")
		// The deepest first: it is Clone that has to put them in order.
		clones = append([]zfs.Clone{e.cloneOf("a@s", names[i], nil)}, clones...)
	}
	require.NoError(e, e.ZFS.Clone(e.ctx, clones))
	e.snapshot(snaps...)
	return names
}

func (e *env) set(name, prop, value string) {
	e.Helper()
	e.change(zfs.Change{Dataset: e.at(name), Set: zfs.Props{prop: value}})
}

func (e *env) change(changes ...zfs.Change) {
	e.Helper()
	require.NoError(e, e.ZFS.Set(e.ctx, changes))
}

func (e *env) get(q zfs.Query) []zfs.Dataset {
	e.Helper()
	all, err := e.ZFS.Get(e.ctx, q)
	require.NoError(e, err)
	return all
}

// names lists what a query finds, relative to the test's own filesystem.
func (e *env) names(q zfs.Query) []string {
	e.Helper()
	q.Props = []string{"type"}
	all := []string{}
	for _, d := range e.get(q) {
		all = append(all, strings.TrimPrefix(strings.TrimPrefix(d.Name, e.root), "/"))
	}
	return all
}

// one reads one dataset.
func (e *env) one(name string, props ...string) zfs.Dataset {
	e.Helper()
	q := zfs.Query{Roots: e.ats(name), Props: props}
	if strings.Contains(name, "@") {
		q.Kinds = []zfs.Kind{zfs.Snapshot}
	}
	all := e.get(q)
	require.Len(e, all, 1)
	return all[0]
}

func (e *env) value(name, prop string) string {
	e.Helper()
	return e.one(name, prop).Props[prop].Value
}

var every = []zfs.Kind{zfs.Filesystem, zfs.Volume, zfs.Snapshot}

// dump is what the suite changes, of all of the test's datasets.
func (e *env) dump() []string {
	e.Helper()
	var all []string
	for _, d := range e.get(zfs.Query{Roots: []string{e.root}, Depth: -1, Kinds: every, Props: []string{
		"origin", "guid", "createtxg", "clones", "canmount", "mountpoint", "mounted", "readonly",
		"test:old", "test:new", "test:op", "test:x",
	}}) {
		all = append(all, fmt.Sprintf("%s %v", d.Name, d.Props))
	}
	return all
}

// refused asserts that ZFS refuses each time, and that nothing changed at the
// end: every look costs a second on an emulated machine.
func (e *env) refused(r zfs.Reason, attempts ...func() error) {
	e.Helper()
	if e.before == nil {
		e.before = e.dump()
	}
	for _, do := range attempts {
		e.refuses(r, do())
	}
	if !e.later {
		e.unchanged()
	}
}

// inOneGo lets refusals look at the datasets only once.
func (e *env) inOneGo(do func()) {
	e.Helper()
	e.later = true
	do()
	e.later = false
	e.unchanged()
}

func (e *env) unchanged() {
	e.Helper()
	assert.Equal(e, e.before, e.dump(), "nothing changed")
	e.before = nil
}

func (e *env) refuses(r zfs.Reason, err error) {
	e.Helper()
	if !assert.Error(e, err) {
		return
	}
	var refusal *zfs.Error
	require.ErrorAs(e, err, &refusal)
	assert.Equal(e, r, refusal.Reason, "%v", err)
}

// write puts a file into a filesystem; read gives its content.
func (e *env) write(name, content string) {
	e.Helper()
	dir := e.Mount(e.T, e.at(name))
	require.NoError(e, os.WriteFile(filepath.Join(dir, "file"), []byte(content), 0o644))
	e.Unmount(e.T, e.at(name))
}

func (e *env) read(name string) string {
	e.Helper()
	dir := e.Mount(e.T, e.at(name))
	defer e.Unmount(e.T, e.at(name))
	b, err := os.ReadFile(filepath.Join(dir, "file"))
	require.NoError(e, err)
	return string(b)
}

// hostile are values that break what splits, quotes or expands.
var hostile = []string{
	"",
	"-",
	"-rf",
	"  two  spaces  ",
	`it's "quoted" \"twice\\`,
	"$(reboot); `reboot` && ${HOME} | > /dev/null *",
	`"]] .. error("x") --`,
	"a=b=c",
	"a,b,c",
	"one\ttwo\t\tthree",
	"x\tlocal",
	"one\ntwo\n\nthree",
	"\none\n",
	"x\tlocal\npool/other\tsnapbe.test:x\ty",
	"Größe – 日本語 🚀",
	"a\x01b\x1b[31mc\x7f",
	"%s %d %n",
	strings.Repeat("0123456789", 100),
	strings.Repeat("a b=c\n\t", 1142),
}
