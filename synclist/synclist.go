// Package synclist brings the files that every boot environment must agree on
// from the one that ran last, the source, to the one that is to run next, the
// target. Each is judged against what both once had in common, the base: what
// one side alone changed is taken or kept, what both changed is a conflict,
// which is reported and leaves the target as it is. Record files are merged
// record by record, logs get what the source gained, and an account that was
// locked in the source is locked in the target.
package synclist

import (
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"snapbe/internal/treecopy"
)

// Sides are the trees that are compared. Only Target is ever changed.
type Sides struct {
	Source, Target *treecopy.Tree
	// Base is the common ancestor. Where there is none, a file counts as
	// changed when its mtime or ctime is after Since, which is Live Upgrade's
	// rule.
	Base  *treecopy.Tree
	Since time.Time
	// Origin, where there is one, is an ancestor older than Base. What neither
	// it nor the target has was never taken away in the target: the source
	// gained it, though Base has it already. And what the target still has as
	// Origin has it never changed there, so that Origin takes Base's place. It
	// is of use where the last sync was from the target to the source: where it
	// was the same way as this one, that has looked back already.
	Origin *treecopy.Tree
	// Was, where there is one, is the target as the last sync between the two
	// left it, not older. What is otherwise there now, the target has changed
	// since, though it be back to Origin. Without it, nothing that is locked in
	// the target is opened, and nothing removed, for the sake of Origin.
	Was *treecopy.Tree
	// Known, where there is one, is the target as the source has last taken it
	// over: what that has was taken away in the target, where that has it no more.
	Known *treecopy.Tree
	// Had, where Base is of neither side, is the source as it was when it had taken
	// Base over. What it had then, and has no more, it has removed, though Base
	// never had it; so it is in the target too, where that is still as Was.
	Had *treecopy.Tree
	// Partly are states of the source, oldest first, that the target has begun to
	// take over without coming to the end: where it is as one of them, that takes
	// Base's place.
	Partly []*treecopy.Tree
	// Logs, where there is one, takes the place of Base, Origin and Was for APPEND and
	// PREPEND. Where Base is the target's own, its lines are not in the source's
	// order: what the source gained is told by what it was itself.
	Logs *Past
	// Shared tells that a path lies on storage that all BEs have in common, and
	// why; it is left out then, with all beneath it. It may be nil.
	Shared func(path string) (why string, ok bool)
}

// Past is what sides are compared with, as in Sides.
type Past struct {
	Base, Origin, Was *treecopy.Tree
}

// Options are the caller's wishes for Apply.
type Options struct {
	// Strict treats every line as if it were marked STRICT.
	Strict bool
}

// ConflictError tells that a line marked STRICT could not be settled.
type ConflictError struct {
	// Items are the conflicts and refusals.
	Items []Item
	// Late tells that this was only found out when it was written to, and the
	// other files with it. Otherwise nothing was written.
	Late bool
}

func (e *ConflictError) Error() string {
	more := ""
	if n := len(e.Items) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	what := "which must be settled before anything is written"
	if e.Late {
		what = "as was only found out when other files had been written"
	}
	return fmt.Sprintf("%s%s, %s", e.Items[0], more, what)
}

// Plan judges every file of a list, and changes nothing. The bytes of its
// report are the most that Apply would write; holes it would not.
//
// The first file that cannot be read is an error that names it.
func Plan(ctx context.Context, list List, sides Sides) (*Report, error) {
	return run(ctx, list, sides, false)
}

// Apply judges every file of a list and brings the target up to date, file by
// file, each of them at every instant old or new. Run again, it finds nothing
// to do. Where a line is marked STRICT and cannot be settled it returns a
// *ConflictError before the first write; what changed since then may make it one
// that is Late. A file that cannot be read or written
// is an error that names it; the report tells what was done until then.
func Apply(ctx context.Context, list List, sides Sides, options Options) (*Report, error) {
	strict := options.Strict
	for _, l := range list {
		strict = strict || l.Strict
	}
	if strict {
		report, err := Plan(ctx, list, sides)
		if err != nil {
			return report, err
		}
		if open := report.unsettled(options.Strict); len(open) > 0 {
			return report, &ConflictError{Items: open}
		}
	}
	report, err := run(ctx, list, sides, true)
	if err == nil && strict {
		if open := report.unsettled(options.Strict); len(open) > 0 {
			err = &ConflictError{Items: open, Late: true}
		}
	}
	return report, err
}

// syncer goes through a list.
type syncer struct {
	sides Sides
	// lines are those of the list, by path: one of its own overrides that of a
	// directory above.
	lines  map[string]Line
	write  bool
	report *Report
	// rejectedUIDs and rejectedGIDs are the numbers of users and groups that do
	// not mean in the target who they mean in the source, with the reasons: what
	// is new must not be theirs.
	rejectedUIDs map[int]string
	rejectedGIDs map[int]string
	seen         contents
}

func run(ctx context.Context, list List, sides Sides, write bool) (*Report, error) {
	s := &syncer{
		sides: sides, lines: map[string]Line{}, write: write, report: &Report{},
		rejectedUIDs: map[int]string{}, rejectedGIDs: map[int]string{}, seen: contents{},
	}
	for _, l := range list {
		s.lines[l.Path] = l
	}
	merged := map[string]bool{}
	// Accounts come first: whose a file is they decide.
	files := slices.DeleteFunc(slices.Clone(list), func(l Line) bool { return l.Mode == Merge })
	accounts := slices.DeleteFunc(slices.Clone(list), func(l Line) bool { return l.Mode != Merge })
	for _, l := range slices.Concat(accounts, files) {
		var err error
		switch l.Mode {
		case Overwrite:
			err = naming(l, s.overwrite(ctx, l))
		case Append, Prepend:
			err = naming(l, s.extend(ctx, l))
		case Merge:
			// The record files of a directory depend on each other.
			if dir := path.Dir(l.Path); !merged[dir] {
				merged[dir] = true
				err = s.mergeFiles(ctx, list.mergedIn(dir))
			}
		default:
			err = naming(l, fmt.Errorf("mode %q is none of %s", l.Mode, modeNames))
		}
		if err != nil {
			return s.report, err
		}
	}
	return s.report, nil
}

func naming(l Line, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sync %q: %w", l.Path, err)
}

// shared tells whether a name is left out because all BEs have it in common,
// and reports it.
func (s *syncer) shared(line Line, name string) bool {
	if s.sides.Shared == nil {
		return false
	}
	why, ok := s.sides.Shared("/" + name)
	if ok {
		s.report.add(line, Item{Path: "/" + name, Action: Shared, Why: why})
	}
	return ok
}
