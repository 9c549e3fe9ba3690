package synclist

import (
	"context"
	"errors"
	"slices"

	"snapbe/internal/treecopy"
)

// ancestor is the side that source and target are judged against: mostly the
// base, but the origin where the target is still as it was there, and was so
// after the last sync too. It has not changed since the two parted then, and
// whatever differs is the source's change, though the base may have it already.
//
// It is looked for where the two differ, and nowhere else.
func (s *syncer) ancestor(t three, differ func(a, b side) (bool, error)) (side, error) {
	if part, ok, err := s.inPart(t, differ); err != nil || ok {
		return part, err
	}
	if !t.src.there && !t.base.there && t.tgt.there {
		if was, ok, err := s.hadBoth(t.name, t.tgt, differ); err != nil || ok {
			return was, err
		}
	}
	if s.sides.Base == nil || s.sides.Origin == nil || !t.tgt.there {
		return t.base, nil
	}
	if !t.src.there && !t.base.there && s.sides.Was == nil {
		return t.base, nil // nothing is removed that may have come back since
	}
	var origin side
	for _, tree := range []*treecopy.Tree{s.sides.Was, s.sides.Known, s.sides.Origin} {
		if tree == nil {
			continue
		}
		at, err := lookBack(tree, t.name)
		if err != nil || !at.there {
			return t.base, err
		}
		if d, err := differ(t.tgt, at); err != nil || d {
			return t.base, err
		}
		origin = at
	}
	return origin, nil
}

// hadBoth tells of a name that both sides had when they had taken the base over,
// though that had not, and the target has still; was is what it had.
func (s *syncer) hadBoth(name string, tgt side, differ func(a, b side) (bool, error)) (was side, ok bool, err error) {
	if s.sides.Had == nil || s.sides.Was == nil {
		return was, false, nil
	}
	had, err := lookBack(s.sides.Had, name)
	if err == nil {
		was, err = lookBack(s.sides.Was, name)
	}
	if err != nil || !had.there || !was.there {
		return was, false, err
	}
	d, err := differ(tgt, was)
	return was, !d, err
}

// neverHad tells of a name that the target, which lacks it, has not had before
// either, as far as is known. Where it is known what the last sync left, what is not
// there has been taken away since.
func (s *syncer) neverHad(name string) (bool, error) {
	if s.sides.Was != nil {
		return false, nil
	}
	for _, tree := range []*treecopy.Tree{s.sides.Origin, s.sides.Known} {
		at, err := look(tree, name)
		if _, link := errors.AsType[*treecopy.LinkError](err); link || at.there {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// lookBack is look for a tree that is of use only where it has something: where
// a symlink leads there, it has nothing.
func lookBack(tree *treecopy.Tree, name string) (side, error) {
	at, err := look(tree, name)
	if _, link := errors.AsType[*treecopy.LinkError](err); link {
		return side{tree: tree}, nil
	}
	return at, err
}

// wholly compares content and attributes, for ancestor.
func wholly(ctx context.Context, name string) func(a, b side) (bool, error) {
	return func(a, b side) (bool, error) {
		d, err := differences(ctx, name, a, b)
		return len(d) > 0, err
	}
}

// outwardly compares attributes alone.
func outwardly(a, b side) (bool, error) { return len(attributes(a.Info, b.Info)) > 0, nil }

// formerly is a record as the origin has it, or as the last sync left it; nil
// where nothing is known.
func (t *table) formerly(key string) record {
	if t == nil || t.spoiled[key] {
		return nil
	}
	return t.records[key]
}

// has tells whether a table has a record, or may have; it may be nil.
func (t *table) has(key string) bool { return t != nil && (t.records[key] != nil || t.spoiled[key]) }

// asInOrigin tells of a record that the target has not changed since the two
// parted. One that the base lacks too may have been removed and come back: that
// must be known.
func (m *merger) asInOrigin(key string, b, t record) bool {
	if !slices.Equal(m.origin.formerly(key), t) || m.known != nil && !slices.Equal(m.known.formerly(key), t) {
		return false
	}
	if m.was == nil {
		return b != nil
	}
	return slices.Equal(m.was.formerly(key), t)
}

// past is what a field is judged against; ok is false where nothing is.
func (f *fieldMerge) past(i int) (value string, ok bool) {
	switch {
	case f.asInOrigin(i):
		return f.o[i], true
	case f.b == nil:
		return "", false
	}
	return f.b[i], true
}

// asInOrigin tells of a field that the target has not changed since the two
// parted. That nothing was locked meanwhile must be known before it is opened.
func (f *fieldMerge) asInOrigin(i int) bool {
	name := f.format.fields[i]
	if name == lastChange && f.s[i-1] != f.t[i-1] {
		return f.asInOrigin(i - 1) // it goes with the password
	}
	same := func(a, b string) bool { return a == b }
	if name == members || name == admins {
		same = sameSet
	}
	switch {
	case f.o == nil || !same(f.t[i], f.o[i]) || f.k != nil && !same(f.t[i], f.k[i]):
		return false
	case f.w != nil:
		return same(f.t[i], f.w[i])
	}
	return !f.opens(i)
}

// opens tells whether the source's value would let in whom the target's does
// not.
func (f *fieldMerge) opens(i int) bool {
	switch f.format.fields[i] {
	case password:
		return locked(f.t[i]) && !locked(f.s[i])
	case expire:
		return !f.sooner(i)
	}
	return false
}

// sooner tells whether an account is closed earlier in the source.
func (f *fieldMerge) sooner(i int) bool { return sooner(f.s[i], f.t[i]) }

// sooner compares dates of expiry.
func sooner(a, b string) bool {
	on, ok1 := day(a)
	other, ok2 := day(b)
	return ok1 && ok2 && on < other
}

// closed tells of an account that was closed in the source before the last sync,
// which could not bring it over, as both had changed it. That is not over yet:
// the target has not opened it, as far as is known it never knew.
func (f *fieldMerge) closed(i int) bool {
	if f.w == nil || f.b == nil || f.s[i] != f.b[i] || f.o != nil && f.s[i] == f.o[i] || f.k != nil && f.s[i] == f.k[i] {
		return false
	}
	if f.format.fields[i] == expire {
		return f.sooner(i) && f.t[i] == f.w[i]
	}
	return locked(f.s[i]) && !locked(f.t[i]) && !locked(f.w[i])
}

// passwords is sides for a password, with the locks that these do not show: one
// that was not brought over before, and one that the target has got since.
func (f *fieldMerge) passwords(i int) (src, tgt bool) {
	src, tgt = f.sides(i)
	return src || f.closed(i), tgt || f.w != nil && f.opens(i) && !locked(f.w[i])
}

func sameSet(a, b string) bool {
	if a == b {
		return true
	}
	as, bs := setOf(a), setOf(b)
	for n := range as {
		if !bs[n] {
			return false
		}
	}
	return len(as) == len(bs)
}
