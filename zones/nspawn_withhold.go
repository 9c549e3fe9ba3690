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

// A drop-in of systemd-nspawn@.service looks for files with the machine's name in
// two directories. A machine that is in the first starts only where it is in the
// second.
const (
	// knownDir has the zones of the host, each with the name of its zonepath
	// dataset. It lasts, so that where nothing can be found out at a boot none of
	// them starts.
	knownDir = "var/lib/snapbe/zones"
	// placedDir has those whose root is in place. It goes with the boot, being in
	// /run.
	placedDir = "run/snapbe/placed"
)

// Withhold keeps the two directories. A zone that is in place is told so before it
// is known, and one that is not the other way round.
func (n *Nspawn) Withhold(_ context.Context, of []Placement, absent []string) error {
	root, err := n.tree()
	if err != nil {
		return err
	}
	defer root.Close()
	placed, known := map[string]string{}, map[string]string{}
	for _, z := range of {
		known[z.Name] = z.Dataset + "\n"
		if z.Placed {
			placed[z.Name] = ""
		}
	}
	err = leave(root, placedDir, placed, func(string) bool { return false })
	if err == nil {
		err = leave(root, knownDir, known, func(dataset string) bool {
			return slices.ContainsFunc(absent, func(in string) bool { return strings.HasPrefix(dataset, in+"/") })
		})
	}
	if err != nil {
		return fmt.Errorf("withhold machines: %w", err)
	}
	return nil
}

// leave leaves these files in a directory, and of others those whose text is to
// stay.
func leave(root *os.Root, dir string, files map[string]string, stays func(text string) bool) error {
	was, err := fs.ReadDir(root.FS(), dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range was {
		name := path.Join(dir, e.Name())
		if _, ok := files[e.Name()]; ok {
			continue
		}
		if text, _, err := readSmall(root, name); err == nil && stays(string(text)) {
			continue
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if len(files) > 0 {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for name, text := range files {
		name = path.Join(dir, name)
		if is, _, err := readSmall(root, name); err == nil && string(is) == text {
			continue
		}
		if err := root.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Withhold has nothing to do: a zone without an active zone BE for the running
// boot environment does not boot on illumos.
func (z *Illumos) Withhold(context.Context, []Placement, []string) error { return nil }
