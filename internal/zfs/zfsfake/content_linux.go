package zfsfake

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// copyXattrs copies what the file system underneath lets it.
func copyXattrs(from, to string) error {
	names := make([]byte, 64<<10)
	n, err := unix.Llistxattr(from, names)
	if err == unix.ENOTSUP {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listxattr %s: %w", from, err)
	}
	start := 0
	for i, c := range names[:n] {
		if c != 0 {
			continue
		}
		name := string(names[start:i])
		start = i + 1
		value := make([]byte, 64<<10)
		m, err := unix.Lgetxattr(from, name, value)
		if err != nil {
			return fmt.Errorf("getxattr %s: %w", from, err)
		}
		if err := unix.Lsetxattr(to, name, value[:m], 0); err != nil && err != unix.ENOTSUP && err != unix.EPERM {
			return fmt.Errorf("setxattr %s: %w", to, err)
		}
	}
	return nil
}
