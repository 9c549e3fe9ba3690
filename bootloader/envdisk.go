package bootloader

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrNoEnv is the error of a disk without a partition that GRUB could
	// write to.
	ErrNoEnv = errors.New("no FAT partition, which GRUB needs to remember a trial: make one of 64 MB " +
		"(type EF00, mkfs.fat) or do without (--no-trial)")
	// ErrEnvReadOnly is the error of a FAT partition that cannot be written to.
	ErrEnvReadOnly = errors.New("it is read-only: check it (fsck.fat -a, unmounted) or mount it rw where it is mounted")
	// ErrEnvFull is the error of a FAT partition without room for 1024 bytes.
	ErrEnvFull = errors.New("it is full: remove something from it")
	// ErrNoVFAT is the error of a kernel that cannot mount a FAT.
	ErrNoVFAT = errors.New("this kernel has no vfat: load it (modprobe vfat) or install the kernel's modules")
	// ErrEnvInWay is the error of something on the FAT partition that is not
	// what snapbe put there, and is not overwritten.
	ErrEnvInWay = errors.New("something else has that name: remove it")
	// ErrEnvUnsupported is the error of a platform other than Linux.
	ErrEnvUnsupported = errors.New("FAT partitions are read and written on Linux only")
)

// envFS is the file system of the partition for a disk's Env.
const envFS = "vfat"

// ReadEnv reads the disk's Env. It needs no mount point and leaves nothing
// mounted; that the partition is mounted elsewhere does not matter. Where there
// is no file yet the error is fs.ErrNotExist, and ErrEnvDamaged where it does
// not hold what it should: then the Env is the part of it that GRUB would take.
func (g *GRUB) ReadEnv(ctx context.Context, d Device) (e Env, err error) {
	err = onEnv(ctx, d, false, func(dir int) error {
		block, err := readEnvFile(dir)
		if err != nil {
			return err
		}
		e, err = parseEnv(block)
		return err
	})
	return e, err
}

// WriteEnv makes the disk's Env e, durably. A power cut leaves the old one or
// the new one. Only where there is no file, or a damaged one, is there a moment
// with none, which asks for no trial.
func (g *GRUB) WriteEnv(ctx context.Context, d Device, e Env) error {
	block, err := encodeEnv(e)
	if err != nil {
		return err
	}
	return onEnv(ctx, d, true, func(dir int) error { return writeEnvFile(dir, block) })
}

// onEnv shows f the top directory of the disk's FAT partition.
func onEnv(ctx context.Context, d Device, write bool, f func(dir int) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.Env == "" {
		return fmt.Errorf("disk %s: %w", d.Name, ErrNoEnv)
	}
	if err := withMount(envFS, d.Env, write, f); err != nil {
		return fmt.Errorf("disk %s: %s: %w", d.Name, d.Env, err)
	}
	return nil
}
