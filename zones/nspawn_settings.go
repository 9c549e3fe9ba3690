package zones

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// CopySettings copies /etc/systemd/nspawn/SRC.nspawn, but for the machine ID
// and the host name, which would be SRC's (systemd.nspawn(5)). The file appears
// whole or not at all. Where SRC has none it does nothing.
func (n *Nspawn) CopySettings(_ context.Context, src, dst string) error {
	if err := errors.Join(n.CheckName(src), n.CheckName(dst)); err != nil {
		return err
	}
	if err := n.copySettings(src, dst); err != nil {
		return fmt.Errorf("copy the settings of %q to %q: %w", src, dst, err)
	}
	return nil
}

func (n *Nspawn) copySettings(src, dst string) error {
	root, err := n.tree()
	if err != nil {
		return err
	}
	defer root.Close()
	to := settingsFile(dst)
	switch _, err := root.Lstat(to); {
	case err == nil: // said here too, since SRC may have none
		return &fs.PathError{Op: "create", Path: "/" + to, Err: fs.ErrExist}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	text, info, err := readSmall(root, settingsFile(src))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return writeNew(root, to, []byte(withoutOwn(string(text))), info.Mode().Perm())
}

// RemoveSettings removes /etc/systemd/nspawn/NAME.nspawn.
func (n *Nspawn) RemoveSettings(_ context.Context, name string) error {
	if err := n.CheckName(name); err != nil {
		return err
	}
	if err := n.removeSettings(name); err != nil {
		return fmt.Errorf("remove the settings of %q: %w", name, err)
	}
	return nil
}

func (n *Nspawn) removeSettings(name string) error {
	root, err := n.tree()
	if err != nil {
		return err
	}
	defer root.Close()
	err = root.Remove(settingsFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return syncDir(root, settingsDir)
}

// ownKeys are the settings that tell one machine from another: MachineID=
// stands in for /etc/machine-id, and Hostname= for the machine's name.
var ownKeys = []string{"MachineID", "Hostname"}

// withoutOwn leaves out the assignments of ownKeys, with the lines that go on
// with them; all else stays as it is (systemd.syntax(7)).
func withoutOwn(text string) string {
	var b strings.Builder
	drop, goesOn := false, false
	for line := range strings.Lines(text) {
		content := strings.TrimSpace(line)
		comment := content != "" && strings.ContainsRune("#;", rune(content[0]))
		if goesOn && comment { // a comment does not end the line above it
			if !drop {
				b.WriteString(line)
			}
			continue
		}
		if !goesOn {
			key, _, ok := strings.Cut(content, "=")
			drop = ok && !comment && slices.Contains(ownKeys, strings.TrimSpace(key))
		}
		if !drop {
			b.WriteString(line)
		}
		goesOn = !comment && strings.HasSuffix(strings.TrimRight(line, "\r\n"), `\`)
	}
	return b.String()
}

// writeNew makes a file that is not there yet, whole or not at all, and
// durably so. The error is fs.ErrExist where it is there.
func writeNew(root *os.Root, name string, text []byte, mode fs.FileMode) error {
	dir, base := path.Split(name)
	tmp := dir + "." + base + ".snapbe-new"
	if err := root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = root.Link(tmp, name) // a rename would overwrite
	}
	err = errors.Join(err, root.Remove(tmp))
	if err != nil {
		return err
	}
	return syncDir(root, dir)
}

// syncDir makes the names in a directory durable.
func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(path.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
