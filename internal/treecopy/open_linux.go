package treecopy

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

func supported() error { return nil }

// beneath keeps a name below the directory where it begins, and from going
// through any link.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

// closeFD closes a descriptor that nothing was written through, or that was
// synced.
func closeFD(fd int) { _ = unix.Close(fd) }

func openat2(dir int, name string, flags int, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC | unix.O_NOFOLLOW), Resolve: beneath | resolve}
	for {
		fd, err := unix.Openat2(dir, name, &how)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err == unix.ENOSYS {
			err = errors.Join(ErrUnsupported, err)
		}
		return fd, err
	}
}

// openBelow opens a name below a directory, in steps where it is too long for
// one.
func openBelow(dir int, name string, flags int, resolve uint64) (int, error) {
	const longest = 2048 // below PATH_MAX with any one component added
	opened := -1
	for len(name) > longest+nameMax {
		i := longest + strings.IndexByte(name[longest:], '/')
		if i < longest {
			break
		}
		fd, err := openat2(dir, name[:i], unix.O_PATH|unix.O_DIRECTORY, resolve)
		if opened >= 0 {
			closeFD(opened)
		}
		if err != nil {
			return -1, err
		}
		dir, opened, name = fd, fd, name[i+1:]
	}
	fd, err := openat2(dir, name, flags, resolve)
	if opened >= 0 {
		closeFD(opened)
	}
	return fd, err
}

// openName opens a name of the tree and returns the descriptor.
func (t *Tree) openName(name string, flags int) (int, error) {
	if err := checkName(name); err != nil {
		return -1, err
	}
	defer runtime.KeepAlive(t.dir)
	fd, err := openBelow(int(t.dir.Fd()), name, flags, 0)
	// ENOTDIR: the last one is a symlink, and was to be a directory.
	if err == unix.ELOOP || err == unix.ENOTDIR {
		if e := t.link(name); e != nil {
			return -1, e
		}
	}
	if err != nil {
		return -1, fmt.Errorf("open %q: %w", name, err)
	}
	return fd, nil
}

// link finds the symlink that a name goes through; nil if it is gone.
func (t *Tree) link(name string) error {
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		fd, err := openBelow(int(t.dir.Fd()), name[:i], unix.O_PATH, 0)
		if err != nil {
			return nil
		}
		target, err := readlink(fd)
		closeFD(fd)
		if err == nil {
			return &LinkError{Name: name[:i], Target: target}
		}
	}
	return nil
}

// readlink reads the symlink that fd stands for.
func readlink(fd int) (string, error) {
	for size := 256; ; size *= 2 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(fd, "", buf)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

// parent opens the directory that holds a name.
func (t *Tree) parent(name string) (dir int, base string, err error) {
	in, base, err := split(name)
	if err != nil {
		return -1, "", err
	}
	dir, err = t.openName(in, unix.O_RDONLY|unix.O_DIRECTORY)
	return dir, base, err
}

// open opens a regular file, and tells of what was opened.
func (t *Tree) open(name string) (*os.File, Info, error) {
	// A device is not even opened: that alone may do something.
	info, err := t.Peek(name)
	if err != nil {
		return nil, Info{}, err
	}
	if err := wantFile(name, info); err != nil {
		return nil, Info{}, err
	}
	fd, err := t.openName(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, Info{}, err
	}
	f := os.NewFile(uintptr(fd), name)
	if info, err = inspect(fd, name); err == nil {
		err = wantFile(name, info)
	}
	if err != nil {
		f.Close()
		return nil, Info{}, err
	}
	return f, info, nil
}

func wantFile(name string, info Info) error {
	switch info.Kind {
	case File:
		return nil
	case Symlink:
		return &LinkError{Name: name, Target: info.Target}
	}
	return &KindError{Name: name, Is: info.Kind, Want: File}
}

// Names are the names in a directory, sorted.
func (t *Tree) Names(dir string) ([]string, error) {
	fd, err := t.openName(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return readNames(fd, dir)
}

// readNames reads a directory, and closes it.
func readNames(fd int, dir string) ([]string, error) {
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read directory %q: %w", dir, err)
	}
	slices.Sort(names)
	return names, nil
}

// Sync puts the file system of the tree's root on disk (syncfs(2)); those that
// are mounted below it are not meant.
func (t *Tree) Sync() error { return t.syncAt(".") }

// syncAt syncs the file system that holds a directory.
func (t *Tree) syncAt(dir string) error {
	fd, err := t.openName(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	if err := unix.Syncfs(fd); err != nil {
		return fmt.Errorf("sync the file system of %q: %w", dir, err)
	}
	return nil
}
