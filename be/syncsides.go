package be

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"snapbe/internal/mount"
	"snapbe/internal/treecopy"
	"snapbe/synclist"
)

// withSides shows f the trees of a sync; of the source the snapshot where one is
// named, else as it is now.
func (s *syncing) withSides(ctx context.Context, snap string, readOnly bool, f func(synclist.Sides) error) error {
	source, err := s.m.tree(ctx, BE{Dataset: s.source.Dataset})
	if err != nil {
		return err
	}
	if snap != "" {
		if source, err = s.m.treeAt(ctx, s.source.Dataset+"@"+snap); err != nil {
			return err
		}
	}
	target, err := s.m.tree(ctx, BE{Dataset: s.target.Dataset})
	if err != nil {
		return err
	}
	sides := synclist.Sides{Since: s.target.Created}
	sides.Shared = func(name string) (string, bool) {
		if s.zone != "" {
			if !s.share {
				return "", false
			}
			return onZoneShare(name, sides.Source, sides.Target)
		}
		if why, ok := s.shared(name); ok {
			return why, ok
		}
		return onShare(s.st.shareDirs, name, sides.Source, sides.Target)
	}
	var logs synclist.Past
	show := s.view(target, readOnly, &sides.Target, func() error {
		if logs.Base != nil {
			logs.Was, sides.Logs = sides.Base, &logs
		}
		return f(sides)
	})
	for _, v := range []struct {
		tree mount.Tree
		to   **treecopy.Tree
	}{
		{s.base.logsOrigin, &logs.Origin}, {s.base.logs, &logs.Base}, {s.base.known, &sides.Known}, {s.base.had, &sides.Had},
		{s.base.was, &sides.Was}, {s.base.origin, &sides.Origin}, {s.base.tree, &sides.Base}, {source, &sides.Source},
	} {
		show = s.view(v.tree, true, v.to, show)
	}
	sides.Partly = make([]*treecopy.Tree, len(s.base.partly))
	for i, tree := range s.base.partly {
		show = s.view(tree, true, &sides.Partly[i], show)
	}
	return show()
}

// view makes a call of f with a tree shown in *to; a tree that is nil is not.
func (s *syncing) view(t mount.Tree, readOnly bool, to **treecopy.Tree, f func() error) func() error {
	if t == nil {
		return f
	}
	return func() error {
		return s.m.viewTree(s.relevant(t), readOnly, func(tree *treecopy.Tree) error {
			*to = tree
			return f()
		})
	}
}

// viewTree is Host.View for a tree whose files are changed.
func (m *Manager) viewTree(t mount.Tree, readOnly bool, f func(*treecopy.Tree) error) error {
	return m.sys.Host.View(t, readOnly, func(root *os.Root) error {
		tree, err := treecopy.Open(root)
		if err != nil {
			return err
		}
		tree.Before = m.sys.BeforeFile
		return errors.Join(f(tree), tree.Close())
	})
}

// relevant leaves out the nested datasets that nothing on the list lies in:
// mounting a hundred of them takes seconds.
func (s *syncing) relevant(t mount.Tree) mount.Tree {
	return slices.DeleteFunc(slices.Clone(t), func(e mount.Entry) bool {
		return e.Dir != "." && !slices.ContainsFunc(s.list, func(l synclist.Line) bool {
			return within(l.Path, "/"+e.Dir) || within("/"+e.Dir, l.Path)
		})
	})
}

// shared tells why a path is not the BE's own: what is mounted there belongs to
// all of them.
func (s *syncing) shared(name string) (why string, ok bool) {
	at := mount.Mounted{Dir: "/"}
	for _, mnt := range s.st.mounts {
		if within(name, mnt.Dir) && len(mnt.Dir) >= len(at.Dir) {
			at = mnt
		}
	}
	of := func(dataset func(BE) string) bool {
		return at.FSType == "zfs" && slices.ContainsFunc(s.st.bes, func(b BE) bool { return dataset(b) != "" && within(at.Dataset, dataset(b)) })
	}
	switch {
	case at.Dir == "/" || of(func(b BE) string { return b.Dataset }):
		return "", false
	case of(func(b BE) string { return b.BootDataset }):
		return "on the boot pool, where each boot environment has its own", true
	}
	return fmt.Sprintf("on %s, which all boot environments have at %s", at.Dataset, at.Dir), true
}

// onShare tells of a path that one of the trees has on the share, and none elsewhere.
func onShare(dirs []string, name string, trees ...*treecopy.Tree) (why string, ok bool) {
	for _, d := range dirs {
		dir := "var/" + d
		if !within(name, "/"+dir) {
			continue
		}
		for _, t := range trees {
			info, err := t.Lstat(dir)
			switch link := err == nil && info.Kind == treecopy.Symlink; {
			case link && !within(info.Target, "share"):
				return "", false
			case link:
				why, ok = "on the share, which all boot environments have at /var/share", true
			}
		}
	}
	return why, ok
}
