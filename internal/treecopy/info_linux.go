package treecopy

import (
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// The flags of chattr(1), as of linux/fs.h.
const immutableFlag, appendFlag = 0x10, 0x20

// Lstat tells of a name. One that is missing is fs.ErrNotExist, one beyond a
// symlink a *LinkError.
func (t *Tree) Lstat(name string) (Info, error) {
	fd, err := t.openName(name, unix.O_PATH)
	if err != nil {
		return Info{}, err
	}
	defer closeFD(fd)
	info, err := inspect(fd, name)
	if err != nil {
		return Info{}, err
	}
	// statx(2) tells of flags only where the file system does, and an O_PATH
	// descriptor cannot be asked otherwise.
	if !info.flagsKnown && (info.Kind == File || info.Kind == Dir) {
		fd, err := t.openName(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
		if err != nil {
			return Info{}, err
		}
		defer closeFD(fd)
		return inspect(fd, name)
	}
	return info, nil
}

// Peek is Lstat without Xattrs, and Immutable only where it is cheaply had.
func (t *Tree) Peek(name string) (Info, error) {
	fd, err := t.openName(name, unix.O_PATH)
	if err != nil {
		return Info{}, err
	}
	defer closeFD(fd)
	return stat(fd, name)
}

// inspect tells all of what a descriptor stands for.
func inspect(fd int, name string) (Info, error) {
	info, err := stat(fd, name)
	if err != nil {
		return Info{}, err
	}
	if !info.flagsKnown && (info.Kind == File || info.Kind == Dir) {
		// EBADF: an O_PATH descriptor. Others: no flags here.
		flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
		info.flagsKnown = err != unix.EBADF
		info.Immutable = err == nil && flags&(immutableFlag|appendFlag) != 0
	}
	if info.Kind != Symlink {
		if info.Xattrs, err = xattrs(fd); err != nil {
			return Info{}, fmt.Errorf("attributes of %q: %w", name, err)
		}
	}
	return info, nil
}

func stat(fd int, name string) (Info, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &st)
	if err != nil {
		return Info{}, fmt.Errorf("stat %q: %w", name, err)
	}
	const flags = unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_APPEND
	info := Info{
		Kind:       Special,
		Mode:       fileMode(st.Mode),
		UID:        int(st.Uid),
		GID:        int(st.Gid),
		Size:       int64(st.Size),
		Accessed:   instant(st.Atime),
		Modified:   instant(st.Mtime),
		Changed:    instant(st.Ctime),
		Device:     unix.Mkdev(st.Dev_major, st.Dev_minor),
		Inode:      st.Ino,
		Links:      uint64(st.Nlink),
		Mount:      st.Mnt_id,
		Immutable:  st.Attributes&flags != 0,
		flagsKnown: st.Attributes_mask&flags == flags,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		info.Kind = File
	case unix.S_IFDIR:
		info.Kind, info.Type = Dir, fs.ModeDir
	case unix.S_IFLNK:
		info.Kind, info.Type = Symlink, fs.ModeSymlink
		if info.Target, err = readlink(fd); err != nil {
			return Info{}, fmt.Errorf("read symlink %q: %w", name, err)
		}
	case unix.S_IFIFO:
		info.Type = fs.ModeNamedPipe
	case unix.S_IFSOCK:
		info.Type = fs.ModeSocket
	case unix.S_IFCHR:
		info.Type = fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		info.Type = fs.ModeDevice
	}
	if info.Type&fs.ModeDevice != 0 {
		info.Number = unix.Mkdev(st.Rdev_major, st.Rdev_minor)
	}
	return info, nil
}

func instant(t unix.StatxTimestamp) time.Time { return time.Unix(t.Sec, int64(t.Nsec)) }

var modeBits = []struct {
	of   fs.FileMode
	unix uint32
}{{fs.ModeSetuid, unix.S_ISUID}, {fs.ModeSetgid, unix.S_ISGID}, {fs.ModeSticky, unix.S_ISVTX}}

func fileMode(mode uint16) fs.FileMode {
	m := fs.FileMode(mode) & fs.ModePerm
	for _, b := range modeBits {
		if uint32(mode)&b.unix != 0 {
			m |= b.of
		}
	}
	return m
}

func unixMode(mode fs.FileMode) uint32 {
	m := uint32(mode & fs.ModePerm)
	for _, b := range modeBits {
		if mode&b.of != 0 {
			m |= b.unix
		}
	}
	return m
}
