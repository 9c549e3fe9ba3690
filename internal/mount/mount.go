// Package mount shows ZFS datasets as one directory tree: for the caller
// alone (View), for everybody (Attach), or to a command that runs in it
// (Exec). A tree that is being put together lives in a mount namespace of its
// own, so a process that is killed leaves nothing behind, and mount points
// are opened without following a symlink out of the tree, whatever the
// datasets contain.
package mount

// Entry is one dataset and the place where it shows.
type Entry struct {
	Dataset string
	// Dir is the place below the tree's root, "." for the root itself,
	// without a leading slash otherwise.
	Dir string
}

// Tree is the entries of a directory tree, parents before what is mounted
// beneath them; the first one is the root, ".".
type Tree []Entry
