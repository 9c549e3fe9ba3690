//go:build !linux

package treecopy

import (
	"context"
	"os"
)

// A Tree cannot be opened here, so that none of its methods is ever called.

func supported() error { return ErrUnsupported }

// Lstat is not supported here.
func (t *Tree) Lstat(string) (Info, error) { return Info{}, ErrUnsupported }

// Peek is not supported here.
func (t *Tree) Peek(string) (Info, error) { return Info{}, ErrUnsupported }

// Names is not supported here.
func (t *Tree) Names(string) ([]string, error) { return nil, ErrUnsupported }

// Link is not supported here.
func (t *Tree) Link(string, string) error { return ErrUnsupported }

// SetAttributes is not supported here.
func (t *Tree) SetAttributes(string, Info) error { return ErrUnsupported }

// Remove is not supported here.
func (t *Tree) Remove(string) error { return ErrUnsupported }

// RemoveAll is not supported here.
func (t *Tree) RemoveAll(string) error { return ErrUnsupported }

// Rename is not supported here.
func (t *Tree) Rename(string, string) error { return ErrUnsupported }

// Mkdir is not supported here.
func (t *Tree) Mkdir(string, Info) error { return ErrUnsupported }

// Sync is not supported here.
func (t *Tree) Sync() error { return ErrUnsupported }

// CopyTree is not supported here.
func (t *Tree) CopyTree(context.Context, *Tree, string, string, ...CopyOption) (CopyReport, error) {
	return CopyReport{}, ErrUnsupported
}

// CopyContents is not supported here.
func (t *Tree) CopyContents(context.Context, *Tree, string, string, ...CopyOption) (CopyReport, error) {
	return CopyReport{}, ErrUnsupported
}

func (t *Tree) open(string) (*os.File, Info, error) { return nil, Info{}, ErrUnsupported }

func (t *Tree) put(string, Info, func(*os.File) (int64, error)) (int64, error) {
	return 0, ErrUnsupported
}

func frozen(*os.File, uint64) bool { return false }

func (t *Tree) putSymlink(string, Info) error { return ErrUnsupported }
