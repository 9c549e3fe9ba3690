package bootloader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const (
	envPath = envDir + "/" + envName
	envNew  = envName + ".new"
)

// openBeneath opens a path in a file system that anybody may have written to.
// It follows no link and leaves the file system nowhere.
func openBeneath(dir int, path string, flags int) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	if flags&unix.O_CREAT != 0 {
		how.Mode = 0o600
	}
	fd, err := unix.Openat2(dir, path, &how)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openEnvFile opens the file of the Env. One that is not a regular file of
// envSize bytes with one name is ErrEnvDamaged.
func openEnvFile(dir, flags int) (*os.File, error) {
	f, err := openBeneath(dir, envPath, flags)
	if err != nil {
		return nil, err
	}
	var stat unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &stat)
	switch {
	case err != nil:
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		err = fmt.Errorf("%s: %w: it is no regular file", envPath, ErrEnvDamaged)
	case stat.Nlink != 1:
		err = fmt.Errorf("%s: %w: it has %d names", envPath, ErrEnvDamaged, stat.Nlink)
	case stat.Size != envSize:
		err = fmt.Errorf("%s: %w: it has %d bytes", envPath, ErrEnvDamaged, stat.Size)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func readEnvFile(dir int) ([]byte, error) {
	f, err := openEnvFile(dir, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	block := make([]byte, envSize)
	n, err := f.ReadAt(block, 0)
	return block[:n], err
}

// writeEnvFile writes over the file where it lies: no cluster and no directory
// entry changes, so that a power cut cannot lose it.
func writeEnvFile(dir int, block []byte) error {
	f, err := openEnvFile(dir, unix.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrEnvDamaged) {
		return makeEnvFile(dir, block)
	} else if err != nil {
		return err
	}
	return writeAndSettle(f, block)
}

// writeAndSettle writes the block and closes f once the disk has it, with what
// the file system keeps of it.
func writeAndSettle(f *os.File, block []byte) error {
	_, err := f.WriteAt(block, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = unix.Syncfs(int(f.Fd()))
	}
	return errors.Join(err, f.Close())
}

// makeEnvFile makes the file anew, whole under another name first.
func makeEnvFile(dir int, block []byte) error {
	if err := unix.Mkdirat(dir, envDir, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return &fs.PathError{Op: "mkdir", Path: envDir, Err: err}
	}
	d, err := openBeneath(dir, envDir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer d.Close()
	at := int(d.Fd())
	// Left over by one that was cut short.
	if err := unix.Unlinkat(at, envNew, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "unlink", Path: envDir + "/" + envNew, Err: err}
	}
	f, err := openBeneath(at, envNew, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return err
	}
	if err := writeAndSettle(f, block); err != nil {
		return errors.Join(err, unix.Unlinkat(at, envNew, 0))
	}
	if err := unix.Renameat(at, envNew, at, envName); err != nil {
		return errors.Join(&os.LinkError{Op: "rename", Old: envDir + "/" + envNew, New: envPath, Err: err},
			unix.Unlinkat(at, envNew, 0))
	}
	return errors.Join(d.Sync(), unix.Syncfs(at))
}
