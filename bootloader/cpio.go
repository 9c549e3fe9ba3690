package bootloader

import (
	"bytes"
	"fmt"
)

// The types of files in a cpio archive, part of the mode.
const (
	cpioDir  = 0o040000
	cpioFile = 0o100000
)

// cpioWriter writes an archive as the kernel unpacks it into the initramfs
// (Documentation/driver-api/early-userspace/buffer-format.rst, "newc"). All
// belongs to root and is of the time 0.
type cpioWriter struct {
	buf   bytes.Buffer
	inode int
}

// add writes one file or directory; those above it were added before.
func (w *cpioWriter) add(name string, mode uint32, data []byte) {
	links := 1
	if mode&cpioDir != 0 {
		links = 2
	}
	w.inode++
	w.entry(w.inode, mode, links, name, data)
}

func (w *cpioWriter) entry(inode int, mode uint32, links int, name string, data []byte) {
	// inode mode uid gid links mtime size, the device and what it is of as two
	// numbers each, the length of the name with its NUL, and no checksum.
	fmt.Fprintf(&w.buf, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	w.pad(4)
	w.buf.Write(data)
	w.pad(4)
}

// pad fills up with zeros to a multiple of n bytes.
func (w *cpioWriter) pad(n int) {
	for w.buf.Len()%n != 0 {
		w.buf.WriteByte(0)
	}
}

// close returns the archive. It ends on a sector, so that whatever comes after
// it begins where the kernel looks for an archive.
func (w *cpioWriter) close() []byte {
	w.entry(0, 0, 1, "TRAILER!!!", nil)
	w.pad(sector)
	return w.buf.Bytes()
}
