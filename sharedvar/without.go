package sharedvar

import (
	"errors"
	"io/fs"

	"snapbe/internal/treecopy"
)

// Without gives a tree that was cloned without its share empty directories, as a
// new share would have them, where symlinks of its /var lead nowhere now. It tells
// of each.
func Without(be *treecopy.Tree) (dirs []string, err error) {
	names, err := be.Names("var")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	top, err := be.Peek("var")
	if err != nil {
		return nil, err
	}
	p := placer{be: be}
	for _, dir := range names {
		is, err := look(be, "var/"+dir)
		if err != nil {
			return dirs, err
		}
		if is.Kind != treecopy.Symlink || is.Target != "share/"+dir || CheckDir(dir) != nil {
			continue
		}
		there, err := look(be, "var/share/"+dir)
		if err != nil {
			return dirs, err
		}
		if there.Kind != "" {
			continue // somebody's own
		}
		like, err := p.fresh(dir)
		if err != nil {
			return dirs, err
		}
		// With shifted user IDs, root is not the host's.
		if like.UID = top.UID; like.GID < 0 {
			like.GID = top.GID
		}
		if err := be.Remove("var/" + dir); err != nil {
			return dirs, err
		}
		if err := be.Mkdir("var/"+dir, like); err != nil {
			return dirs, err
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}
