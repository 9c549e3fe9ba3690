package synclist

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
)

// direction is from where on lines are read.
type direction bool

const (
	forwards  direction = false
	backwards direction = true
)

// found is how much of a gain the target has already.
type found struct {
	// bytes is from the gain's beginning; backwards, from its end.
	bytes int64
	// open tells that the last of these are a line that is not ended yet, at
	// the end of the target.
	open bool
	// binary tells that the gain has no lines.
	binary bool
}

// contained tells how much of a gain the rest of the target has already. It
// goes through both line by line and finds each line of the gain after the one
// before it, so that a gain that was added once is found whatever was written
// after it, and what the source gained since then is not. Memory is constant,
// time linear.
//
// Lines that say nothing are no sign that those after them are still missing.
//
// Of records without lines, as in wtmp(5), the same is done by the record. Other
// binary content is told only where the target has nothing else: unclear.
func contained(ctx context.Context, gain, rest text, way direction) (found, error) {
	binary, err := gain.binary()
	if err != nil {
		return found{}, err
	}
	size := 0
	if binary {
		there := rest.hasSuffix
		if way == backwards {
			there = rest.hasPrefix
		}
		if all, err := there(ctx, gain); err != nil || all {
			return found{bytes: gain.size(), binary: true}, err
		}
		if size = recordSize(gain, rest); size == 0 || way == backwards {
			return found{}, unclear("it is binary, and changed on both sides")
		}
	}
	want, have := gain.lines(way, size), rest.lines(way, size)
	f := found{binary: binary}
	meaning := false
	line, err := want()
	for err == nil {
		h, herr := have()
		if herr == io.EOF {
			break
		}
		if err = herr; err == nil {
			err = ctx.Err()
		}
		if err != nil {
			break
		}
		switch {
		case matches(h, line):
			meaning = meaning || len(bytes.TrimSpace(line)) > 0
			f.bytes += int64(len(line))
			line, err = want()
		case way == forwards && size == 0 && begins(line, h):
			// Only the last line is without an end.
			return found{bytes: f.bytes + int64(len(h)), open: true}, nil
		}
	}
	if err == io.EOF {
		return found{bytes: gain.size()}, nil
	}
	if err != nil {
		return found{}, fmt.Errorf("compare lines: %w", err)
	}
	if !meaning {
		f.bytes = 0
	}
	return f, nil
}

// matches tells whether the target's line is the one that is looked for, which
// may have got its end there only.
func matches(have, want []byte) bool {
	return bytes.Equal(have, want) ||
		len(have) == len(want)+1 && have[len(want)] == '\n' && bytes.Equal(have[:len(want)], want) && len(want) < chunk
}

// begins tells of a line that was cut off.
func begins(want, have []byte) bool {
	return len(have) > 0 && len(have) < chunk && have[len(have)-1] != '\n' && bytes.HasPrefix(want, have)
}

// recordSize is that of utmp(5), where the texts may hold such records; it is
// not the same everywhere.
func recordSize(texts ...text) int {
next:
	for _, size := range []int{384, 400, 372} {
		for _, t := range texts {
			if t.size()%int64(size) != 0 {
				continue next
			}
		}
		return size
	}
	return 0
}

// lines reads line by line, those that are too long in pieces; or by the size,
// where it is not zero. What is returned is good until the next call.
func (t text) lines(way direction, size int) func() ([]byte, error) {
	if way == backwards {
		return t.linesBack()
	}
	r := bufio.NewReaderSize(t.reader(0), chunk)
	if size > 0 {
		buf := make([]byte, size)
		return func() ([]byte, error) {
			_, err := io.ReadFull(r, buf)
			return buf, err
		}
	}
	return func() ([]byte, error) {
		line, err := r.ReadSlice('\n')
		if err == bufio.ErrBufferFull || err == io.EOF && len(line) > 0 {
			err = nil
		}
		return line, err
	}
}

// linesBack reads the last line first.
func (t text) linesBack() func() ([]byte, error) {
	const ahead = 4 * chunk
	buf := make([]byte, ahead+chunk) // of it, [from, end) is to be given out
	from, end := t.size(), t.size()
	return func() ([]byte, error) {
		if end == 0 {
			return nil, io.EOF
		}
		if have := end - from; have < chunk && from > 0 {
			// A whole line may not be there: read on.
			n := min(from, ahead)
			copy(buf[n:], buf[:have])
			if _, err := t.ReadAt(buf[:n], from-n); err != nil && err != io.EOF {
				return nil, err
			}
			from -= n
		}
		b := buf[:end-from]
		start := bytes.LastIndexByte(b[:len(b)-1], '\n') + 1
		start = max(start, len(b)-chunk)
		end = from + int64(start)
		return b[start:], nil
	}
}
