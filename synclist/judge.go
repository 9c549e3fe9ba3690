package synclist

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"snapbe/internal/treecopy"
)

// side is what a tree has of a name.
type side struct {
	treecopy.Info
	tree  *treecopy.Tree
	there bool
	// blocked tells that a file stands where the name goes through.
	blocked bool
	// seen is what was compared before; it may be nil.
	seen contents
}

// look tells what a tree has of a name; a tree that is nil has nothing.
func look(tree *treecopy.Tree, name string) (side, error) {
	if tree == nil {
		return side{}, nil
	}
	info, err := tree.Lstat(name)
	switch {
	case err == nil:
		return side{Info: info, tree: tree, there: true}, nil
	case errors.Is(err, fs.ErrNotExist):
		return side{tree: tree}, nil
	case errors.Is(err, syscall.ENOTDIR):
		return side{tree: tree, blocked: true}, nil
	}
	return side{}, err
}

// three is a file on all sides.
type three struct {
	name           string
	src, tgt, base side
}

// lookAt looks at a name on all sides. Where a symlink leads there, the item
// says so, and ok is false.
func (s *syncer) lookAt(name string) (t three, skipped Item, ok bool, err error) {
	t.name = name
	for _, at := range []struct {
		called string
		tree   *treecopy.Tree
		side   *side
	}{
		{"source", s.sides.Source, &t.src},
		{"target", s.sides.Target, &t.tgt},
		{"base", s.sides.Base, &t.base},
	} {
		*at.side, err = look(at.tree, name)
		at.side.seen = s.seen
		if link, is := errors.AsType[*treecopy.LinkError](err); is {
			why := fmt.Sprintf("in the %s, %v", at.called, link)
			return three{}, Item{Path: "/" + name, Action: Skipped, Why: why}, false, nil
		}
		if err != nil {
			return three{}, Item{}, false, err
		}
	}
	if t.base.there && !t.tgt.there && s.sides.Origin != nil {
		never, err := s.neverHad(name)
		if err != nil {
			return three{}, Item{}, false, err
		}
		if never {
			t.base = side{tree: t.base.tree}
		}
	}
	return t, Item{}, true, nil
}

// verdict is what follows from three sides.
type verdict int

const (
	alike verdict = iota
	// keep: changed in the target alone.
	keep
	// take: changed in the source alone.
	take
	// both: changed on both sides, and not in the same way.
	both
)

// judge compares the sides. What differs between source and target is told
// too.
func (s *syncer) judge(ctx context.Context, t three) (verdict, []string, error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	differs, err := differences(ctx, t.name, t.src, t.tgt)
	if err != nil || len(differs) == 0 {
		return alike, nil, err
	}
	base, err := s.ancestor(t, wholly(ctx, t.name))
	if err != nil {
		return 0, nil, err
	}
	src, err := s.changed(ctx, t.name, t.src, base)
	if err != nil {
		return 0, nil, err
	}
	if !src {
		return keep, differs, nil
	}
	tgt, err := s.changed(ctx, t.name, t.tgt, base)
	if err != nil {
		return 0, nil, err
	}
	if !tgt {
		return take, differs, nil
	}
	return both, differs, nil
}

// changed tells whether a side differs from the base, or where there is none
// has times after Since.
func (s *syncer) changed(ctx context.Context, name string, a, base side) (bool, error) {
	if s.sides.Base == nil {
		return a.there && s.changedByTime(a.Info), nil
	}
	differs, err := differences(ctx, name, a, base)
	return len(differs) > 0, err
}

func (s *syncer) changedByTime(i treecopy.Info) bool {
	return i.Modified.After(s.sides.Since) || i.Changed.After(s.sides.Since)
}

// differences names what differs between two sides; none: they are alike. Times
// alone do not count.
func differences(ctx context.Context, name string, a, b side) ([]string, error) {
	if !a.there || !b.there {
		if a.there != b.there {
			return []string{"existence"}, nil
		}
		return nil, nil
	}
	d := attributes(a.Info, b.Info)
	if a.Kind != b.Kind || a.Kind != treecopy.File || untouched(a.Info, b.Info) {
		return d, nil
	}
	same := a.Size == b.Size
	if same && a.Size > 0 {
		var err error
		if same, err = a.seen.same(ctx, name, a, b); err != nil {
			return nil, err
		}
	}
	if !same {
		d = append([]string{"content"}, d...)
	}
	return d, nil
}

// attributes names the attributes that differ.
func attributes(a, b treecopy.Info) []string {
	var d []string
	note := func(what string, differs bool) {
		if differs {
			d = append(d, what)
		}
	}
	if a.Kind != b.Kind || a.Type != b.Type {
		return []string{"kind"}
	}
	note("target", a.Target != b.Target)
	note("device number", a.Number != b.Number)
	note("mode", a.Kind != treecopy.Symlink && a.Mode != b.Mode)
	note("owner", a.UID != b.UID || a.GID != b.GID)
	a.Mode, a.UID, a.GID = b.Mode, b.UID, b.GID
	note("extended attributes", !treecopy.SameAttributes(a, b))
	return d
}

// sureSize is from where on a file is not read when its inode says enough.
const sureSize = 1 << 20

// untouched tells of a large file that has not been written since both were
// one: a clone keeps inode numbers, and nobody can set a ctime. For small files
// that is no matter worth trusting the clock's granularity for.
func untouched(a, b treecopy.Info) bool {
	return a.Size >= sureSize && a.Size == b.Size && a.Inode == b.Inode &&
		a.Changed.Equal(b.Changed) && a.Modified.Equal(b.Modified)
}

// attributesOf settles the attributes of a file whose content is settled by
// itself. They are the source's where it alone changed them, otherwise the
// target's; what both changed is returned too.
func (s *syncer) attributesOf(t three) (like treecopy.Info, differs []string, err error) {
	like = t.tgt.Info
	differs = attributes(t.src.Info, t.tgt.Info)
	if len(differs) == 0 {
		return like, nil, nil
	}
	base, err := s.ancestor(t, outwardly)
	if err != nil {
		return like, nil, err
	}
	changed := func(a side) bool {
		if s.sides.Base == nil {
			return s.changedByTime(a.Info)
		}
		return !base.there || len(attributes(a.Info, base.Info)) > 0
	}
	switch {
	case !changed(t.src):
		return like, nil, nil
	case !changed(t.tgt):
		return t.src.Info, nil, nil
	}
	return like, differs, nil
}

// conflict is the item of a file that both sides changed.
func conflict(t three, differs []string) Item {
	return Item{
		Path: "/" + t.name, Action: Conflict, Differs: differs, Why: "changed on both sides",
		Source: stat(t.src), Target: stat(t.tgt),
	}
}

func stat(a side) *Stat {
	if !a.there {
		return nil
	}
	return &Stat{Size: a.Size, Modified: a.Modified.Truncate(time.Second)}
}
