package synclist

import (
	"context"
	"strings"

	"snapbe/internal/treecopy"
)

// missing settles a name that the source has not.
func (w *walk) missing(ctx context.Context, t three) error {
	top := t.name == w.top
	var err error
	if t.base, err = w.ancestor(t, wholly(ctx, t.name)); err != nil {
		return err
	}
	switch {
	case !t.tgt.there || !t.base.there:
		// Nobody has it, or the target alone.
		if top {
			w.item(t, Skipped, NotInSource)
		} else if t.tgt.there {
			w.item(t, Kept, "")
		}
	case !w.line.Remove:
		w.item(t, Kept, "removed in the source; the line does not say REMOVE")
	case top && t.tgt.Kind == treecopy.Dir:
		// Rather a mount that is missing than thousands of files removed.
		w.item(t, Skipped, "the whole directory is missing in the source; REMOVE is for what is in it")
	default:
		_, err = w.remove(ctx, t)
		return err
	}
	return nil
}

// remove removes from the target what was removed in the source and has not
// changed since the base. It tells whether the name is gone then.
func (w *walk) remove(ctx context.Context, t three) (gone bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if !t.base.there {
		w.item(t, Kept, "")
		return false, nil
	}
	if t.tgt.Kind == treecopy.Dir && t.base.Kind == treecopy.Dir {
		if empty, err := w.removeChildren(ctx, t); err != nil || !empty {
			return false, err
		}
	}
	differs, err := differences(ctx, t.name, t.tgt, t.base)
	if err != nil {
		return false, err
	}
	switch {
	case len(differs) > 0:
		w.item(t, Conflict, "removed in the source, changed in the target: %s", strings.Join(differs, ", "))
		return false, nil
	case t.tgt.Immutable:
		w.item(t, Refused, "it is immutable in the target (chattr(1))")
		return false, nil
	}
	removed := len(w.report.Items)
	err = w.do(ctx, t, Item{Action: Removed, Why: "removed in the source"}, 0, func() (int64, error) {
		return 0, w.sides.Target.Remove(t.name)
	})
	if err != nil {
		return false, err
	}
	items := w.report.Items[removed:]
	return len(items) > 0 && items[0].Action == Removed, nil
}

// removeChildren tells whether nothing is left in a directory.
func (w *walk) removeChildren(ctx context.Context, t three) (empty bool, err error) {
	names, err := w.sides.Target.Names(t.name)
	if err != nil {
		return false, err
	}
	empty = true
	for _, n := range names {
		name := treecopy.Join(t.name, n)
		if w.elsewhere(name) || w.shared(w.line, name) || w.tooLong(name) {
			empty = false
			continue
		}
		child, skipped, ok, err := w.lookAt(name)
		if err != nil {
			return false, err
		}
		if !ok {
			w.note(skipped)
			empty = false
			continue
		}
		if child.base, err = w.ancestor(child, wholly(ctx, name)); err != nil {
			return false, err
		}
		gone, err := w.remove(ctx, child)
		if err != nil {
			return false, err
		}
		empty = empty && gone
	}
	w.more(t.name)
	return empty, nil
}
