package be

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// copyDir copies the regular files and directories below from's dir into the
// root that it is given; GRUB's directory holds nothing else.
func copyDir(from *os.Root, dir string) func(to *os.Root) error {
	return func(to *os.Root) error {
		src, err := from.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer src.Close()
		return fs.WalkDir(src.FS(), ".", func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case name == ".":
				return nil
			case d.IsDir():
				return to.MkdirAll(name, 0o755)
			case d.Type().IsRegular():
				return copyOne(src, to, name)
			}
			return nil
		})
	}
}

// copyOne copies a file; a copy that a stopped run left is written anew.
func copyOne(from, to *os.Root, name string) error {
	in, err := from.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
