package zones

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
)

// withheldDir has an empty file for each machine that is not to start; a drop-in
// of systemd-nspawn@.service looks there. It goes with the boot, being in /run.
const withheldDir = "run/snapbe/withheld"

// Withhold leaves a file for each of these machines; where it is, the service
// does not start, and has not failed.
func (n *Nspawn) Withhold(_ context.Context, names []string) error {
	root, err := n.tree()
	if err != nil {
		return err
	}
	defer root.Close()
	was, err := fs.ReadDir(root.FS(), withheldDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("withhold machines: %w", err)
	}
	for _, e := range was {
		if !slices.Contains(names, e.Name()) {
			err = root.Remove(path.Join(withheldDir, e.Name()))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("withhold machines: %w", err)
			}
		}
	}
	if len(names) > 0 {
		if err := root.MkdirAll(withheldDir, 0o755); err != nil {
			return fmt.Errorf("withhold machines: %w", err)
		}
	}
	for _, name := range names {
		f, err := root.OpenFile(path.Join(withheldDir, name), os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return fmt.Errorf("withhold machine %q: %w", name, err)
		}
	}
	return nil
}

// Withhold has nothing to do: a zone without an active zone BE for the running
// boot environment does not boot on illumos.
func (z *Illumos) Withhold(context.Context, []string) error { return nil }
