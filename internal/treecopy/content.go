package treecopy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

const (
	seekData = 3 // SEEK_DATA of lseek(2), on Linux and illumos
	seekHole = 4
	// chunk is read at once, and a whole page of zeros is not written.
	chunk = 1 << 17
	page  = 1 << 12
)

// settled is how long ago a file must have changed for its holes to be
// believed: OpenZFS before 2.1.14 and 2.2.2 may tell of holes where data was
// written a moment ago (issue 15526).
var settled = 30 * time.Second

// sparse reads a file and knows its holes.
type sparse struct {
	f     *os.File
	size  int64
	whole bool
	// Data is at [start, end), and none between what was asked for and start.
	start, end int64
}

func newSparse(f *os.File, info Info) *sparse {
	// In a snapshot there is nothing that is not on disk, however young.
	young := time.Since(info.Changed) < settled && (info.Size <= chunk || !frozen(f, info.Mount))
	return &sparse{f: f, size: info.Size, whole: young}
}

// data tells where the data at or after an offset begins, and where that ends;
// both are the size where there is none.
func (s *sparse) data(off int64) (start, end int64, err error) {
	if off < s.end {
		return max(off, s.start), s.end, nil
	}
	s.start, s.end = off, s.size
	if s.whole || off >= s.size {
		return s.start, s.end, nil
	}
	start, err = s.f.Seek(off, seekData)
	if errors.Is(err, syscall.ENXIO) {
		s.start = s.size
		return s.size, s.size, nil
	}
	if errors.Is(err, syscall.EINVAL) {
		s.whole = true // no holes known here
		return s.start, s.end, nil
	}
	if err != nil {
		return 0, 0, err
	}
	end, err = s.f.Seek(start, seekHole)
	if err != nil {
		return 0, 0, err
	}
	s.start, s.end = min(start, s.size), min(end, s.size)
	return s.start, s.end, nil
}

// read reads at an offset; what is missing at the end is zeros.
func (s *sparse) read(buf []byte, off int64) error {
	n, err := s.f.ReadAt(buf, off)
	if err == io.EOF {
		clear(buf[n:])
		return nil
	}
	return err
}

// copyContent copies what info tells of, and returns how many bytes were
// written: zeros are not, wherever they came from. It reads and writes rather
// than to call copy_file_range(2), which gave wrong data on OpenZFS 2.2.0.
func copyContent(ctx context.Context, to, from *os.File, info Info) (int64, error) {
	s, buf := newSparse(from, info), make([]byte, min(info.Size, chunk))
	var written int64
	for off := int64(0); off < s.size; {
		if err := ctx.Err(); err != nil {
			return written, err
		}
		start, end, err := s.data(off)
		if err != nil {
			return written, err
		}
		b := buf[:min(end-start, chunk)]
		if err := s.read(b, start); err != nil {
			return written, err
		}
		n, err := writeData(to, b, start)
		if written += n; err != nil {
			return written, err
		}
		off = start + int64(len(b))
	}
	return written, to.Truncate(s.size)
}

// writeAll writes what a reader has, as copyContent does.
func writeAll(to *os.File, from io.Reader) (int64, error) {
	buf := make([]byte, chunk)
	var written, size int64
	for {
		// Not io.ReadFull: to it, a reader that breaks off is one that ends.
		n, err := 0, error(nil)
		for n < len(buf) && err == nil {
			var more int
			more, err = from.Read(buf[n:])
			n += more
		}
		if err != nil && err != io.EOF {
			return written, err
		}
		w, werr := writeData(to, buf[:n], size)
		written, size = written+w, size+int64(n)
		if werr != nil {
			return written, werr
		}
		if err != nil {
			return written, to.Truncate(size)
		}
	}
}

// writeData writes all pages but those of zeros, and tells how much that was.
func writeData(to *os.File, b []byte, off int64) (int64, error) {
	var written int64
	for len(b) > 0 {
		n, zero := 0, isZero(b[:min(page, len(b))])
		for n < len(b) && isZero(b[n:min(n+page, len(b))]) == zero {
			n = min(n+page, len(b))
		}
		if !zero {
			if _, err := to.WriteAt(b[:n], off); err != nil {
				return written, err
			}
			written += int64(n)
		}
		b, off = b[n:], off+int64(n)
	}
	return written, nil
}

var zeros [page]byte

func isZero(b []byte) bool { return bytes.Equal(b, zeros[:len(b)]) }

// sameContent compares two files of one size.
func sameContent(ctx context.Context, a, b *sparse) (bool, error) {
	bufA, bufB := make([]byte, min(a.size, chunk)), make([]byte, min(a.size, chunk))
	for off := int64(0); off < a.size; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		startA, endA, err := a.data(off)
		if err != nil {
			return false, err
		}
		startB, endB, err := b.data(off)
		if err != nil {
			return false, err
		}
		off = min(startA, startB)
		// Up to where one of them becomes a hole or data.
		end := min(off+chunk, endA, endB)
		if startA > off {
			end = min(off+chunk, startA, endB)
		} else if startB > off {
			end = min(off+chunk, startB, endA)
		}
		n := end - off
		if err := errors.Join(a.read(bufA[:n], off), b.read(bufB[:n], off)); err != nil {
			return false, err
		}
		if !bytes.Equal(bufA[:n], bufB[:n]) {
			return false, nil
		}
		off = end
	}
	return true, nil
}
