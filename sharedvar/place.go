package sharedvar

import (
	"context"
	"errors"
	"fmt"

	"snapbe/internal/treecopy"
)

// Placement is what became of a directory.
type Placement string

// The placements.
const (
	// Shared is what was done before, Linked only the symlink that was missing.
	Shared Placement = "is shared already"
	Linked Placement = "linked"
	// Moved had its content moved into the share.
	Moved Placement = "moved"
	// KeptAside had content, and so had the share: the BE's own is in Detail,
	// below the BE's root.
	KeptAside Placement = "kept aside"
	// Mounted, LinkedElsewhere and NoDir are as somebody else wants them, and
	// Held cannot be moved, for the reason in Detail.
	Mounted         Placement = "is a mount"
	LinkedElsewhere Placement = "is a symlink elsewhere"
	NoDir           Placement = "is no directory"
	Held            Placement = "stays as it is"
	Missing         Placement = "missing"
	Failed          Placement = "failed"
)

// Placed tells what became of one directory.
type Placed struct {
	Dir string
	Placement
	// Detail says more, where there is more.
	Detail string
}

const (
	// staging is where, in the share, a directory is made until it is whole.
	staging = ".snapbe-new"
	// before is where, in the BE, what the share had already is kept.
	before = "var/.before-share"
)

// oldName is what a directory is called in the BE while it is removed.
func oldName(dir string) string { return "var/.snapbe-old-" + dir }

// Place makes directories of /var symlinks into the share, and tells of each.
// be is the BE, from its root, with the share to be seen at /var/share; share
// is the share itself. mounted, where it is not nil, tells of the directories
// in be that a file system is or will be mounted at.
//
// A power cut at any point loses nothing, and the next call does the rest. One
// directory that fails does not keep the others from their place: it is left
// where its content is to be found, and its error is one of those joined in
// the error.
func Place(ctx context.Context, be, share *treecopy.Tree, dirs []string, mounted func(name string) bool) ([]Placed, error) {
	p := placer{be: be, share: share, mounted: mounted}
	var all []Placed
	var errs []error
	for _, dir := range dirs {
		placement, detail, err := p.place(ctx, dir)
		if err != nil {
			placement, detail = Failed, err.Error()
			errs = append(errs, fmt.Errorf("share /var/%s: %w", dir, err))
		}
		all = append(all, Placed{dir, placement, detail})
	}
	left, err := look(share, staging)
	if err == nil && left.Kind != "" {
		err = share.RemoveAll(staging)
	}
	return all, errors.Join(append(errs, err)...)
}

type placer struct {
	be, share *treecopy.Tree
	mounted   func(string) bool
}

func (p *placer) place(ctx context.Context, dir string) (_ Placement, detail string, err error) {
	if err := CheckDir(dir); err != nil {
		return "", "", err
	}
	name := "var/" + dir
	is, err := look(p.be, name)
	if err != nil {
		return "", "", err
	}
	if placement, detail, err := p.respected(dir, is); placement != "" || err != nil {
		return placement, detail, err
	}
	there, err := look(p.share, dir)
	if err == nil {
		err = wantDir("/var/share/"+dir, there)
	}
	if err != nil {
		return "", "", err
	}
	old, err := look(p.be, oldName(dir))
	if err != nil {
		return "", "", err
	}
	if old.Kind != "" && there.Kind == "" && is.Kind != treecopy.Dir {
		// What was moved is not in the share any more: begin anew.
		if is, err = p.moveBack(dir, is); err != nil {
			return "", "", err
		}
		old = treecopy.Info{}
	}
	switch is.Kind {
	case treecopy.Symlink:
		return p.shared(ctx, dir, there, old)
	case treecopy.Dir:
		return p.move(ctx, dir, there, old)
	}
	if there.Kind == "" {
		return Missing, "", nil
	}
	if err := p.be.Symlink("share/"+dir, name); err != nil || old.Kind == "" {
		return Linked, "", err
	}
	return p.finish(ctx, dir)
}

// respected tells of what is not to be changed.
func (p *placer) respected(dir string, is treecopy.Info) (Placement, string, error) {
	name := "var/" + dir
	switch is.Kind {
	case treecopy.Symlink:
		if is.Target != "share/"+dir {
			return LinkedElsewhere, is.Target, nil
		}
	case treecopy.Dir:
		parent, err := p.be.Peek("var")
		if err != nil {
			return "", "", err
		}
		if is.Mount != parent.Mount || is.Device != parent.Device || p.mounted != nil && p.mounted(name) {
			return Mounted, "", nil
		}
	case "":
		if p.mounted != nil && p.mounted(name) {
			return Mounted, "", nil
		}
	default:
		return NoDir, string(is.Kind), nil
	}
	return "", "", nil
}

// wantDir refuses what is no directory, without following a symlink.
func wantDir(name string, is treecopy.Info) error {
	switch is.Kind {
	case treecopy.Dir, "":
		return nil
	case treecopy.Symlink:
		return &treecopy.LinkError{Name: name, Target: is.Target}
	}
	return &treecopy.KindError{Name: name, Is: is.Kind, Want: treecopy.Dir}
}

func (p *placer) moveBack(dir string, is treecopy.Info) (treecopy.Info, error) {
	name := "var/" + dir
	if is.Kind == treecopy.Symlink {
		if err := p.be.Remove(name); err != nil {
			return is, err
		}
	}
	if err := p.be.Rename(oldName(dir), name); err != nil {
		return is, err
	}
	return p.be.Peek(name)
}

// shared sees to it that there is a directory where a symlink leads.
func (p *placer) shared(ctx context.Context, dir string, there, old treecopy.Info) (Placement, string, error) {
	if there.Kind == "" {
		like, err := p.fresh(dir)
		if err != nil {
			return "", "", err
		}
		err = p.stage(dir, func(staged string) error { return p.share.Mkdir(staged, like) })
		return Shared, "", err
	}
	if old.Kind == "" {
		return Shared, "", nil
	}
	return p.finish(ctx, dir)
}
