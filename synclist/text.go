package synclist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// chunk is how much is read at a time, and the longest line that is compared
// as one, in bytes.
const chunk = 64 << 10

// text is content that is read where it lies, in several files one after the
// other.
type text []section

type section struct {
	file io.ReaderAt
	// off and size are in bytes.
	off, size int64
}

func newline() text { return text{{bytes.NewReader([]byte{'\n'}), 0, 1}} }

func (t text) size() (n int64) {
	for _, s := range t {
		n += s.size
	}
	return n
}

// from is the text without its first bytes.
func (t text) from(off int64) text {
	var rest text
	for _, s := range t {
		skip := min(off, s.size)
		if off -= skip; skip < s.size {
			rest = append(rest, section{s.file, s.off + skip, s.size - skip})
		}
	}
	return rest
}

// upTo is the first bytes of the text.
func (t text) upTo(size int64) text {
	var first text
	for _, s := range t {
		s.size = min(size, s.size)
		if size -= s.size; s.size > 0 {
			first = append(first, s)
		}
	}
	return first
}

func (t text) reader(off int64) io.Reader {
	var parts []io.Reader
	for _, s := range t.from(off) {
		parts = append(parts, &whole{io.NewSectionReader(s.file, s.off, s.size), s.size})
	}
	return io.MultiReader(parts...)
}

// whole is a reader that must not end early.
type whole struct {
	io.Reader
	left int64
}

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if w.left -= int64(n); err == io.EOF && w.left > 0 {
		err = errShrunk
	}
	return n, err
}

var errShrunk = errors.New("it was rotated or cut off while it was read")

// settled tells by errShrunk of a log that was rotated while its files were
// opened one after the other: one of them is in the text twice, or shorter now.
func (t text) settled() error {
	var all []fs.FileInfo
	for _, s := range t {
		f, ok := s.file.(*os.File)
		if z, packed := s.file.(*unpacked); packed {
			f, ok = z.file, true
		}
		if !ok {
			continue
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		twice := slices.ContainsFunc(all, func(other fs.FileInfo) bool { return os.SameFile(info, other) })
		if _, plain := s.file.(*os.File); twice || plain && info.Size() < s.off+s.size {
			return errShrunk
		}
		all = append(all, info)
	}
	return nil
}

// ReadAt reads as of io.ReaderAt.
func (t text) ReadAt(p []byte, off int64) (int, error) {
	n, err := io.ReadFull(t.reader(off), p)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

// common is how many bytes two texts begin with alike, at most limit.
func common(ctx context.Context, a, b text, limit int64) (int64, error) {
	ra, rb := a.reader(0), b.reader(0)
	bufA, bufB := make([]byte, chunk), make([]byte, chunk)
	for done := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		want := min(chunk, limit-done)
		na, errA := io.ReadFull(ra, bufA[:want])
		nb, errB := io.ReadFull(rb, bufB[:want])
		for _, err := range []error{errA, errB} {
			if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
				return 0, fmt.Errorf("compare: %w", err)
			}
		}
		for i := range min(na, nb) {
			if bufA[i] != bufB[i] {
				return done + int64(i), nil
			}
		}
		n := int64(min(na, nb))
		if done += n; n < want || done == limit {
			return done, nil
		}
	}
}

func (t text) hasPrefix(ctx context.Context, p text) (bool, error) {
	if p.size() > t.size() {
		return false, nil
	}
	n, err := common(ctx, t, p, p.size())
	return n == p.size(), err
}

func (t text) hasSuffix(ctx context.Context, p text) (bool, error) {
	if p.size() > t.size() {
		return false, nil
	}
	return t.from(t.size()-p.size()).hasPrefix(ctx, p)
}

// ended tells whether the text is empty, ends with a line, or has none.
func (t text) ended() (bool, error) {
	if t.size() == 0 {
		return true, nil
	}
	if bin, err := t.binary(); bin || err != nil {
		return true, err
	}
	var last [1]byte
	_, err := t.ReadAt(last[:], t.size()-1)
	if err == io.EOF {
		err = nil
	}
	return last[0] == '\n', err
}

// binary tells whether the text has a NUL early on.
func (t text) binary() (bool, error) {
	buf := make([]byte, min(4096, t.size()))
	n, err := t.ReadAt(buf, 0)
	if err == io.EOF {
		err = nil
	}
	return bytes.IndexByte(buf[:n], 0) >= 0, err
}

// lineStart is where the line begins that the byte at off belongs to.
func (t text) lineStart(off int64) (int64, error) {
	buf := make([]byte, chunk)
	for end := off; end > 0; {
		b := buf[:min(chunk, end)]
		if _, err := t.ReadAt(b, end-int64(len(b))); err != nil && err != io.EOF {
			return 0, err
		}
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
			return end - int64(len(b)-i-1), nil
		}
		end -= int64(len(b))
	}
	return 0, nil
}
