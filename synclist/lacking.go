package synclist

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"io"

	"snapbe/internal/treecopy"
)

// sinceOrigin is what to add of what the source has gained since the origin. It
// is unclear where there is none, or it tells nothing.
//
// What came over from the target before stands between the source's own then.
// So each line counts for itself, wherever it is: the target gets what it has
// less often than the source.
func (e *extension) sinceOrigin(ctx context.Context) (text, error) {
	gain, rest, err := e.bothSinceOrigin(ctx)
	if err != nil || gain.size() == 0 || rest.size() == 0 {
		return gain, err
	}
	have, size, err := e.tally(ctx, gain, rest)
	if err != nil {
		return nil, err
	}
	add, err := have.lacks(ctx, gain, size)
	if err != nil || add.size() == 0 || size > 0 || e.line.Mode == Prepend {
		return e.joined(add, "", err)
	}
	open, err := rest.openLine()
	if err != nil || have[have.sum(open)] == 0 {
		open = nil // it is a line of the source
	}
	return e.joined(add, string(open), err)
}

// joined makes an addition go with the target: its last line, where it is open,
// is ended or goes on.
func (e *extension) joined(add text, open string, err error) (text, error) {
	if err != nil || add.size() == 0 {
		return nil, err
	}
	if e.line.Mode == Prepend {
		ended, err := add.ended()
		if err == nil && !ended {
			add = append(add, newline()...)
		}
		return add, err
	}
	if n := int64(len(open)); n > 0 && n < add.size() {
		begin := make([]byte, n)
		if _, err := add.ReadAt(begin, 0); err != nil && err != io.EOF {
			return nil, err
		}
		if string(begin) == open {
			return add.from(n), nil
		}
	}
	tgt, err := e.text(e.tgt.tree, e.name)
	if err != nil {
		return nil, err
	}
	ended, err := tgt.ended()
	if err == nil && !ended {
		add = append(newline(), add...)
	}
	return add, err
}

// bothSinceOrigin is what both sides have beyond the origin.
func (e *extension) bothSinceOrigin(ctx context.Context) (gain, rest text, err error) {
	if e.sides.Base == nil || e.sides.Origin == nil {
		return nil, nil, unclear("there is no origin")
	}
	_, src, tgt, err := e.texts()
	if err != nil {
		return nil, nil, err
	}
	origin, err := lookBack(e.sides.Origin, e.name)
	if err != nil {
		return nil, nil, err
	}
	var old text
	switch {
	case origin.there && origin.Kind != treecopy.File:
		return nil, nil, unclear("it is no file in the origin")
	case origin.there:
		if old, err = e.text(origin.tree, e.name); err != nil {
			return nil, nil, err
		}
	}
	since := func(tree *treecopy.Tree, file text) (text, error) {
		if e.line.Mode == Prepend {
			ends, err := file.hasSuffix(ctx, old)
			if err == nil && !ends {
				err = unclear("it does not end any more with what the origin had")
			}
			return file.upTo(file.size() - old.size()), err
		}
		all, why, err := e.history(ctx, tree, e.sides.Origin, old, file)
		if err == nil && why != "" {
			err = unclear(why)
		}
		return all.from(old.size()), err
	}
	if gain, err = since(e.src.tree, src); err == nil {
		rest, err = since(e.tgt.tree, tgt)
	}
	return gain, rest, err
}

// tally is how often each line is there, by its sum.
type tally map[uint64]int

// maxLines is how many lines are counted, and how many pieces an addition has.
// They take some 50 MiB; who has more has the base to go by.
const maxLines = 1 << 20

var seed = maphash.MakeSeed()

// sum is the same for a line that is not ended yet.
func (tally) sum(line []byte) uint64 {
	return maphash.Bytes(seed, bytes.TrimSuffix(line, []byte{'\n'}))
}

// tally counts the lines of the target, or its records of that size.
func (e *extension) tally(ctx context.Context, gain, rest text) (have tally, size int, err error) {
	for _, t := range []text{gain, rest} {
		binary, err := t.binary()
		if err != nil {
			return nil, 0, err
		}
		if !binary || size > 0 {
			continue
		}
		if size = recordSize(gain, rest); size == 0 || e.line.Mode == Prepend {
			return nil, 0, unclear("it is binary")
		}
	}
	have = tally{}
	err = rest.each(ctx, size, func(line []byte, _ int64) error {
		have[have.sum(line)]++
		if len(have) > maxLines {
			return unclear("it has too many lines")
		}
		return nil
	})
	return have, size, err
}

// lacks is what of a gain is not among the lines, each of which is there for one
// of the gain. Lines that say nothing go with the one before them.
func (have tally) lacks(ctx context.Context, gain text, size int) (text, error) {
	type piece struct{ off, end int64 }
	var pieces []piece
	lacking, first := false, true
	err := gain.each(ctx, size, func(line []byte, off int64) error {
		from := off
		if size > 0 || len(bytes.TrimSpace(line)) > 0 {
			sum := have.sum(line)
			if lacking = have[sum] == 0; !lacking {
				have[sum]--
			}
			if first {
				from, first = 0, false
			}
		}
		switch n := len(pieces); {
		case !lacking:
		case n > 0 && pieces[n-1].end == from:
			pieces[n-1].end = off + int64(len(line))
		case n > maxLines:
			return unclear("it has too many lines")
		default:
			pieces = append(pieces, piece{from, off + int64(len(line))})
		}
		return nil
	})
	var add text
	for _, p := range pieces {
		add = append(add, gain.from(p.off).upTo(p.end-p.off)...)
	}
	return add, err
}

// each calls f with every line and where it begins. Lines that are too long to
// be had as one are unclear.
func (t text) each(ctx context.Context, size int, f func(line []byte, off int64) error) error {
	next, off := t.lines(forwards, size), int64(0)
	for {
		line, err := next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("compare lines: %w", err)
		}
		if size == 0 && len(line) == chunk {
			return unclear("it has a line that is too long")
		}
		if err := f(line, off); err != nil {
			return err
		}
		off += int64(len(line))
	}
}

// openLine is the last line, where it is not ended.
func (t text) openLine() ([]byte, error) {
	start, err := t.lineStart(t.size())
	if err != nil || t.size()-start >= chunk {
		return nil, err
	}
	line := make([]byte, t.size()-start)
	_, err = t.ReadAt(line, start)
	if err == io.EOF {
		err = nil
	}
	return line, err
}
