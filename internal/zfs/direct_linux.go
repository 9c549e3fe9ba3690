package zfs

import (
	"encoding/binary"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The layout of zfs_cmd_t (sys/zfs_ioctl.h), whose beginning has been the same
// since OpenZFS 0.6: the name, then address and size of what is given and of
// the room for what comes back. What follows is longer in some versions; the
// module copies as much as it knows, so there is more room than any takes.
const (
	cmdName    = 0
	cmdNameLen = 4096
	cmdSrc     = 4096
	cmdSrcSize = 4104
	cmdDst     = 4112
	cmdDstSize = 4120
	cmdSize    = 64 << 10
	dstSize    = 256 << 10
)

// openKernel gives the module, or nil where there is none or may not be
// spoken to.
func openKernel() *kernel {
	open := sync.OnceValues(func() (*os.File, error) { return os.OpenFile("/dev/zfs", os.O_RDWR, 0) })
	return &kernel{ioctl: func(request uint, name string, args nvlist) error {
		f, err := open()
		if err != nil {
			return err
		}
		return call(f, request, name, args)
	}}
}

func call(f *os.File, request uint, name string, args nvlist) error {
	if len(name) >= cmdNameLen {
		return unix.ENAMETOOLONG
	}
	src, dst, cmd := args.pack(), make([]byte, dstSize), make([]byte, cmdSize)
	var pin runtime.Pinner
	defer pin.Unpin()
	address := func(b []byte) uint64 {
		pin.Pin(&b[0])
		return uint64(uintptr(unsafe.Pointer(&b[0])))
	}
	copy(cmd[cmdName:], name)
	binary.NativeEndian.PutUint64(cmd[cmdSrc:], address(src))
	binary.NativeEndian.PutUint64(cmd[cmdSrcSize:], uint64(len(src)))
	binary.NativeEndian.PutUint64(cmd[cmdDst:], address(dst))
	binary.NativeEndian.PutUint64(cmd[cmdDstSize:], uint64(len(dst)))
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), uintptr(request), uintptr(address(cmd)))
	runtime.KeepAlive(f)
	if errno != 0 {
		return errno
	}
	return nil
}
