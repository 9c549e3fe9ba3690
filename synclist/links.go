package synclist

import (
	"context"
	"errors"

	"snapbe/internal/treecopy"
)

// inode tells files apart in one tree.
type inode struct{ device, number uint64 }

// links keeps hard links of the source together in the target.
type links struct {
	// settled is a name for each inode that is in the target as in the source.
	settled map[inode]string
	// names are all names of an inode beneath the line; nil until needed.
	names map[inode][]string
}

// contents are the comparisons of files with several names, which are the same
// for each of them.
type contents map[[2]version]bool

// version is a file as it is until it is written to.
type version struct {
	inode
	size    int64
	changed int64
}

func versionOf(a side) version {
	return version{inode{a.Device, a.Inode}, a.Size, a.Changed.UnixNano()}
}

// same compares the content of two files of one size.
func (c contents) same(ctx context.Context, name string, a, b side) (bool, error) {
	pair := [2]version{versionOf(a), versionOf(b)}
	if same, known := c[pair]; known {
		return same, nil
	}
	same, err := treecopy.SameContent(ctx, a.tree, name, b.tree, name)
	if err == nil && c != nil && a.Links > 1 && b.Links > 1 {
		c[pair] = same
	}
	return same, err
}

func (l *links) settle(t three) {
	if t.src.Kind != treecopy.File || t.src.Links < 2 || t.tgt.Immutable {
		return
	}
	if l.settled == nil {
		l.settled = map[inode]string{}
	}
	if key := (inode{t.src.Device, t.src.Inode}); l.settled[key] == "" {
		l.settled[key] = t.name
	}
}

// other finds another name of a file of the source that is already the same in
// the target; empty where there is none.
func (l *links) other(ctx context.Context, w *walk, t three) (string, error) {
	if t.src.Kind != treecopy.File || t.src.Links < 2 {
		return "", nil
	}
	key := inode{t.src.Device, t.src.Inode}
	if first := l.settled[key]; first != "" {
		return first, nil
	}
	if l.names == nil {
		l.names = map[inode][]string{}
		if err := l.scan(w, w.top); err != nil {
			return "", err
		}
	}
	for _, n := range l.names[key] {
		if n == t.name {
			continue
		}
		tgt, err := look(w.sides.Target, n)
		if _, link := errors.AsType[*treecopy.LinkError](err); link {
			continue
		}
		if err != nil {
			return "", err
		}
		differs, err := differences(ctx, n, t.src, tgt)
		if passing(err) {
			continue
		}
		if err != nil {
			return "", err
		}
		if len(differs) == 0 && !tgt.Immutable {
			return n, nil
		}
	}
	return "", nil
}

// scan collects the names of all files with several.
func (l *links) scan(w *walk, name string) error {
	if tooLong(name) {
		return nil
	}
	info, err := w.sides.Source.Peek(name)
	if passing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case name != w.top && w.elsewhere(name):
	case info.Kind == treecopy.File && info.Links > 1:
		key := inode{info.Device, info.Inode}
		l.names[key] = append(l.names[key], name)
	case info.Kind == treecopy.Dir:
		names, err := w.sides.Source.Names(name)
		if err != nil && !passing(err) {
			return err
		}
		for _, n := range names {
			if err := l.scan(w, treecopy.Join(name, n)); err != nil {
				return err
			}
		}
	}
	return nil
}
