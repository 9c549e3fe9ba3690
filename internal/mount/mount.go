// Package mount shows ZFS datasets as one directory tree: for the caller
// alone (View), for everybody (Attach), or to a command that runs in it
// (Exec). A tree that is being put together lives in a mount namespace of its
// own, so a process that is killed leaves nothing behind, and mount points
// are opened without following a symlink out of the tree, whatever the
// datasets contain.
package mount

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Entry is one dataset and the place where it shows.
type Entry struct {
	// Dataset is a filesystem, or a snapshot, which can only be read.
	Dataset string
	// Dir is the place below the tree's root, "." for the root itself,
	// without a leading slash otherwise.
	Dir string
	// ReadOnly keeps this entry from being written to.
	ReadOnly bool
	// NoExec, NoSetuid and NoDevices are the ZFS properties exec=off,
	// setuid=off and devices=off: on Linux the mount has to ask for them,
	// the kernel does not take them from the dataset.
	NoExec, NoSetuid, NoDevices bool
}

// Tree is the entries of a directory tree, parents before what is mounted
// beneath them; the first one is the root, ".".
type Tree []Entry

// ErrUnsupported says that this platform cannot mount.
var ErrUnsupported = errors.New("mounting is not supported on this platform")

// check refuses a tree whose entries do not name places inside it.
func (t Tree) check() error {
	if len(t) == 0 || t[0].Dir != "." {
		return errors.New("tree does not begin with its root")
	}
	for i, e := range t {
		switch {
		case e.Dataset == "":
			return fmt.Errorf("no dataset for %q", e.Dir)
		case strings.ContainsRune(e.Dir+e.Dataset, 0):
			return fmt.Errorf("dataset %q at %q: NUL in the name", e.Dataset, e.Dir)
		case i > 0 && (e.Dir == "." || !filepath.IsLocal(e.Dir) || filepath.Clean(e.Dir) != e.Dir):
			return fmt.Errorf("dataset %q: mount point %q is not a plain path below the root", e.Dataset, e.Dir)
		}
	}
	return nil
}

// Process is one that keeps a tree busy.
type Process struct {
	PID  int
	Name string
}

// BusyError tells what keeps a tree from being detached.
type BusyError struct {
	// Dir is the mount that is in use.
	Dir     string
	Dataset string
	// By is the processes that were found to use it; one that uses it from
	// another mount namespace may be missing.
	By []Process
}

func (e *BusyError) Error() string {
	s := fmt.Sprintf("%q is busy", e.Dir)
	if e.Dataset != "" {
		s = fmt.Sprintf("%q (dataset %q) is busy", e.Dir, e.Dataset)
	}
	for i, p := range e.By {
		sep := ", "
		if i == 0 {
			sep = ": in use by "
		}
		s += fmt.Sprintf("%sprocess %d (%s)", sep, p.PID, p.Name)
	}
	return s
}
