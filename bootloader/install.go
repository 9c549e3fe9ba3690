package bootloader

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"snapbe/internal/command"
)

var (
	// ErrUEFI is the error of a host that boots by UEFI.
	ErrUEFI = errors.New("the host boots by UEFI; snapbe installs GRUB for BIOS only")
	// ErrNoBIOSBoot is the error of a disk without a place for GRUB.
	ErrNoBIOSBoot = errors.New("no BIOS boot partition (type EF02) for GRUB's core image")
	// ErrNotInstalled is the error of a disk that does not boot with the
	// GRUB that is in GRUB's directory.
	ErrNotInstalled = errors.New("GRUB is not installed")
)

// Install puts GRUB on the disk, so that it boots by itself with the files at
// path in the pool.
//
// grub-install deletes and writes the modules that all disks share. It is run
// only where they are not yet what they should be, and without touching a
// disk: until the pool has the modules, each disk boots as it did before.
// Where they are in place, nothing but this disk is written to.
func (g *GRUB) Install(ctx context.Context, d Device, pool uint64, path string) error {
	if err := g.Installable(d); err != nil {
		return err
	}
	if g.checkImages(pool, path) != nil {
		if _, err := g.Runner.Run(ctx, command.Cmd{Argv: []string{"grub-install", "--target=i386-pc",
			"--no-bootsector", "--boot-directory=" + filepath.Dir(g.Dir), d.Path}}); err != nil {
			return err
		}
		if err := g.settle(ctx); err != nil {
			return err
		}
		if err := g.checkImages(pool, path); err != nil {
			return err
		}
	}
	_, err := g.Runner.Run(ctx, command.Cmd{Argv: []string{g.setupTool(),
		"--directory=" + g.imageDir(), d.Path}})
	return err
}

// setupTool is what grub-install runs last. Debian keeps it beside the modules.
func (g *GRUB) setupTool() string {
	const name = "grub-bios-setup"
	if path := filepath.Join(g.Lib, name); exists(path) {
		return path
	}
	return name
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (g *GRUB) imageDir() string { return filepath.Join(g.Dir, "i386-pc") }

// checkImages tells why the images and modules in GRUB's directory are not
// those that the installed package would make for path in the pool, or nil.
func (g *GRUB) checkImages(pool uint64, path string) error {
	if err := g.checkTarget(pool, path); err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(g.Lib, "*.mod"))
	if err != nil {
		return err
	}
	for _, name := range append(names, filepath.Join(g.Lib, "boot.img")) {
		want, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		got, err := g.readImage(filepath.Base(name))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%w in its present version: %s differs", ErrNotInstalled, filepath.Base(name))
		}
	}
	return nil
}

// Installable tells why GRUB cannot be put on the disk, or nil.
func (g *GRUB) Installable(d Device) error {
	if exists(filepath.Join(g.Sys, "firmware/efi")) {
		return ErrUEFI
	}
	if d.BIOSBoot == 0 {
		return fmt.Errorf("%s: %w", d.Path, ErrNoBIOSBoot)
	}
	if filepath.Base(g.Dir) != "grub" {
		return fmt.Errorf("GRUB's directory %s is not named grub", g.Dir)
	}
	return nil
}

// CanRead tells why GRUB could not read the file system at path, or nil where
// it knows it to be ZFS.
func (g *GRUB) CanRead(ctx context.Context, path string) error {
	out, err := g.Runner.Run(ctx, command.Cmd{Argv: []string{"grub-probe", "--target=fs", path}})
	if err != nil {
		return err
	}
	if fs := strings.TrimSpace(string(out)); fs != "zfs" {
		return fmt.Errorf("%s: grub-probe finds %s, not zfs", path, fs)
	}
	return nil
}

// Where the parts of GRUB's boot images are, in bytes: in the boot sector the
// number of the core image's first sector, in the core image's second sector
// the length of its redundancy, which grub-install sets as it writes to the
// disk (GRUB's include/grub/i386/pc/boot.h and include/grub/offsets.h).
const (
	sector           = 512
	kernelSector     = 0x5c
	signature        = 0x1fe
	redundancy       = sector + 0x10
	redundancyLength = 4
	coreLimit        = 4 << 20
)

// Installed tells why the disk would not boot with the GRUB that lies in
// GRUB's directory, an ErrNotInstalled, or nil. What is compared is what the
// firmware runs: the boot sector, and the core image in its partition with
// the one that grub-install made last; that one must look for its files at
// path in the pool. It does not read the disk's copy of the pool.
func (g *GRUB) Installed(d Device, pool uint64, path string) error {
	if d.BIOSBoot == 0 {
		return fmt.Errorf("%w: %w", ErrNotInstalled, ErrNoBIOSBoot)
	}
	if err := g.checkTarget(pool, path); err != nil {
		return err
	}
	core, err := g.readImage("core.img")
	if err != nil {
		return err
	}
	disk, err := os.Open(d.Path)
	if err != nil {
		return err
	}
	defer disk.Close()
	if err := checkBootSector(disk, d.BIOSBoot); err != nil {
		return err
	}
	return checkCore(disk, d.BIOSBoot, core)
}

// checkTarget reads what grub-install told the core image to look for.
func (g *GRUB) checkTarget(pool uint64, path string) error {
	text, err := g.readImage("load.cfg")
	if err != nil {
		return err
	}
	if !strings.Contains(string(text), fmt.Sprintf("search.fs_uuid %016x root", pool)) {
		return fmt.Errorf("%w: it was installed for another pool", ErrNotInstalled)
	}
	if !strings.Contains(string(text), fmt.Sprintf("set prefix=($root)'%s'", path)) {
		return fmt.Errorf("%w: it was installed for another directory than %s", ErrNotInstalled, path)
	}
	return nil
}

// readImage reads a file that grub-install left in GRUB's directory.
func (g *GRUB) readImage(name string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(g.imageDir(), name))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w: there is no i386-pc/%s in %s", ErrNotInstalled, name, g.Dir)
	case err == nil && len(text) > coreLimit:
		return nil, fmt.Errorf("%s is larger than %d bytes", name, coreLimit)
	}
	return text, err
}

func checkBootSector(disk io.ReaderAt, start int64) error {
	b := make([]byte, sector)
	if _, err := disk.ReadAt(b, 0); err != nil {
		return err
	}
	switch {
	case b[signature] != 0x55 || b[signature+1] != 0xaa || !bytes.Contains(b, []byte("GRUB ")):
		return fmt.Errorf("%w: the boot sector is not GRUB's", ErrNotInstalled)
	case binary.LittleEndian.Uint64(b[kernelSector:]) != uint64(start):
		return fmt.Errorf("%w: the boot sector points elsewhere than to the BIOS boot partition",
			ErrNotInstalled)
	}
	return nil
}

// checkCore compares all but the first sector, which lists where on this very
// disk the others are, and the field that depends on the partition's size.
func checkCore(disk io.ReaderAt, start int64, core []byte) error {
	if len(core) < 2*sector {
		return fmt.Errorf("%w: core.img is cut short", ErrNotInstalled)
	}
	got := make([]byte, len(core))
	if _, err := disk.ReadAt(got, start*sector); err != nil {
		return err
	}
	copy(got[redundancy:redundancy+redundancyLength], core[redundancy:])
	if !bytes.Equal(got[sector:], core[sector:]) {
		return fmt.Errorf("%w as it was made last: the disk has another core image", ErrNotInstalled)
	}
	return nil
}
