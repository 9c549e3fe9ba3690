package bootloader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"snapbe/internal/command"
)

// typeBIOSBoot is GPT's type of the partition for GRUB's core image.
const typeBIOSBoot = "21686148-6449-6e6f-744e-656564454649"

// ErrNoPartition is the error of a leaf that is no partition of a GPT disk:
// GRUB cannot be put beside it, nor can the menu name it.
var ErrNoPartition = errors.New("not a partition of a GPT disk")

// Device is a boot disk as the host sees it.
type Device struct {
	Disk
	// Path is the disk's device, such as /dev/vda.
	Path string
	// BIOSBoot is the first sector, of 512 bytes, of the partition for
	// GRUB's core image; 0 where there is none.
	BIOSBoot int64
	// Env is the device of the FAT partition for the disk's Env, such as
	// /dev/vda2; "" where there is none.
	Env string
}

// block is a line of lsblk(8).
type block struct {
	KName    string
	Path     string
	PKName   string
	Type     string
	PTType   string
	PartType string
	PartUUID string
	FSType   string
	UUID     string
}

// Disks are the boot disks that the pool's leaves lie on, in the leaves'
// order. A leaf is a device path such as /dev/vda3, or a link to it. Of two
// leaves on one disk the first counts: GRUB needs one to read the pool.
func (g *GRUB) Disks(ctx context.Context, leaves []string) ([]Disk, error) {
	devices, err := g.Devices(ctx, leaves)
	if err != nil {
		return nil, err
	}
	var disks []Disk
	for _, d := range devices {
		disks = append(disks, d.Disk)
	}
	return disks, nil
}

// Devices are the boot disks as Disks names them, with what installing GRUB
// needs to know of them.
func (g *GRUB) Devices(ctx context.Context, leaves []string) ([]Device, error) {
	blocks, err := g.blocks(ctx)
	if err != nil {
		return nil, err
	}
	var devices []Device
	seen := map[string]bool{}
	for _, leaf := range leaves {
		d, err := g.device(blocks, leaf)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", leaf, err)
		}
		if !seen[d.Path] {
			devices = append(devices, d)
		}
		seen[d.Path] = true
	}
	return devices, nil
}

func (g *GRUB) blocks(ctx context.Context) (map[string]block, error) {
	out, err := g.Runner.Run(ctx, command.Cmd{Argv: []string{"lsblk", "--json", "--list", "--output",
		"KNAME,PATH,PKNAME,TYPE,PTTYPE,PARTTYPE,PARTUUID,FSTYPE,UUID"}})
	if err != nil {
		return nil, err
	}
	return parseBlocks(out)
}

// parseBlocks reads lsblk's JSON, where what is not known is null.
func parseBlocks(text []byte) (map[string]block, error) {
	var list struct{ BlockDevices []block }
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("lsblk: %w", err)
	}
	blocks := map[string]block{}
	for _, b := range list.BlockDevices {
		blocks[b.KName] = b
	}
	return blocks, nil
}

func (g *GRUB) device(blocks map[string]block, leaf string) (Device, error) {
	path, err := filepath.EvalSymlinks(leaf)
	if err != nil {
		return Device{}, err
	}
	part, ok := blocks[filepath.Base(path)]
	if !ok {
		return Device{}, errors.New("no block device")
	}
	disk := blocks[part.PKName]
	switch {
	case part.Type == "disk":
		return Device{}, fmt.Errorf("%w: a whole disk has no room for GRUB", ErrNoPartition)
	case part.Type != "part" || part.PTType != "gpt" || disk.KName == "":
		return Device{}, fmt.Errorf("%w: type %s of %s", ErrNoPartition, part.Type, orNone(part.PTType))
	}
	number, err := g.sysfsNumber(part.KName, "partition")
	if err != nil {
		return Device{}, err
	}
	d := Device{Path: disk.Path, Disk: Disk{Name: disk.KName,
		PartUUID: strings.ToLower(part.PartUUID), Part: int(number)}}
	if err := g.envPartition(blocks, &d); err != nil {
		return Device{}, err
	}
	d.BIOSBoot, err = g.biosBoot(blocks, disk.KName)
	return d, err
}

func orNone(s string) string {
	if s == "" {
		return "no partition table"
	}
	return s
}

// biosBoot is the first sector of the disk's partition for GRUB's core image.
func (g *GRUB) biosBoot(blocks map[string]block, disk string) (int64, error) {
	for _, b := range blocks {
		if b.PKName == disk && strings.ToLower(b.PartType) == typeBIOSBoot {
			return g.sysfsNumber(b.KName, "start")
		}
	}
	return 0, nil
}

// sysfsNumber reads a number of the block device, such as its "start".
func (g *GRUB) sysfsNumber(kname, attribute string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(g.Sys, "class/block", kname, attribute))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}
