// Package treecopy reads and changes files in a directory tree that is not
// trusted. No name is ever followed through a symlink: not out of the tree, and
// not to another place in it. What is copied keeps its mode, owner, times,
// ACLs and extended attributes; what is written takes the place of the old
// whole, and is on disk when the call returns.
package treecopy

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Kind is what a name stands for.
type Kind string

// The kinds. A Special (device, FIFO, socket) is told of; CopyTree alone makes
// one, and only where it is asked to.
const (
	File    Kind = "file"
	Dir     Kind = "directory"
	Symlink Kind = "symlink"
	Special Kind = "special file"
)

// Info is what is known of a name without looking into it.
type Info struct {
	Kind Kind
	// Type has the type bits, which tell special files apart, and Number is
	// the number of a device (st_rdev).
	Type   fs.FileMode
	Number uint64
	// Mode has the permission, setuid, setgid and sticky bits.
	Mode     fs.FileMode
	UID, GID int
	// Size is in bytes.
	Size int64
	// Accessed, Modified and Changed are atime, mtime and ctime (inode(7)). As
	// attributes to be given, the first two are left as they are when zero, and
	// the last cannot be given.
	Accessed, Modified, Changed time.Time
	// Device and Inode tell hard links; Links is their number.
	Device, Inode, Links uint64
	// Mount tells mounts apart, bind mounts too (stx_mnt_id of statx(2)).
	Mount uint64
	// Target is where a symlink leads.
	Target string
	// Immutable tells of the flag of chattr(1), +i or +a.
	Immutable bool
	// Xattrs are all extended attributes, ACLs among them (xattr(7)); empty for
	// symlinks.
	Xattrs map[string]string
	// flagsKnown tells that Immutable was looked for.
	flagsKnown bool
}

// CopyReport tells what CopyTree did.
type CopyReport struct {
	// Files is the number of names that were made but for directories, Bytes
	// what was written.
	Files int
	Bytes int64
	// Refused is the names of the special files that were left out.
	Refused []string
	// Immutable is the names of what was copied without that flag.
	Immutable []string
}

// CopyOption changes what CopyTree does.
type CopyOption int

// WithSpecials has special files made anew, for a copy on the same host.
const WithSpecials CopyOption = 1

// LinkError tells that a symlink stands where a name goes through, or where a
// file or directory was to be opened.
type LinkError struct {
	// Name is the symlink, Target where it leads, as written in it.
	Name, Target string
}

func (e *LinkError) Error() string {
	return fmt.Sprintf("%q is a symlink to %q, which is not followed", e.Name, e.Target)
}

// KindError tells that a name stands for something else than it has to.
type KindError struct {
	Name     string
	Is, Want Kind
}

func (e *KindError) Error() string {
	return fmt.Sprintf("%q is a %s, not a %s", e.Name, e.Is, e.Want)
}

// ErrUnsupported says that this platform cannot do it safely.
var ErrUnsupported = errors.New("changing untrusted trees is not supported on this platform")
