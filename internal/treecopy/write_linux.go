package treecopy

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// put writes a file beside a name, and then in its place.
func (t *Tree) put(name string, like Info, fill func(*os.File) (int64, error)) (int64, error) {
	dir, base, err := t.parent(name)
	if err != nil {
		return 0, err
	}
	defer closeFD(dir)
	var written int64
	err = t.replace(dir, base, name, File, func(temp string) error {
		f, n, err := create(dir, temp, name, like, fill)
		if err != nil {
			return err
		}
		written = n
		if err := f.Sync(); err != nil {
			f.Close()
			return fmt.Errorf("sync %q: %w", name, err)
		}
		return f.Close()
	})
	if err != nil {
		return 0, err
	}
	return written, nil
}

// create makes a new file, with all attributes, and leaves it open.
func create(dir int, base, name string, like Info, fill func(*os.File) (int64, error)) (*os.File, int64, error) {
	// Nobody may open it until it has its attributes; who has it open may.
	fd, err := unix.Openat(dir, base, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("create %q: %w", name, why(dir, ".", err))
	}
	f := os.NewFile(uintptr(fd), name)
	n, err := fill(f)
	if err != nil {
		err = fmt.Errorf("write %q: %w", name, err)
	} else {
		err = apply(fd, name, like)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, n, nil
}

// putSymlink makes a symlink beside a name, and then in its place.
func (t *Tree) putSymlink(name string, like Info) error {
	dir, base, err := t.parent(name)
	if err != nil {
		return err
	}
	defer closeFD(dir)
	return t.replace(dir, base, name, Symlink, func(temp string) error {
		return createSymlink(dir, temp, name, like)
	})
}

func createSymlink(dir int, base, name string, like Info) error {
	if err := unix.Symlinkat(like.Target, dir, base); err != nil {
		return fmt.Errorf("symlink %q: %w", name, err)
	}
	return applyAt(dir, base, name, like)
}

// applyAt gives attributes to what was just made in a directory, which must be
// of like's type: somebody may have put another file's link there.
func applyAt(dir int, base, name string, like Info) error {
	fd, err := openat2(dir, base, unix.O_PATH, 0)
	if err != nil {
		return fmt.Errorf("open %q: %w", name, err)
	}
	defer closeFD(fd)
	is, err := stat(fd, name)
	if err == nil && is.Type != like.Type {
		err = &KindError{Name: name, Is: is.Kind, Want: like.Kind}
	}
	if err != nil {
		return err
	}
	return apply(fd, name, like)
}

// replace has a temporary name made, and renames it. Whatever goes wrong, the
// temporary name is gone again.
func (t *Tree) replace(dir int, base, name string, kind Kind, build func(temp string) error) (err error) {
	if err := notDir(dir, base, name, kind); err != nil {
		return err
	}
	temp := TempName(base)
	if err := t.before("make %q beside %q", temp, name); err != nil {
		return err
	}
	if err := unix.Unlinkat(dir, temp, 0); err == unix.EISDIR {
		return &KindError{Name: Join(path.Dir(name), temp), Is: Dir, Want: kind}
	} else if err != nil && err != unix.ENOENT {
		return fmt.Errorf("remove %q, left over beside %q: %w", temp, name, err)
	}
	defer func() {
		if err == nil || t.before("remove %q", temp) != nil {
			return
		}
		if e := unix.Unlinkat(dir, temp, 0); e != nil && e != unix.ENOENT {
			err = errors.Join(err, fmt.Errorf("remove %q beside %q: %w", temp, name, e))
		}
	}()
	if err := build(temp); err != nil {
		return err
	}
	if err := t.before("rename %q to %q", temp, name); err != nil {
		return err
	}
	if err := unix.Renameat(dir, temp, dir, base); err != nil {
		return fmt.Errorf("replace %q: %w", name, why(dir, base, err))
	}
	if t.NamesLater {
		return nil
	}
	return syncDir(dir, name)
}

// notDir refuses to put something of another kind in a directory's place.
func notDir(dir int, base, name string, kind Kind) error {
	fd, err := openat2(dir, base, unix.O_PATH, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open %q: %w", name, err)
	}
	defer closeFD(fd)
	is, err := stat(fd, name)
	if err == nil && is.Kind == Dir {
		return &KindError{Name: name, Is: Dir, Want: kind}
	}
	return err
}

// why says more of an EPERM where it is known.
func why(dir int, base string, err error) error {
	if err != unix.EPERM {
		return err
	}
	for _, name := range []string{base, "."} {
		fd, e := openat2(dir, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if e != nil {
			continue
		}
		info, e := inspect(fd, name)
		closeFD(fd)
		if e == nil && info.Immutable {
			what := "it"
			if name == "." {
				what = "its directory"
			}
			return fmt.Errorf("%s is immutable or append-only (chattr(1)): %w", what, err)
		}
	}
	return err
}

// syncDir puts the entries of a directory on disk, after a change of name.
func syncDir(dir int, name string) error {
	if err := unix.Fsync(dir); err != nil {
		return fmt.Errorf("sync the directory of %q: %w", name, err)
	}
	return nil
}

// syncName puts a file or directory on disk, after a change of its attributes;
// of others those go with their directory.
func (t *Tree) syncName(name string) error {
	info, err := t.Peek(name)
	if err != nil {
		return err
	}
	if info.Kind != File && info.Kind != Dir {
		return nil
	}
	fd, err := t.openName(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	if err := unix.Fsync(fd); err != nil {
		return fmt.Errorf("sync %q: %w", name, err)
	}
	return nil
}
