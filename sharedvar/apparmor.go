package sharedvar

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"snapbe/internal/treecopy"
)

// tunables is the directory that every AppArmor profile of Debian has in it, by
// tunables/global; aliasFile is ours.
const (
	tunables  = "etc/apparmor.d/tunables/home.d"
	aliasFile = tunables + "/snapbe"
)

// Confine tells AppArmor where the directories of a BE that are on the share
// are: it judges by the path that a link leads to, and a profile that names
// /var/log would keep its service from writing there. A BE without AppArmor is
// left alone. It runs before the profiles are loaded.
func Confine(be *treecopy.Tree, dirs []string) error {
	info, err := look(be, tunables)
	if err != nil || info.Kind != treecopy.Dir {
		return err
	}
	text, err := aliases(be, dirs)
	if err != nil {
		return err
	}
	old, err := readAll(be, aliasFile)
	if err != nil || string(old) == text {
		return err
	}
	if text == "" {
		return be.Remove(aliasFile)
	}
	_, err = be.Write(aliasFile, strings.NewReader(text), treecopy.Info{Kind: treecopy.File, Mode: 0o644, UID: -1, GID: -1})
	return err
}

// aliases is the file's content; "" where nothing is on the share.
func aliases(be *treecopy.Tree, dirs []string) (string, error) {
	var lines strings.Builder
	for _, dir := range dirs {
		is, err := look(be, "var/"+dir)
		if err != nil {
			return "", err
		}
		if is.Kind == treecopy.Symlink && is.Target == "share/"+dir {
			fmt.Fprintf(&lines, "alias %q -> %q,\n", "/var/"+dir+"/", "/var/share/"+dir+"/")
		}
	}
	if lines.Len() == 0 {
		return "", nil
	}
	return "# Made by snapbe at boot: these directories are symlinks into /var/share.\n" + lines.String(), nil
}

// readAll reads a small file; nil where there is none.
func readAll(t *treecopy.Tree, name string) ([]byte, error) {
	f, err := t.OpenFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<16))
}
