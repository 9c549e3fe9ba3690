package synclist

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"

	"snapbe/internal/treecopy"
)

// maxUnpacked is how much of a compressed log is read at most, in bytes.
const maxUnpacked = 1 << 30

// unpack opens a file that gzip(1) made, until the extension is closed, and says
// why where it cannot be read.
func (e *extension) unpack(ctx context.Context, tree *treecopy.Tree, name string) (t text, why string, err error) {
	f, err := tree.OpenFile(name)
	if err != nil {
		return nil, "", err
	}
	e.open = append(e.open, f)
	z := &unpacked{ctx: ctx, file: f}
	// What the file says of its size is not to be trusted.
	if err = z.begin(); err == nil {
		var size int64
		size, err = io.Copy(io.Discard, io.LimitReader(z.from, maxUnpacked+1))
		if err == nil && size <= maxUnpacked {
			return text{{z, 0, size}}, "", z.begin()
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, "", ctx.Err()
	case err == nil:
		return nil, fmt.Sprintf("%q is compressed, and larger than %d MiB", name, maxUnpacked>>20), nil
	}
	return nil, fmt.Sprintf("%q is compressed, and cannot be read: %v", name, err), nil
}

// unpacked reads what was compressed. It is made to be read from the beginning
// on: going back is going through it once more.
type unpacked struct {
	ctx  context.Context
	file *os.File
	from io.Reader
	off  int64
}

// begin goes to the beginning.
func (u *unpacked) begin() error {
	u.from, u.off = nil, 0
	if _, err := u.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	z, err := gzip.NewReader(bufio.NewReaderSize(&cancelled{u.ctx, u.file}, chunk))
	if err != nil {
		return err
	}
	u.from = &cancelled{u.ctx, z}
	return nil
}

// ReadAt reads as of io.ReaderAt, but not at the same time as another.
func (u *unpacked) ReadAt(p []byte, off int64) (int, error) {
	if u.from == nil || off < u.off {
		if err := u.begin(); err != nil {
			return 0, err
		}
	}
	skipped, err := io.CopyN(io.Discard, u.from, off-u.off)
	if u.off += skipped; err != nil {
		return 0, err
	}
	n, err := io.ReadFull(u.from, p)
	u.off += int64(n)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}
