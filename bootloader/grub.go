package bootloader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"snapbe/internal/command"
)

// GRUB is the host's GRUB set-up.
type GRUB struct {
	// Dir is GRUB's directory, such as /boot/grub.
	Dir string
	// Etc is the host's /etc.
	Etc string
	// Sys is the host's /sys.
	Sys string
	// Lib holds GRUB's own modules and tools, as the package put them there.
	Lib    string
	Runner command.Runner
}

// Host is the GRUB set-up of the running host.
func Host(run command.Runner) *GRUB {
	return &GRUB{Dir: "/boot/grub", Etc: "/etc", Sys: "/sys", Lib: "/usr/lib/grub/i386-pc", Runner: run}
}

// Directory is GRUB's directory on the host.
func (g *GRUB) Directory() string { return g.Dir }

// fragmentName and configName are files in GRUB's directory.
const (
	fragmentName = "snapbe.cfg"
	configName   = "grub.cfg"
)

// Read returns the menu that the fragment on disk shows. Without a fragment
// the error is fs.ErrNotExist, with one that Encode did not write ErrFragment.
func (g *GRUB) Read() (Menu, error) {
	text, err := os.ReadFile(g.fragmentPath())
	if err != nil {
		return Menu{}, err
	}
	m, err := Decode(text)
	if err != nil {
		return Menu{}, fmt.Errorf("%s: %w", g.fragmentPath(), err)
	}
	return m, nil
}

// Write makes the fragment on disk show m, and tells whether it was another
// before. After a power cut the fragment is the old or the new one, whole, for
// the host and for GRUB; when Write returns it is the new one.
func (g *GRUB) Write(m Menu) (changed bool, err error) {
	if err := m.Validate(); err != nil {
		return false, err
	}
	changed, err = replaceFile(g.fragmentPath(), Encode(m), 0o644)
	if err != nil {
		return changed, err
	}
	// Unchanged or not: a run that was killed may have left it unsettled.
	return changed, g.settle(context.Background())
}

// settle brings what was written to where GRUB sees it. GRUB reads the pool as
// of the last transaction group; fsync(2) goes to the intent log, which only
// the kernel replays.
func (g *GRUB) settle(ctx context.Context) error {
	_, err := g.Runner.Run(ctx, command.Cmd{Argv: []string{"zpool", "sync"}})
	return err
}

// replaceFile makes path hold text, whole or not at all, and durably so.
func replaceFile(path string, text []byte, mode fs.FileMode) (changed bool, err error) {
	info, err := os.Lstat(path)
	if err == nil && info.Mode() == mode {
		old, err := os.ReadFile(path)
		if err != nil {
			return false, err
		}
		if bytes.Equal(old, text) {
			return false, nil
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	// Beside the target and hidden: grub-mkconfig takes a name with a dot
	// in front for no script of its own.
	err = renameio.WriteFile(path, text, mode,
		renameio.IgnoreUmask(), renameio.WithTempDir(filepath.Dir(path)))
	if err != nil {
		return false, err
	}
	return true, syncFile(filepath.Dir(path))
}

// syncFile makes a file durable, or the names in a directory, which renaming
// alone does not.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
