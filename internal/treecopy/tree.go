package treecopy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Tree is a directory tree, open. Its names are relative to its root, with
// slashes between, in any bytes; "." is the root. Mounts below the root belong
// to it.
type Tree struct {
	// Before, where it is not nil, is called before each change of the tree,
	// which does not happen if it returns an error: for tests of what a power
	// cut leaves behind.
	Before func(what string) error
	// NamesLater leaves it to Sync that a file which has taken another one's
	// place is there after a power cut; its content is on disk before. It
	// halves the time of many small files.
	NamesLater bool
	dir        *os.File
}

// Open opens the tree below root, which may be closed after that.
func Open(root *os.Root) (*Tree, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	dir, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("open tree %q: %w", root.Name(), err)
	}
	return &Tree{dir: dir}, nil
}

// Close closes the tree.
func (t *Tree) Close() error { return t.dir.Close() }

func (t *Tree) before(format string, names ...any) error {
	if t.Before == nil {
		return nil
	}
	return t.Before(fmt.Sprintf(format, names...))
}

// Write puts a file with that content, and with like's mode, owner, times,
// ACLs and extended attributes, in name's place: whole or not at all, and on
// disk when it returns, but for NamesLater. Before that, nobody may read it who may not in the
// end. It returns the bytes written, which zeros are not. A directory in its place is a *KindError,
// a symlink is replaced. It takes as long as content does: a context belongs
// there.
//
// What the filesystem cannot keep of the attributes is an error, but for the
// labels of security modules (security.selinux), which are the policy's.
func (t *Tree) Write(name string, content io.Reader, like Info) (int64, error) {
	return t.put(name, like, func(f *os.File) (int64, error) { return writeAll(f, content) })
}

// Copy puts a copy of from's name in the place of as, like Write does: of a
// file, whose holes stay holes, or of a symlink. Of a directory it copies the
// attributes alone, and makes it where it is missing. It returns the bytes
// that were written, which zeros are not. What ends with ctx changes nothing.
func (t *Tree) Copy(ctx context.Context, from *Tree, name, as string) (int64, error) {
	info, err := from.Peek(name)
	if err != nil {
		return 0, err
	}
	switch info.Kind {
	case File:
		f, info, err := from.open(name)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		return t.put(as, info, func(to *os.File) (int64, error) { return copyContent(ctx, to, f, info) })
	case Symlink:
		return 0, t.putSymlink(as, info)
	case Dir:
		if info, err = from.Lstat(name); err != nil {
			return 0, err
		}
		return 0, t.putDir(as, info)
	}
	return 0, &KindError{Name: name, Is: info.Kind, Want: File}
}

func (t *Tree) putDir(name string, like Info) error {
	if like.Kind != Dir {
		return &KindError{Name: name, Is: like.Kind, Want: Dir}
	}
	err := t.Mkdir(name, like)
	if !errors.Is(err, os.ErrExist) {
		return err
	}
	is, err := t.Peek(name)
	if err != nil {
		return err
	}
	if is.Kind != Dir {
		return &KindError{Name: name, Is: is.Kind, Want: Dir}
	}
	return t.SetAttributes(name, like)
}

// OpenFile opens a regular file for reading. A symlink is a *LinkError,
// anything else a *KindError.
func (t *Tree) OpenFile(name string) (*os.File, error) {
	f, _, err := t.open(name)
	return f, err
}

// Symlink puts a symlink to target, which is not looked at, in name's place,
// like Write does.
func (t *Tree) Symlink(target, name string) error {
	return t.putSymlink(name, Info{Kind: Symlink, Type: os.ModeSymlink, Target: target, UID: -1, GID: -1})
}

// checkName refuses names that do not stay inside the tree. It is not
// fs.ValidPath, which wants UTF-8.
func checkName(name string) error {
	if name == "." {
		return nil
	}
	if strings.ContainsRune(name, 0) {
		return fmt.Errorf("name %q: NUL in it", name)
	}
	// Each step of a name is walked from the root.
	if len(name) > 1<<15 {
		return fmt.Errorf("name %.40q…: is too long", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("name %q: is not a plain path below the root", name)
		}
	}
	return nil
}

// split takes a name apart into directory and last component.
func split(name string) (dir, base string, err error) {
	if err := checkName(name); err != nil {
		return "", "", err
	}
	if name == "." {
		return "", "", errors.New("the root of a tree cannot be changed")
	}
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i], name[i+1:], nil
	}
	return ".", name, nil
}

// Join is the name of base in dir.
func Join(dir, base string) string {
	if dir == "." {
		return base
	}
	return dir + "/" + base
}

// nameMax is NAME_MAX of the Linux file systems, and of ZFS.
const nameMax = 255

// TempName is what a new file is called, beside its place, until it is whole:
// always the same, so that what a power cut left behind is found and replaced.
func TempName(base string) string {
	const suffix = ".snapbe-new"
	if len(base)+1+len(suffix) > nameMax {
		sum := sha256.Sum256([]byte(base))
		base = base[:128] + "-" + hex.EncodeToString(sum[:8])
	}
	return "." + base + suffix
}
