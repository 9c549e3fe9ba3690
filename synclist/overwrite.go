package synclist

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"snapbe/internal/treecopy"
)

// overwrite syncs the file, symlink or directory of a line.
func (s *syncer) overwrite(ctx context.Context, line Line) error {
	w := &walk{syncer: s, line: line, top: line.Path[1:]}
	return w.entry(ctx, w.top)
}

// walk goes through what is beneath a line's path.
type walk struct {
	*syncer
	line  Line
	top   string
	links links
	// refused is how many names were, by directory.
	refused map[string]int
}

// note reports an item. What needs nothing is only counted beneath a directory.
func (w *walk) note(i Item) {
	if i.Path != w.line.Path {
		switch i.Action {
		case Same:
			w.report.Unchanged++
			return
		case Kept:
			w.report.Kept++
			return
		case Refused:
			if w.refused == nil {
				w.refused = map[string]int{}
			}
			dir := path.Dir(i.Path)
			if w.refused[dir]++; w.refused[dir] > mostRefused {
				return
			}
		}
	}
	w.report.add(w.line, i)
}

func (w *walk) item(t three, action Action, format string, args ...any) {
	w.note(Item{Path: "/" + t.name, Action: action, Why: fmt.Sprintf(format, args...)})
}

// elsewhere tells of a name that has a line of its own, or is what a power cut
// left of a write.
func (w *walk) elsewhere(name string) bool {
	if _, own := w.lines["/"+name]; own && name != w.top {
		return true
	}
	base := path.Base(name)
	return strings.HasPrefix(base, ".") && strings.HasSuffix(base, newSuffix)
}

func (w *walk) entry(ctx context.Context, name string) error {
	if w.elsewhere(name) || w.shared(w.line, name) || w.tooLong(name) {
		return nil
	}
	return w.patiently(ctx, name, func() error { return w.once(ctx, name) })
}

func (w *walk) once(ctx context.Context, name string) error {
	t, skipped, ok, err := w.lookAt(name)
	if err != nil {
		return err
	}
	if !ok {
		w.note(skipped)
		return nil
	}
	switch {
	case !t.src.there:
		return w.missing(ctx, t)
	case t.tgt.blocked:
		w.note(blocked(t))
		return nil
	case t.src.Kind == treecopy.Dir:
		return w.directory(ctx, t)
	}
	return w.file(ctx, t)
}

// directory syncs a directory of the source, and what is in it.
func (w *walk) directory(ctx context.Context, t three) error {
	if t.tgt.there && t.tgt.Kind != treecopy.Dir {
		if t.tgt.Kind == treecopy.Symlink {
			w.item(t, Skipped, "in the target, %v", &treecopy.LinkError{Name: t.name, Target: t.tgt.Target})
		} else {
			w.item(t, Conflict, "a directory in the source, a %s in the target", t.tgt.Kind)
		}
		return nil
	}
	v, differs, err := w.judge(ctx, t)
	if err != nil {
		return err
	}
	made := false
	switch {
	case !t.tgt.there && t.base.there:
		// Taken away in the target: what changed in it brings it back.
	case v == take && t.tgt.Immutable:
		w.item(t, Refused, "it is immutable in the target (chattr(1))")
	case v == take && w.foreign(t) != "":
		w.item(t, Refused, "%s", w.foreign(t))
		if !t.tgt.there {
			return nil
		}
	case v == take:
		made = !t.tgt.there
		if made {
			// Told once, and not of all that is in it.
			why, err := w.hindered(t.name)
			if err != nil {
				return err
			}
			if why != "" {
				w.item(t, Refused, "%s", why)
				return nil
			}
		}
		why := strings.Join(differs, ", ")
		if made {
			why = "new in the source"
		}
		act := func() (int64, error) { return w.sides.Target.Copy(ctx, w.sides.Source, t.name, t.name) }
		if made {
			act = func() (int64, error) { return 0, w.makeDir(ctx, t.name) }
		}
		if err := w.do(ctx, t, Item{Action: Copied, Why: why}, 0, act); err != nil {
			return err
		}
	case v == both:
		w.note(conflict(t, differs))
	case v == keep:
		w.item(t, Kept, "changed in the target alone: %s", strings.Join(differs, ", "))
	default:
		w.item(t, Same, "")
	}
	if err := w.children(ctx, t); err != nil {
		return err
	}
	if made && w.write {
		// Its own times were changed by what was put into it.
		if _, err := w.sides.Target.Copy(ctx, w.sides.Source, t.name, t.name); err != nil && !refusable(err) && !passing(err) {
			return err
		}
	}
	return nil
}

