package treecopy

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Mkdir makes a directory, which must not be there yet (fs.ErrExist), with
// like's attributes.
func (t *Tree) Mkdir(name string, like Info) error {
	dir, base, err := t.parent(name)
	if err != nil {
		return err
	}
	defer closeFD(dir)
	if err := t.mkdirAt(dir, base, name); err != nil {
		return err
	}
	if err := t.before("attributes of %q", name); err != nil {
		return err
	}
	fd, err := openat2(dir, base, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("open directory %q: %w", name, err)
	}
	defer closeFD(fd)
	if err := apply(fd, name, like); err != nil {
		return err
	}
	if err := unix.Fsync(fd); err != nil {
		return fmt.Errorf("sync %q: %w", name, err)
	}
	return syncDir(dir, name)
}

func (t *Tree) mkdirAt(dir int, base, name string) error {
	if err := t.before("make directory %q", name); err != nil {
		return err
	}
	if err := unix.Mkdirat(dir, base, 0o700); err != nil {
		return fmt.Errorf("make directory %q: %w", name, why(dir, ".", err))
	}
	return nil
}

// Link makes name a hard link of old, like Write does.
func (t *Tree) Link(old, name string) error {
	from, oldBase, err := t.parent(old)
	if err != nil {
		return err
	}
	defer closeFD(from)
	dir, base, err := t.parent(name)
	if err != nil {
		return err
	}
	defer closeFD(dir)
	is, err := t.Peek(old)
	if err != nil {
		return err
	}
	if is.Kind == Dir {
		return &KindError{Name: old, Is: Dir, Want: File}
	}
	// Renamed onto another link of the same file, a link would stay.
	there, err := t.Peek(name)
	if err == nil && there.Device == is.Device && there.Inode == is.Inode {
		return nil
	}
	return t.replace(dir, base, name, is.Kind, func(temp string) error {
		if err := unix.Linkat(from, oldBase, dir, temp, 0); err != nil {
			return fmt.Errorf("link %q to %q: %w", name, old, err)
		}
		return nil
	})
}

// Rename gives a name, with all beneath it, another one, in the place of a
// file or an empty directory that has it.
func (t *Tree) Rename(from, to string) error {
	fromDir, fromBase, err := t.parent(from)
	if err != nil {
		return err
	}
	defer closeFD(fromDir)
	toDir, toBase, err := t.parent(to)
	if err != nil {
		return err
	}
	defer closeFD(toDir)
	if err := t.before("rename %q to %q", from, to); err != nil {
		return err
	}
	if err := unix.Renameat(fromDir, fromBase, toDir, toBase); err != nil {
		return fmt.Errorf("rename %q to %q: %w", from, to, why(fromDir, fromBase, err))
	}
	// The new name first: rather both than none.
	if err := syncDir(toDir, to); err != nil {
		return err
	}
	return syncDir(fromDir, from)
}

// Remove removes one name: anything but a directory that is not empty.
func (t *Tree) Remove(name string) error {
	dir, base, err := t.parent(name)
	if err != nil {
		return err
	}
	defer closeFD(dir)
	info, err := t.Peek(name)
	if err != nil {
		return err
	}
	if err := t.unlink(dir, base, name, info.Kind == Dir); err != nil {
		return err
	}
	return syncDir(dir, name)
}

func (t *Tree) unlink(dir int, base, name string, isDir bool) error {
	if err := t.before("remove %q", name); err != nil {
		return err
	}
	flags := 0
	if isDir {
		flags = unix.AT_REMOVEDIR
	}
	if err := unix.Unlinkat(dir, base, flags); err != nil {
		return fmt.Errorf("remove %q: %w", name, why(dir, base, err))
	}
	return nil
}

// RemoveAll removes a name and all beneath it, and is content where there is
// none. It does not go into what is mounted there: that is an error, as is the
// first name that cannot be removed, and what came before is gone.
func (t *Tree) RemoveAll(name string) error {
	dir, base, err := t.parent(name)
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		return err
	}
	defer closeFD(dir)
	if err := t.removeBelow(dir, base, name); err != nil {
		return err
	}
	return syncDir(dir, name)
}

// removeBelow removes what is at a path below top, which is name in the tree.
// All is opened from top, so that a directory that somebody moves away
// meanwhile is not followed.
func (t *Tree) removeBelow(top int, path, name string) error {
	parent, base := top, path
	if in, last, _ := split(path); in != "." {
		fd, err := openBelow(top, in, unix.O_RDONLY|unix.O_DIRECTORY, unix.RESOLVE_NO_XDEV)
		if err != nil {
			return fmt.Errorf("open directory of %q: %w", name, err)
		}
		defer closeFD(fd)
		parent, base = fd, last
	}
	fd, err := openat2(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, unix.RESOLVE_NO_XDEV)
	switch err {
	case nil:
	case unix.ENOENT:
		return nil
	case unix.ENOTDIR, unix.ELOOP:
		return t.unlink(parent, base, name, false)
	case unix.EXDEV:
		return fmt.Errorf("remove %q: a file system is mounted there", name)
	default:
		return fmt.Errorf("open %q: %w", name, err)
	}
	names, err := readNames(fd, name)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := t.removeBelow(top, Join(path, n), Join(name, n)); err != nil {
			return err
		}
	}
	return t.unlink(parent, base, name, true)
}
