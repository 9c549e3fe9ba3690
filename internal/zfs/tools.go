package zfs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"snapbe/internal/command"
)

// Tools is ZFS by the programs zfs(8) and zpool(8), of OpenZFS 2.1 and newer.
type Tools struct {
	runner command.Runner
	kernel *kernel // may be nil
}

var _ ZFS = (*Tools)(nil)

// NewTools gives the verbs by the programs that the runner starts. Where these
// are the host's own, snapshots and clones are asked of the kernel directly
// first, which is quicker.
func NewTools(runner command.Runner) *Tools {
	t := &Tools{runner: runner}
	if startsHostPrograms(runner) {
		t.kernel = openKernel()
	}
	return t
}

// startsHostPrograms looks through runners that wrap another one.
func startsHostPrograms(runner command.Runner) bool {
	switch r := runner.(type) {
	case command.Exec:
		return true
	case interface{ Unwrap() command.Runner }:
		return startsHostPrograms(r.Unwrap())
	}
	return false
}

// ProgramsOnly gives the same without the short way.
func (t *Tools) ProgramsOnly() *Tools { return &Tools{runner: t.runner} }

// width is how many programs run at once. A clone waits for a transaction
// group to be written; side by side they share one.
const width = 8

// names are what a dataset can be called. All of them begin like a pool, so
// that none can be taken for an option; that the rest is right, ZFS checks.
var names = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.: /@%-]*$`)

// propNames are what a property can be called; see zfsprops(7). ZFS knows
// user properties that begin with "-" or ".", which nobody uses and which
// cannot be told from an option.
var propNames = regexp.MustCompile(`^[a-z0-9_:][a-zA-Z0-9_.:@#-]*$`)

// check refuses names that must not get near a command line.
func check(verb string, datasets []string, props ...string) error {
	for _, name := range datasets {
		if !names.MatchString(name) {
			return &Error{Verb: verb, Name: name, Reason: NotFound, Err: errors.New("no dataset has such a name")}
		}
	}
	for _, prop := range props {
		if !propNames.MatchString(prop) {
			return &Error{Verb: verb, Name: prop, Err: fmt.Errorf("invalid property %q", prop)}
		}
	}
	return nil
}

// checkNew is check for what is to be made.
func checkNew(verb, name string, props Props) error {
	if !names.MatchString(name) {
		return &Error{Verb: verb, Name: name, Err: errors.New("invalid name")}
	}
	return check(verb, nil, slices.Collect(maps.Keys(props))...)
}

// run starts a program on behalf of a verb.
func (t *Tools) run(ctx context.Context, verb, name string, argv ...string) ([]byte, error) {
	out, err := t.runner.Run(ctx, command.Cmd{Argv: argv})
	if err != nil {
		return nil, refused(verb, name, err)
	}
	return out, nil
}

// options writes properties as -o name=value, sorted.
func options(props Props) []string {
	var argv []string
	for _, prop := range slices.Sorted(maps.Keys(props)) {
		argv = append(argv, "-o", prop+"="+props[prop])
	}
	return argv
}

// Snapshot is the promise of ZFS. One "zfs snapshot" is one ioctl, which makes
// all or none.
func (t *Tools) Snapshot(ctx context.Context, snapshots []string, props Props) error {
	if len(snapshots) == 0 {
		return nil
	}
	for _, name := range snapshots {
		if err := checkNew("snapshot", name, props); err != nil {
			return err
		}
	}
	if t.kernel.snapshot(snapshots, props) {
		return nil
	}
	argv := append([]string{"zfs", "snapshot"}, options(props)...)
	argv = append(append(argv, "--"), snapshots...)
	_, err := t.run(ctx, "snapshot", snapshots[0], argv...)
	return err
}

// Clone is the promise of ZFS.
func (t *Tools) Clone(ctx context.Context, clones []Clone) error {
	for _, c := range clones {
		if err := check("clone", []string{c.Snapshot}); err != nil {
			return err
		}
		if err := checkNew("clone", c.Target, c.Props); err != nil {
			return err
		}
	}
	limit := width
	if t.kernel != nil {
		limit = directWidth
	}
	programs := make(chan struct{}, width)
	for _, level := range levels(clones) {
		group, failed := errgroup.WithContext(ctx)
		group.SetLimit(limit)
		for _, c := range level {
			group.Go(func() error {
				// One that failed starts no more, but lets those end
				// that have begun.
				if failed.Err() != nil {
					return ctx.Err()
				}
				if t.kernel.clone(c) {
					return nil
				}
				programs <- struct{}{}
				defer func() { <-programs }()
				return t.clone(ctx, c)
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (t *Tools) clone(ctx context.Context, c Clone) error {
	argv := append([]string{"zfs", "clone"}, options(c.Props)...)
	_, err := t.run(ctx, "clone", c.Target, append(argv, "--", c.Snapshot, c.Target)...)
	return err
}

// levels sorts clones so that each comes in a later level than the clones
// that it lies below.
func levels(clones []Clone) [][]Clone {
	targets := map[string]bool{}
	for _, c := range clones {
		targets[c.Target] = true
	}
	var all [][]Clone
	for _, c := range clones {
		depth := 0
		for i, char := range c.Target {
			if char == '/' && targets[c.Target[:i]] {
				depth++
			}
		}
		for len(all) <= depth {
			all = append(all, nil)
		}
		all[depth] = append(all[depth], c)
	}
	return all
}

// Create is the promise of ZFS.
func (t *Tools) Create(ctx context.Context, name string, props Props) error {
	if err := checkNew("create", name, props); err != nil {
		return err
	}
	argv := append([]string{"zfs", "create", "-u"}, options(props)...)
	_, err := t.run(ctx, "create", name, append(argv, "--", name)...)
	return err
}

// Promote is the promise of ZFS.
func (t *Tools) Promote(ctx context.Context, name string) error {
	if err := check("promote", []string{name}); err != nil {
		return err
	}
	_, err := t.run(ctx, "promote", name, "zfs", "promote", name)
	return err
}

// notApplicable is what "zfs rename -u" says of a volume (2.1 to 2.3).
var notApplicable = regexp.MustCompile(`(?m): operation not applicable to datasets of this type$`)

// Rename is the promise of ZFS.
func (t *Tools) Rename(ctx context.Context, from, to string) error {
	if err := check("rename", []string{from}); err != nil {
		return err
	}
	if err := checkNew("rename", to, nil); err != nil {
		return err
	}
	if !strings.Contains(from, "@") {
		_, err := t.run(ctx, "rename", from, "zfs", "rename", "-u", "--", from, to)
		if !complained(err, notApplicable) {
			return err
		}
	}
	// Nothing is mounted of a snapshot or a volume: these have no -u.
	_, err := t.run(ctx, "rename", from, "zfs", "rename", "--", from, to)
	return err
}
