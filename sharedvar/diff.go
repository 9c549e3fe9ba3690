package sharedvar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"snapbe/internal/treecopy"
)

// ChangeKind is in which way a name differs.
type ChangeKind string

// The kinds of change.
const (
	Added   ChangeKind = "added"
	Removed ChangeKind = "removed"
	// Changed is another content, or target of a symlink.
	Changed ChangeKind = "changed"
	// Attributes is another mode, owner, ACL or extended attribute alone.
	Attributes ChangeKind = "attributes"
)

// Change is one name that differs.
type Change struct {
	Path string     `json:"path"`
	Kind ChangeKind `json:"kind"`
	// Is is what it is now, or was where it was removed.
	Is treecopy.Kind `json:"is"`
	// OldSize and NewSize are in bytes, of files alone.
	OldSize int64 `json:"old_size"`
	NewSize int64 `json:"new_size"`
}

// Diff tells what differs at path and beneath it, in now against then, which
// is a snapshot of it; "." is everything. It calls tell for each name, in the
// order of directories read one after the other, each by name, and ends with
// the error that tell returns. A directory that is new or gone is told with
// all beneath it; a name that is of another kind now is removed and added.
// Times do not count. A file with the same inode, ctime and size is not read.
func Diff(ctx context.Context, then, now *treecopy.Tree, path string, tell func(Change) error) error {
	d := differ{then, now, tell}
	return d.compare(ctx, path, path)
}

type differ struct {
	then, now *treecopy.Tree
	tell      func(Change) error
}

// compare compares a name of then with one of now; changes are told by the
// latter.
func (d differ) compare(ctx context.Context, then, now string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	old, err := d.look(d.then, then)
	if err != nil {
		return err
	}
	is, err := d.look(d.now, now)
	if err != nil {
		return err
	}
	if old.Kind != is.Kind {
		if err := d.all(d.then, then, now, old, Removed); err != nil {
			return err
		}
		return d.all(d.now, now, now, is, Added)
	}
	if is.Kind == "" {
		return nil
	}
	kind, err := d.one(ctx, then, now, old, is)
	if err != nil {
		return present(err)
	}
	if kind != "" {
		err = d.tell(Change{Path: now, Kind: kind, Is: is.Kind, OldSize: size(old), NewSize: size(is)})
	}
	if err != nil || is.Kind != treecopy.Dir {
		return err
	}
	names, err := d.names(then, now)
	if err != nil {
		return present(err)
	}
	for _, n := range names {
		if err := d.compare(ctx, treecopy.Join(then, n), treecopy.Join(now, n)); err != nil {
			return err
		}
	}
	return nil
}

// present forgives what went away while it was looked at.
func present(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// look is Peek, with no kind for what is missing, if only because something
// else than a directory is on the way.
func (d differ) look(t *treecopy.Tree, name string) (treecopy.Info, error) {
	info, err := look(t, name)
	if _, link := errors.AsType[*treecopy.LinkError](err); link || errors.Is(err, syscall.ENOTDIR) {
		return treecopy.Info{}, nil
	}
	return info, err
}

func size(i treecopy.Info) int64 {
	if i.Kind == treecopy.File {
		return i.Size
	}
	return 0
}

// one tells how a name differs that is of the same kind on both sides.
func (d differ) one(ctx context.Context, then, now string, old, is treecopy.Info) (ChangeKind, error) {
	if old.Inode == is.Inode && old.Changed.Equal(is.Changed) && old.Size == is.Size {
		return "", nil
	}
	if old.Target != is.Target || old.Type != is.Type || old.Number != is.Number || size(old) != size(is) {
		return Changed, nil
	}
	if is.Kind == treecopy.File {
		same, err := treecopy.SameContent(ctx, d.then, then, d.now, now)
		if err != nil {
			return "", err
		}
		if !same {
			return Changed, nil
		}
	}
	a, errA := d.then.Lstat(then)
	b, errB := d.now.Lstat(now)
	if err := cmp.Or(errA, errB); err != nil {
		return "", err
	}
	if !treecopy.SameAttributes(a, b) {
		return Attributes, nil
	}
	return "", nil
}

// names is all names of two directories, each once.
func (d differ) names(then, now string) ([]string, error) {
	a, err := d.then.Names(then)
	if err != nil {
		return nil, err
	}
	b, err := d.now.Names(now)
	if err != nil {
		return nil, err
	}
	all := append(a, b...)
	slices.Sort(all)
	return slices.Compact(all), nil
}

// all tells of a name and all beneath it that they came or went.
func (d differ) all(t *treecopy.Tree, name, as string, info treecopy.Info, kind ChangeKind) error {
	if info.Kind == "" {
		return nil
	}
	c := Change{Path: as, Kind: kind, Is: info.Kind}
	if kind == Added {
		c.NewSize = size(info)
	} else {
		c.OldSize = size(info)
	}
	if err := d.tell(c); err != nil || info.Kind != treecopy.Dir {
		return err
	}
	names, err := t.Names(name)
	if err != nil {
		return present(err)
	}
	for _, n := range names {
		info, err := look(t, treecopy.Join(name, n))
		if err != nil {
			return err
		}
		if err := d.all(t, treecopy.Join(name, n), treecopy.Join(as, n), info, kind); err != nil {
			return err
		}
	}
	return nil
}

var errDiffers = errors.New("differs")

// within tells whether all that is at name in a is the same at as in b, which
// may hold more.
func within(ctx context.Context, a *treecopy.Tree, name string, b *treecopy.Tree, as string) (bool, error) {
	d := differ{a, b, func(c Change) error {
		if c.Kind == Added {
			return nil
		}
		return errDiffers
	}}
	err := d.compare(ctx, name, as)
	if err == errDiffers {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("compare %q with %q in the share: %w", name, as, err)
	}
	return true, nil
}
