package sharedvar

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"snapbe/internal/treecopy"
)

// Restore puts what then, a snapshot, has at path in its place in now, with
// all beneath it, and returns the bytes that were copied. Where then has
// nothing there, what now has is removed; where now misses the directories
// above, they are made. A file is there whole or not at all; a directory is
// for a moment missing while it is replaced. A power cut at any point leaves
// what there was or what is to be, and the same call does the rest.
//
// What is mounted in the place, or cannot be moved, is a *MountError or
// *ImmutableError, before anything is changed. Flags of chattr(1) are not
// restored.
func Restore(ctx context.Context, then, now *treecopy.Tree, path string) (int64, error) {
	if path == "." {
		return 0, errors.New("the share is not restored as a whole: name what to restore")
	}
	n, err := restore(ctx, then, now, path)
	if err != nil {
		return 0, fmt.Errorf("restore %q: %w", path, err)
	}
	return n, nil
}

func restore(ctx context.Context, then, now *treecopy.Tree, path string) (int64, error) {
	was, err := look(then, path)
	if err != nil && !errors.Is(err, syscall.ENOTDIR) {
		return 0, err
	}
	is, err := look(now, path)
	if err != nil && (was.Kind != "" || !errors.Is(err, syscall.ENOTDIR)) {
		return 0, err
	}
	if is.Kind != "" {
		if err := obstacle(now, path, nil); err != nil {
			return 0, err
		}
	}
	place := inPlace{now, path, is}
	if was.Kind == "" {
		return 0, place.remove()
	}
	if err := makeParents(then, now, path); err != nil {
		return 0, err
	}
	return place.replace(ctx, then, was)
}

// inPlace is a name that is to be replaced or removed.
type inPlace struct {
	now  *treecopy.Tree
	path string
	is   treecopy.Info
}

// fresh and old are what is beside the name meanwhile; both are derived from
// it, so that they are found again.
func (p inPlace) fresh() string { return beside(p.path, treecopy.TempName) }
func (p inPlace) old() string {
	return beside(p.path, func(base string) string {
		return strings.TrimSuffix(treecopy.TempName(base), "new") + "old"
	})
}

func beside(path string, name func(string) string) string {
	i := strings.LastIndexByte(path, '/') + 1
	return path[:i] + name(path[i:])
}

func (p inPlace) replace(ctx context.Context, then *treecopy.Tree, was treecopy.Info) (int64, error) {
	if err := p.now.RemoveAll(p.fresh()); err != nil {
		return 0, err
	}
	if p.is.Kind != treecopy.Dir && (was.Kind == treecopy.File || was.Kind == treecopy.Symlink) {
		n, err := p.now.Copy(ctx, then, p.path, p.path)
		if err != nil {
			return 0, err
		}
		return n, p.now.RemoveAll(p.old())
	}
	report, err := p.now.CopyTree(ctx, then, p.path, p.fresh(), treecopy.WithSpecials)
	if err != nil {
		return 0, errors.Join(err, p.now.RemoveAll(p.fresh()))
	}
	if err := p.setAside(was.Kind == treecopy.Dir); err != nil {
		return 0, err
	}
	if err := p.now.Rename(p.fresh(), p.path); err != nil {
		return 0, err
	}
	return report.Bytes, p.now.RemoveAll(p.old())
}

// setAside makes way where a rename does not.
func (p inPlace) setAside(forDir bool) error {
	if p.is.Kind == "" || p.is.Kind != treecopy.Dir && !forDir {
		return nil
	}
	if err := p.now.RemoveAll(p.old()); err != nil {
		return err
	}
	return p.now.Rename(p.path, p.old())
}

// remove removes a directory as a whole, too.
func (p inPlace) remove() error {
	if err := p.now.RemoveAll(p.fresh()); err != nil {
		return err
	}
	if err := p.setAside(true); err != nil {
		return err
	}
	return p.now.RemoveAll(p.old())
}

// makeParents makes the directories above a path that are missing in now, as
// then has them.
func makeParents(then, now *treecopy.Tree, path string) error {
	for i, c := range path {
		if c != '/' {
			continue
		}
		dir := path[:i]
		is, err := look(now, dir)
		if err == nil {
			err = wantDir(dir, is)
		}
		if err != nil {
			return err
		}
		if is.Kind != "" {
			continue
		}
		like, err := then.Lstat(dir)
		if err != nil {
			return err
		}
		// Beside its place, so that it is there with its attributes or not.
		temp := beside(dir, treecopy.TempName)
		if err := now.RemoveAll(temp); err != nil {
			return err
		}
		if err := now.Mkdir(temp, like); err != nil {
			return err
		}
		if err := now.Rename(temp, dir); err != nil {
			return err
		}
	}
	return nil
}
