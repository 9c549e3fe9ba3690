package bootloader

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"snapbe/internal/command"
)

// HookScript is the text of /etc/grub.d/06_snapbe, by which grub-mkconfig
// puts the fragment into grub.cfg.
//
//go:embed 06_snapbe
var HookScript []byte

// HookName is the script's name in /etc/grub.d.
const HookName = "06_snapbe"

// sourceLine is the line of grub.cfg that reads the fragment. The directory is
// that of the grub.cfg being read, not prefix: the menu of another disk, once
// opened, shows that disk's fragment.
const sourceLine = `source "${config_directory}/snapbe.cfg"`

// ErrNotSourced is the error of a grub.cfg that does not show the fragment.
var ErrNotSourced = errors.New("does not read snapbe.cfg")

// Hook makes grub.cfg show the fragment, now and after each grub-mkconfig: it
// installs the hook script where there is none, and has grub.cfg written when
// it lacks the line. A script that is there is the administrator's, like any
// file in /etc, and is left as it is.
func (g *GRUB) Hook(ctx context.Context) (changed bool, err error) {
	script := g.hookPath()
	if _, err := os.Lstat(script); errors.Is(err, fs.ErrNotExist) {
		if changed, err = replaceFile(script, HookScript, 0o755); err != nil {
			return false, err
		}
	} else if err != nil {
		return false, err
	}
	sourced, err := g.sourced()
	if err != nil || sourced {
		return changed, err
	}
	if info, err := os.Stat(script); err != nil {
		return changed, err
	} else if info.Mode()&0o111 == 0 {
		return changed, fmt.Errorf("%s is not executable, so that grub-mkconfig passes over it", script)
	}
	return true, g.makeConfig(ctx)
}

// makeConfig has grub-mkconfig write grub.cfg. It is written beside the one
// that is there and takes its place once it is whole and on the pool:
// grub-mkconfig itself empties the file before it fills it, and a power cut in
// between would leave a host that boots nothing.
func (g *GRUB) makeConfig(ctx context.Context) error {
	made := g.configPath() + ".snapbe-new"
	defer os.Remove(made)
	if _, err := g.Runner.Run(ctx, command.Cmd{Argv: []string{"grub-mkconfig", "-o", made}}); err != nil {
		return err
	}
	text, err := os.ReadFile(made)
	if err != nil {
		return err
	}
	if _, found := afterSource(text); !found {
		return fmt.Errorf("%s %w, though %s is there", g.configPath(), ErrNotSourced, g.hookPath())
	}
	if err := syncFile(made); err != nil {
		return err
	}
	if err := os.Rename(made, g.configPath()); err != nil {
		return err
	}
	if err := syncFile(g.Dir); err != nil {
		return err
	}
	return g.settle(ctx)
}

// Hooked tells whether grub.cfg shows the fragment, and goes on doing so after
// the next grub-mkconfig.
func (g *GRUB) Hooked() bool {
	sourced, err := g.sourced()
	return err == nil && sourced && len(g.checkHook()) == 0
}

// sourced tells whether grub.cfg reads the fragment; a missing one does not.
func (g *GRUB) sourced() (bool, error) {
	text, err := os.ReadFile(g.configPath())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	_, found := afterSource(text)
	return found, err
}

// afterSource is what follows the line that reads the fragment.
func afterSource(config []byte) (rest []byte, found bool) {
	for len(config) > 0 {
		var line []byte
		line, config, _ = bytes.Cut(config, []byte("\n"))
		if string(bytes.TrimSpace(line)) == sourceLine {
			return config, true
		}
	}
	return nil, false
}

func (g *GRUB) hookPath() string     { return filepath.Join(g.Etc, "grub.d", HookName) }
func (g *GRUB) configPath() string   { return filepath.Join(g.Dir, configName) }
func (g *GRUB) fragmentPath() string { return filepath.Join(g.Dir, fragmentName) }
