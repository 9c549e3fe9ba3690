package mount

import (
	"errors"
	"fmt"
	"os"
)

// View shows a tree to f alone, and unmounts it before it returns, so that
// nothing is busy afterwards; a process that is killed leaves no mount. f
// runs on a thread of its own that has its own mount namespace: the tree is
// to be used through root, from any goroutine, and not after f returned.
// Read-only, nothing is written to the datasets and no mount point is made.
func View(tree Tree, readOnly bool, f func(root *os.Root) error) error {
	return privately(func() (err error) {
		s, err := assemble(tree, readOnly)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.unmount()) }()
		root, err := os.OpenRoot(s.dir)
		if err != nil {
			return fmt.Errorf("open dataset %q: %w", tree[0].Dataset, err)
		}
		defer root.Close()
		return f(root)
	})
}
