package treecopy

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// CopyTree copies what is at name in from, of whatever kind, with all beneath
// it, to as, which must not be there yet (fs.ErrExist). Hard links within it
// stay hard links. All is on disk when it returns, but a directory is not
// whole until then: make it beside its place, and rename it. What an error
// leaves behind is the caller's to remove.
func (t *Tree) CopyTree(ctx context.Context, from *Tree, name, as string, options ...CopyOption) (CopyReport, error) {
	c := copier{from: from, to: t, links: map[inode]string{}}
	for _, o := range options {
		c.specials = c.specials || o == WithSpecials
	}
	in, _, err := split(as)
	if err != nil {
		return c.report, err
	}
	if _, err := t.Peek(as); err == nil {
		return c.report, fmt.Errorf("copy to %q: %w", as, fs.ErrExist)
	}
	if err := c.copy(ctx, name, as); err != nil {
		return c.report, err
	}
	return c.report, t.syncAt(in)
}

// CopyContents copies what is in the directory name of from, with all beneath it,
// into the directory as, which is there and has nothing of these names in it
// (fs.ErrExist), and gives that directory the attributes of the other one. All
// hard links within it stay hard links. For the rest it is CopyTree.
func (t *Tree) CopyContents(ctx context.Context, from *Tree, name, as string, options ...CopyOption) (CopyReport, error) {
	c := copier{from: from, to: t, links: map[inode]string{}}
	for _, o := range options {
		c.specials = c.specials || o == WithSpecials
	}
	made, err := t.Peek(as)
	if err != nil {
		return c.report, err
	}
	info, err := from.Lstat(name)
	if err != nil {
		return c.report, err
	}
	if made.Kind != Dir {
		return c.report, &KindError{Name: as, Is: made.Kind, Want: Dir}
	}
	if info.Kind != Dir {
		return c.report, &KindError{Name: name, Is: info.Kind, Want: Dir}
	}
	c.top = inode{made.Device, made.Inode}
	if err := c.copyInto(ctx, name, as, info); err != nil {
		return c.report, err
	}
	return c.report, t.syncAt(as)
}

type inode struct{ device, inode uint64 }

type copier struct {
	from, to *Tree
	specials bool
	// top is the directory that is made; it is not copied into itself.
	top inode
	// links is where the first link of a file with several was put.
	links  map[inode]string
	report CopyReport
}

func (c *copier) copy(ctx context.Context, name, as string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	info, err := c.from.Peek(name)
	if err != nil {
		return err
	}
	if info.Kind == Dir {
		return c.copyDir(ctx, name, as)
	}
	dir, base, err := c.to.parent(as)
	if err != nil {
		return err
	}
	defer closeFD(dir)
	id := inode{info.Device, info.Inode}
	if first, ok := c.links[id]; ok && info.Links > 1 {
		return c.link(first, dir, base, as)
	}
	if err := c.copyOne(ctx, name, info, dir, base, as); err != nil {
		return err
	}
	if info.Links > 1 && (info.Kind != Special || c.specials) {
		c.links[id] = as
	}
	return nil
}

func (c *copier) link(first string, dir int, base, as string) error {
	from, firstBase, err := c.to.parent(first)
	if err != nil {
		return err
	}
	defer closeFD(from)
	if err := c.to.before("link %q to %q", as, first); err != nil {
		return err
	}
	if err := unix.Linkat(from, firstBase, dir, base, 0); err != nil {
		return fmt.Errorf("link %q to %q: %w", as, first, err)
	}
	c.report.Files++
	return nil
}

// copyOne copies what is not a directory.
func (c *copier) copyOne(ctx context.Context, name string, info Info, dir int, base, as string) error {
	if info.Kind == Special && !c.specials {
		c.report.Refused = append(c.report.Refused, name)
		return nil
	}
	if err := c.to.before("make %q", as); err != nil {
		return err
	}
	c.report.Files++
	switch info.Kind {
	case File:
		return c.copyFile(ctx, name, dir, base, as)
	case Symlink:
		return createSymlink(dir, base, as, info)
	}
	info, err := c.from.Lstat(name)
	if err != nil {
		return err
	}
	if info.Kind != Special {
		return &KindError{Name: name, Is: info.Kind, Want: Special}
	}
	if err := unix.Mknodat(dir, base, specialType(info.Type), int(info.Number)); err != nil {
		return fmt.Errorf("make special file %q: %w", as, err)
	}
	return applyAt(dir, base, as, info)
}

func specialType(t fs.FileMode) uint32 {
	switch {
	case t&fs.ModeNamedPipe != 0:
		return unix.S_IFIFO
	case t&fs.ModeSocket != 0:
		return unix.S_IFSOCK
	case t&fs.ModeCharDevice != 0:
		return unix.S_IFCHR
	}
	return unix.S_IFBLK
}

func (c *copier) copyFile(ctx context.Context, name string, dir int, base, as string) error {
	f, info, err := c.from.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	c.tellImmutable(name, info)
	to, n, err := create(dir, base, as, info, func(to *os.File) (int64, error) {
		return copyContent(ctx, to, f, info)
	})
	if err != nil {
		return err
	}
	c.report.Bytes += n
	return to.Close()
}

func (c *copier) tellImmutable(name string, info Info) {
	if info.Immutable {
		c.report.Immutable = append(c.report.Immutable, name)
	}
}

func (c *copier) copyDir(ctx context.Context, name, as string) error {
	info, err := c.from.Lstat(name)
	if err != nil {
		return err
	}
	if info.Kind != Dir {
		return &KindError{Name: name, Is: info.Kind, Want: Dir}
	}
	if c.top == (inode{info.Device, info.Inode}) {
		return fmt.Errorf("copy %q: it would be copied into itself", name)
	}
	c.tellImmutable(name, info)
	dir, base, err := c.to.parent(as)
	if err != nil {
		return err
	}
	err = c.to.mkdirAt(dir, base, as)
	closeFD(dir)
	if err != nil {
		return err
	}
	if c.top == (inode{}) {
		made, err := c.to.Peek(as)
		if err != nil {
			return err
		}
		c.top = inode{made.Device, made.Inode}
	}
	return c.copyInto(ctx, name, as, info)
}

// copyInto fills a directory that was made.
func (c *copier) copyInto(ctx context.Context, name, as string, info Info) error {
	names, err := c.from.Names(name)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := c.copy(ctx, Join(name, n), Join(as, n)); err != nil {
			return err
		}
	}
	// Last: it may be read-only, and its times change with its entries.
	return c.setDir(as, info)
}

func (c *copier) setDir(as string, info Info) error {
	if err := c.to.before("attributes of %q", as); err != nil {
		return err
	}
	fd, err := c.to.openName(as, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	return apply(fd, as, info)
}
