package be

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// ZoneDestroyOrphans takes zone BEs away that belong to no boot environment of this
// host.
type ZoneDestroyOrphans struct {
	// Names are the zones; none is all.
	Names []string
	// Snapshots agrees to the loss of the user's own snapshots.
	Snapshots bool

	// but is a dataset that stays.
	but string
}

// orphanArgs are the record of a destruction. What goes bears the mark.
type orphanArgs struct {
	// Root is the BE root container, First what goes first: as long as that is
	// there, all is.
	Root  string `json:"root"`
	First string `json:"first"`
	More  int    `json:"more,omitempty"`
	All   bool   `json:"all,omitempty"`
	// Upto is when the newest of all was made; see destroyArgs.
	Upto uint64 `json:"upto"`

	recovering bool
}

func (r ZoneDestroyOrphans) plan(ctx context.Context, m *Manager) (*operation, error) {
	const what = "destroy orphans"
	st, err := m.readAllToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	for _, name := range r.Names {
		if _, err := st.zone(name, what); err != nil {
			return nil, err
		}
	}
	return r.orphans(ctx, m, st, what)
}

// orphans plans the destruction of the orphans in a state.
func (r ZoneDestroyOrphans) orphans(ctx context.Context, m *Manager, st *state, what string) (*operation, error) {
	var of []zones.BE
	for _, z := range st.zones {
		for _, o := range m.orphans(st, z) {
			if o.Dataset != r.but && (len(r.Names) == 0 || slices.Contains(r.Names, z.Name)) {
				of = append(of, o)
			}
		}
	}
	op := &operation{verb: what}
	if len(of) == 0 {
		op.plan = Plan{root: st.root, Title: what}
		return op, nil
	}
	of = clonesFirst(of)
	args := orphanArgs{Root: st.root, First: of[0].Dataset, More: len(of) - 1, All: r.Snapshots}
	how := destroyArgs{All: r.Snapshots, also: datasetsOf(of)}
	plan := Plan{root: st.root, Title: what}
	for _, o := range of {
		for _, mnt := range st.mounts {
			if within(mnt.Dataset, o.Dataset) {
				return nil, refuse(Busy, "umount "+mnt.Dir, "%s: %s is mounted at %s", what, mnt.Dataset, mnt.Dir)
			}
		}
		rem, err := m.removalOf(ctx, []string{o.Dataset}, math.MaxUint64, how, what)
		if err != nil {
			return nil, err
		}
		args.Upto = max(args.Upto, rem.newest)
		plan.Frees += rem.frees
		plan.Notes = append(plan.Notes, fmt.Sprintf("goes: %s of the zone %q, made %s (%s), %s, %s", o.Name, o.Zone, minute(o.Created), daysOld(m.sys.Now(), o.Created), lastBooted(o), humanize.IBytes(o.Space)))
		plan.Notes = append(plan.Notes, rem.notes...)
	}
	op = m.orphanOperation(m.sys.UUID(), args, of)
	op.verb, op.plan = what, plan
	return op, nil
}

// daysOld is how old something is, in days: it is to say the same when it is asked for
// again.
func daysOld(now, made time.Time) string {
	days := int(now.Sub(made).Hours() / 24)
	if days < 1 {
		return "less than a day old"
	}
	return count(days, "day") + " old"
}

// clonesFirst sorts zone BEs so that each comes before the one that it was cloned
// from.
func clonesFirst(of []zones.BE) (sorted []zones.BE) {
	left := slices.Clone(of)
	slices.SortFunc(left, func(a, b zones.BE) int { return cmp.Compare(a.Dataset, b.Dataset) })
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(z zones.BE) bool {
			return !slices.ContainsFunc(left, func(c zones.BE) bool { return strings.HasPrefix(c.Origin, z.Dataset+"@") })
		})
		i = max(i, 0) // a ring cannot be
		sorted = append(sorted, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return sorted
}

