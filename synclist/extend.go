package synclist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"snapbe/internal/treecopy"
)

// extend syncs the file of a line with APPEND or PREPEND: what the source
// gained since the base is added to the target, which keeps its own.
func (s *syncer) extend(ctx context.Context, line Line) error {
	if past := s.sides.Logs; past != nil {
		of := *s
		of.sides.Base, of.sides.Origin, of.sides.Was = past.Base, past.Origin, past.Was
		s = &of
	}
	w := &walk{syncer: s, line: line, top: line.Path[1:]}
	if w.shared(line, w.top) {
		return nil
	}
	return w.patiently(ctx, w.top, func() error { return w.extendOnce(ctx) })
}

func (w *walk) extendOnce(ctx context.Context) error {
	t, skipped, ok, err := w.lookAt(w.top)
	if err != nil {
		return err
	}
	if !ok {
		w.note(skipped)
		return nil
	}
	if why := notFiles(t); why != "" {
		w.item(t, Refused, "%s; %s is for files", why, w.line.Mode)
		return nil
	}
	switch {
	case !t.src.there:
		w.item(t, Skipped, NotInSource)
		return nil
	case t.tgt.blocked:
		w.note(blocked(t))
		return nil
	case !t.tgt.there:
		return w.file(ctx, t)
	}
	e := &extension{walk: w, three: t}
	defer e.close()
	return e.run(ctx)
}

// notFiles says which side has something else than a file.
func notFiles(t three) string {
	for _, at := range []struct {
		called string
		side
	}{{"source", t.src}, {"target", t.tgt}, {"base", t.base}} {
		if at.there && at.Kind != treecopy.File {
			return fmt.Sprintf("it is a %s in the %s", at.Kind, at.called)
		}
	}
	return ""
}

// extension is a file that is appended or prepended to.
type extension struct {
	*walk
	three
	open []io.Closer
}

func (e *extension) close() {
	for _, f := range e.open {
		f.Close()
	}
}

// unclear says why it cannot be told what the source gained.
type unclear string

func (u unclear) Error() string { return string(u) }

func (e *extension) run(ctx context.Context) error {
	like, differs, err := e.attributesOf(e.three)
	if err != nil {
		return err
	}
	add, err := e.addition(ctx)
	if why, is := errors.AsType[unclear](err); is {
		i := conflict(e.three, append([]string{"content"}, differs...))
		i.Why = string(why)
		e.note(i)
		return nil
	}
	if err != nil {
		return err
	}
	i := Item{Action: Same, Differs: differs}
	if len(differs) > 0 {
		i.Source, i.Target = stat(e.src), stat(e.tgt)
	}
	changed := attributes(like, e.tgt.Info)
	switch {
	case add.size() > 0 && e.line.Mode == Prepend:
		i.Action = Prepended
	case add.size() > 0:
		i.Action = Appended
	case len(changed) > 0:
		i.Action, i.Why = Copied, "changed in the source alone: "+strings.Join(changed, ", ")
	default:
		i.Path = "/" + e.name
		e.note(i)
		return nil
	}
	if e.tgt.Immutable {
		e.item(e.three, Refused, "it is immutable in the target (chattr(1))")
		return nil
	}
	if e.src.Modified.After(like.Modified) {
		like.Modified = e.src.Modified
	}
	return e.do(ctx, e.three, i, e.tgt.Size+add.size(), func() (int64, error) { return e.rewrite(ctx, add, like) })
}

// rewrite puts the target's content with the addition in its place.
func (e *extension) rewrite(ctx context.Context, add text, like treecopy.Info) (int64, error) {
	tgt, err := e.text(e.tgt.tree, e.name)
	if err != nil {
		return 0, err
	}
	whole := append(append(text{}, tgt...), add...)
	if e.line.Mode == Prepend {
		whole = append(append(text{}, add...), tgt...)
	}
	return e.sides.Target.Write(e.name, &cancelled{ctx, whole.reader(0)}, like)
}

// cancelled is a reader that ends with its context.
type cancelled struct {
	ctx context.Context
	io.Reader
}

func (c *cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(p)
}

// text opens a file of one of the trees, until the extension is closed.
func (e *extension) text(tree *treecopy.Tree, name string) (text, error) {
	f, err := tree.OpenFile(name)
	if err != nil {
		return nil, err
	}
	e.open = append(e.open, f)
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return text{{f, 0, info.Size()}}, nil
}

// addition is what to add to the target.
func (e *extension) addition(ctx context.Context) (text, error) {
	differs, err := differences(ctx, e.name, e.src, e.tgt)
	if err != nil {
		return nil, err
	}
	// Two empty logs may each be new, after a rotation.
	empty := e.src.Size == 0 && e.tgt.Size == 0 && e.line.Mode == Append && e.sides.Base != nil
	if (len(differs) == 0 || differs[0] != "content") && !empty {
		return nil, nil
	}
	if e.sides.Base == nil && !e.changedByTime(e.src.Info) {
		return nil, nil
	}
	add, err := e.sinceOrigin(ctx)
	if _, is := errors.AsType[unclear](err); !is {
		return add, err
	}
	if e.line.Mode == Prepend {
		return e.before(ctx)
	}
	gain, rest, err := e.gained(ctx)
	if _, is := errors.AsType[unclear](err); is && empty {
		return nil, nil
	}
	if err != nil || gain.size() == 0 {
		return nil, err
	}
	if rest.size() == 0 {
		return gain, nil
	}
	have, err := contained(ctx, gain, rest, forwards)
	if err != nil {
		return nil, err
	}
	add = gain.from(have.bytes)
	if have.open || have.binary {
		// The target's last line is the beginning of the next one.
		return add, nil
	}
	return e.joined(add, "", nil)
}

// before is what to add at the target's beginning.
func (e *extension) before(ctx context.Context) (text, error) {
	if e.sides.Base == nil {
		return nil, unclear("there is no common ancestor to tell what the source gained")
	}
	base, src, tgt, err := e.texts()
	if err != nil {
		return nil, err
	}
	ends, err := src.hasSuffix(ctx, base)
	if err != nil {
		return nil, err
	}
	if !ends {
		return nil, unclear("the source does not end any more with what the common ancestor had")
	}
	gain, rest := src.upTo(src.size()-base.size()), tgt
	if ends, err = tgt.hasSuffix(ctx, base); err != nil {
		return nil, err
	}
	if ends {
		rest = tgt.upTo(tgt.size() - base.size())
	}
	if gain.size() == 0 || rest.size() == 0 {
		return gain, nil
	}
	have, err := contained(ctx, gain, rest, backwards)
	if err != nil {
		return nil, err
	}
	return e.joined(gain.upTo(gain.size()-have.bytes), "", nil)
}

// texts opens the file on all sides; a base that lacks it is empty.
func (e *extension) texts() (base, src, tgt text, err error) {
	if src, err = e.text(e.src.tree, e.name); err != nil {
		return nil, nil, nil, err
	}
	if tgt, err = e.text(e.tgt.tree, e.name); err != nil {
		return nil, nil, nil, err
	}
	if e.base.there {
		base, err = e.text(e.base.tree, e.name)
	}
	return base, src, tgt, err
}