func (w *walk) children(ctx context.Context, t three) error {
	names, err := w.sides.Source.Names(t.name)
	if passing(err) {
		return nil // gone meanwhile, with all that was in it
	}
	if err != nil {
		return err
	}
	defer w.more(t.name)
	for _, n := range names {
		if err := w.entry(ctx, treecopy.Join(t.name, n)); err != nil {
			return err
		}
	}
	if !w.line.Remove || !t.tgt.there {
		return nil
	}
	inTarget, err := w.sides.Target.Names(t.name)
	if passing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range inTarget {
		if _, found := slices.BinarySearch(names, n); found {
			continue
		}
		if err := w.entry(ctx, treecopy.Join(t.name, n)); err != nil {
			return err
		}
	}
	return nil
}

// file syncs a file or symlink of the source.
func (w *walk) file(ctx context.Context, t three) error {
	v, differs, err := w.judge(ctx, t)
	if err != nil {
		return err
	}
	why := "changed in the source alone: " + strings.Join(differs, ", ")
	switch {
	case v == alike:
		w.links.settle(t)
		w.item(t, Same, "")
		return nil
	case v == keep && !t.tgt.there:
		w.item(t, Kept, "removed in the target")
		return nil
	case v == keep:
		w.item(t, Kept, "changed in the target alone: %s", strings.Join(differs, ", "))
		return nil
	case !t.tgt.there && t.base.there:
		why = "removed in the target, but changed in the source"
	case !t.tgt.there:
		why = "new in the source"
	case v == both:
		w.note(conflict(t, differs))
		return nil
	}
	switch {
	case t.src.Kind == treecopy.Special:
		w.item(t, Refused, "a device, FIFO or socket is not copied")
	case t.tgt.there && t.tgt.Kind == treecopy.Special:
		w.item(t, Refused, "a device, FIFO or socket is not replaced")
	case t.tgt.there && t.tgt.Kind == treecopy.Dir:
		w.item(t, Conflict, "a %s in the source, a directory in the target", t.src.Kind)
	case t.tgt.Immutable:
		w.item(t, Refused, "it is immutable in the target (chattr(1))")
	case w.foreign(t) != "":
		w.item(t, Refused, "%s", w.foreign(t))
	default:
		return w.copy(ctx, t, why)
	}
	return nil
}

// copy puts the source's file in the target, as a hard link where it is one.
func (w *walk) copy(ctx context.Context, t three, why string) error {
	first, err := w.links.other(ctx, w, t)
	if err != nil {
		return err
	}
	item, size := Item{Action: Copied, Why: why}, t.src.Size
	act := func() (int64, error) { return w.sides.Target.Copy(ctx, w.sides.Source, t.name, t.name) }
	if first != "" {
		item.Why += fmt.Sprintf("; hard link of %q", "/"+first)
		size, act = 0, func() (int64, error) { return 0, w.sides.Target.Link(first, t.name) }
	} else if t.src.Kind == treecopy.Symlink {
		size = 0
	}
	return w.do(ctx, t, item, size, act)
}

// do carries an item out, or in a plan says that it would. What cannot be
// changed because somebody forbade it is refused, and the rest goes on.
func (w *walk) do(ctx context.Context, t three, i Item, size int64, act func() (int64, error)) error {
	i.Path, i.Bytes = "/"+t.name, size
	why := ""
	if i.Action == Removed || t.src.Kind != treecopy.Dir || !t.tgt.there {
		var err error
		if why, err = w.hindered(t.name); err != nil {
			return err
		}
	}
	switch {
	case why != "":
		i = Item{Path: i.Path, Action: Refused, Why: why}
	case w.write:
		err := w.parents(ctx, t.name)
		if err == nil {
			i.Bytes, err = act()
		}
		if err != nil {
			if !refusable(err) {
				if i.Path != w.line.Path {
					err = fmt.Errorf("%q: %w", i.Path, err)
				}
				return err
			}
			i = Item{Path: i.Path, Action: Refused, Why: err.Error()}
		}
	}
	if i.Action == Copied {
		w.links.settle(t)
	}
	w.note(i)
	return nil
}

// parents makes the directories that a name is in, with the source's
// attributes.
func (s *syncer) parents(ctx context.Context, name string) error {
	dir := path.Dir(name)
	if dir == "." {
		return nil
	}
	at, err := look(s.sides.Target, dir)
	if err != nil || at.there {
		return err
	}
	if err := s.parents(ctx, dir); err != nil {
		return err
	}
	return s.makeDir(ctx, dir)
}

// makeDir makes a directory as it is in the source, at once with its
// attributes: later they would pass for the target's own.
func (s *syncer) makeDir(ctx context.Context, name string) error {
	temp := treecopy.Join(path.Dir(name), ".directory"+newSuffix)
	if err := s.sides.Target.RemoveAll(temp); err != nil {
		return err
	}
	if _, err := s.sides.Target.Copy(ctx, s.sides.Source, name, temp); err != nil {
		return err
	}
	return s.sides.Target.Rename(temp, name)
}

// newSuffix is how names end of what is not whole yet, as treecopy has them.
const newSuffix = ".snapbe-new"
