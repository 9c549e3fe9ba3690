package mount

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openDir opens a directory below root; a symlink on the way is an error.
func openDir(root int, path string) (int, error) {
	return openBelow(root, path, unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
}

func openBelow(root int, path string, flags, resolve uint64) (int, error) {
	return unix.Openat2(root, path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC | flags,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve,
	})
}

// makeDir makes the directories that are missing on the way to path.
func makeDir(root int, path string) error {
	if parent := filepath.Dir(path); parent != "." {
		if err := makeDir(root, parent); err != nil {
			return err
		}
	}
	parent, err := openDir(root, filepath.Dir(path))
	if err != nil {
		return err
	}
	defer shut(parent)
	err = unix.Mkdirat(parent, filepath.Base(path), 0o755)
	if errors.Is(err, unix.EEXIST) {
		return nil
	} else if err != nil {
		return err
	}
	return unix.Fchmodat(parent, filepath.Base(path), 0o755, 0) // whatever the umask is
}

func explain(err error) error {
	switch {
	case errors.Is(err, unix.ELOOP):
		return errors.New("a symlink is on the way to it")
	case errors.Is(err, unix.ENOENT):
		return errors.New("no such directory")
	}
	return err
}

// shut closes a descriptor that was not written to, which cannot fail in a way
// that matters.
func shut(fd int) { _ = unix.Close(fd) }
