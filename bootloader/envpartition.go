package bootloader

import (
	"slices"
	"strings"
)

// envTypes are GPT's types of the partitions that may hold a disk's Env, the
// most fitting first: what firmware and boot loaders share, and what mkfs.fat's
// users give a FAT. Others, such as a vendor's recovery partition, are left
// alone.
var envTypes = []string{
	"c12a7328-f81f-11d2-ba4b-00a0c93ec93b", // EFI system partition, EF00
	"bc13c2ff-59e6-4262-a352-b275fd6f7172", // extended boot loader, EA00
	"ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", // basic data, 0700
	"0fc63daf-8483-4772-8e79-3d69d8477de4", // Linux file system, 8300
}

// envPartition tells d where the disk's Env is to be, where it has a place.
func (g *GRUB) envPartition(blocks map[string]block, d *Device) error {
	var fats []block
	for _, b := range blocks {
		if b.PKName == d.Name && b.FSType == "vfat" && slices.Contains(envTypes, strings.ToLower(b.PartType)) &&
			partForm.MatchString(strings.ToLower(b.PartUUID)) {
			fats = append(fats, b)
		}
	}
	if len(fats) == 0 {
		return nil
	}
	rank := func(b block) int { return slices.Index(envTypes, strings.ToLower(b.PartType)) }
	fat := slices.MinFunc(fats, func(a, b block) int {
		if c := rank(a) - rank(b); c != 0 {
			return c
		}
		// The first by name: a map has no order, the menu needs one.
		return compareVersions(a.KName, b.KName)
	})
	number, err := g.sysfsNumber(fat.KName, "partition")
	if err != nil {
		return err
	}
	d.Env, d.EnvUUID, d.EnvPart = fat.Path, strings.ToLower(fat.PartUUID), int(number)
	if id := strings.ToUpper(fat.UUID); espForm.MatchString(id) {
		d.ESP = id
	}
	return nil
}
