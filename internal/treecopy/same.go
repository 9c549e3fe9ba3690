package treecopy

import (
	"context"
	"fmt"
	"maps"
	"strings"
)

// Same tells whether two names hold the same: kind, mode, owner, ACLs and
// extended attributes, and content, target or device number. Times do not
// count, nor does what is beneath a directory. Holes are not read, but where a
// file that may still be written to is so young that they are not to be trusted;
// that takes until ctx ends, if need be. A name that
// is missing on either side is fs.ErrNotExist.
func Same(ctx context.Context, a *Tree, an string, b *Tree, bn string) (bool, error) {
	ia, err := a.Lstat(an)
	if err != nil {
		return false, err
	}
	ib, err := b.Lstat(bn)
	if err != nil {
		return false, err
	}
	if !SameAttributes(ia, ib) || ia.Target != ib.Target || ia.Number != ib.Number {
		return false, nil
	}
	if ia.Kind != File || ia.Device == ib.Device && ia.Inode == ib.Inode {
		return true, nil
	}
	return SameContent(ctx, a, an, b, bn)
}

// SameAttributes tells whether kind, mode, owner, ACLs and extended attributes
// are the same.
func SameAttributes(a, b Info) bool {
	if a.Kind != b.Kind || a.Type != b.Type || a.UID != b.UID || a.GID != b.GID {
		return false
	}
	return a.Kind == Symlink || a.Mode == b.Mode && maps.Equal(ownXattrs(a, b), ownXattrs(b, a))
}

// ownXattrs is a's attributes but for the labels that b cannot have.
func ownXattrs(a, b Info) map[string]string {
	all := maps.Clone(a.Xattrs)
	maps.DeleteFunc(all, func(x, _ string) bool {
		_, both := b.Xattrs[x]
		return isLabel(x) && !both
	})
	return all
}

// SameContent tells whether two regular files have the same content.
func SameContent(ctx context.Context, a *Tree, an string, b *Tree, bn string) (bool, error) {
	fa, ia, err := a.open(an)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, ib, err := b.open(bn)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	if ia.Size != ib.Size {
		return false, nil
	}
	same, err := sameContent(ctx, newSparse(fa, ia), newSparse(fb, ib))
	if err != nil {
		return false, fmt.Errorf("compare %q with %q: %w", an, bn, err)
	}
	return same, nil
}

// isLabel tells of the labels of security modules: the kernel gives and
// checks them by the policy that is loaded.
func isLabel(xattr string) bool {
	return strings.HasPrefix(xattr, "security.") && xattr != "security.capability"
}