func datasetsOf(of []zones.BE) []string {
	names := make([]string, len(of))
	for i, z := range of {
		names[i] = z.Dataset
	}
	return names
}

// orphanOperation: the marks hide them first. Until the first one has gone there is
// a way back, after that only forward.
func (m *Manager) orphanOperation(id string, args orphanArgs, of []zones.BE) *operation {
	op := &operation{kind: "zone-destroy-orphans", id: id, args: args, verb: "destroy orphans"}
	op.add(journal.Step{
		Name: "mark what goes",
		Do:   func(ctx context.Context) error { return m.markOrphans(ctx, id, of) },
		Undo: func(ctx context.Context) error { return m.unmarkOrphans(ctx, id) },
	})
	op.add(journal.Step{Name: "destroy " + args.First, Do: func(ctx context.Context) error {
		return m.destroyOrphans(ctx, op, id, args, func(dataset string) bool { return dataset == args.First })
	}})
	if args.More > 0 {
		op.add(journal.Step{Name: fmt.Sprintf("destroy %s", count(args.More, "more orphan")), Final: true, Do: func(ctx context.Context) error {
			return m.destroyOrphans(ctx, op, id, args, func(string) bool { return true })
		}})
	}
	op.committed = func(ctx context.Context) (int, bool, error) {
		_, there, err := m.zoneBE(ctx, args.First)
		return 2, !there, err
	}
	return op
}

// markedZones are the zone BEs that an operation of ours is to destroy. Its mark stands
// before that of another one, which had left them unfinished.
func (m *Manager) markedZones(ctx context.Context, id string) (of []zones.BE, err error) {
	st, err := m.readAll(ctx)
	if err != nil {
		return nil, err
	}
	for _, z := range st.zones {
		for _, b := range z.BEs {
			if b.Unfinished == id || strings.HasPrefix(b.Unfinished, id+" ") {
				of = append(of, b)
			}
		}
	}
	return clonesFirst(of), nil
}

// markOrphans puts an operation's mark on zone BEs, before that of another one.
func (m *Manager) markOrphans(ctx context.Context, id string, of []zones.BE) error {
	var changes []zfs.Change
	for _, o := range of {
		changes = append(changes, marks(strings.TrimSpace(id+" "+o.Unfinished), o.Dataset)...)
	}
	return m.setAll(ctx, changes)
}

func (m *Manager) unmarkOrphans(ctx context.Context, id string) error {
	of, err := m.markedZones(ctx, id)
	if err != nil {
		return err
	}
	var changes []zfs.Change
	for _, o := range of {
		changes = append(changes, marks(strings.TrimPrefix(strings.TrimPrefix(o.Unfinished, id), " "), o.Dataset)...)
	}
	return m.setAll(ctx, changes)
}

// destroyOrphans destroys those that are marked. Ending an interrupted operation,
// it leaves what something stands in the way of, without the mark.
func (m *Manager) destroyOrphans(ctx context.Context, op *operation, id string, args orphanArgs, want func(string) bool) error {
	of, err := m.markedZones(ctx, id)
	if err != nil {
		return err
	}
	for _, o := range of {
		if !want(o.Dataset) {
			continue
		}
		rem, err := m.removalOf(ctx, []string{o.Dataset}, args.Upto, destroyArgs{All: args.All, also: datasetsOf(of), recovering: args.recovering}, op.verb)
		if err == nil && len(rem.Datasets) > 0 {
			err = m.remove(ctx, rem)
		} else if err == nil {
			op.result.Notes = append(op.result.Notes, rem.notes...)
			err = m.sys.ZFS.Set(ctx, marks("", o.Dataset))
		}
		if _, refused := errors.AsType[*Error](err); args.recovering && (refused || zfs.Is(err, zfs.Busy) || zfs.Is(err, zfs.Dependents)) {
			op.result.Notes = append(op.result.Notes, fmt.Sprintf("%s is left: %v", o.Dataset, err))
			err = m.sys.ZFS.Set(ctx, marks("", o.Dataset))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
