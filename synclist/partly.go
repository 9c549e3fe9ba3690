package synclist

import (
	"context"
	"slices"
)

// inPart is what a tree of Sides.Partly has of a name, the youngest that the target
// is as; ok is false where there is none. What is in neither may be gone from the
// target by its own doing.
func (s *syncer) inPart(t three, differ func(a, b side) (bool, error)) (at side, ok bool, err error) {
	for _, tree := range slices.Backward(s.sides.Partly) {
		at, err = lookBack(tree, t.name)
		if err != nil {
			return at, false, err
		}
		if !at.there || !t.tgt.there {
			continue
		}
		if d, err := differ(t.tgt, at); err != nil || !d {
			return at, err == nil, err
		}
	}
	return side{}, false, nil
}

// takeInPart gives the base what the target may have taken over since.
func (f *recordFile) takeInPart(ctx context.Context) error {
	for _, tree := range f.sides.Partly {
		if err := ctx.Err(); err != nil {
			return err
		}
		part, err := f.former(tree)
		if err != nil {
			return err
		}
		if part != nil && len(part.records) > 0 {
			f.merger.base.takeOver(part, f.merger.tgt)
		}
	}
	return nil
}

// takeOver gives a base what a part has, where the target is as that: record by
// record, and of those that the base has field by field.
func (t *table) takeOver(part, tgt *table) {
	for key, now := range tgt.records {
		p := part.records[key]
		switch b := t.records[key]; {
		case p == nil || t.spoiled[key]:
		case b == nil && slices.Equal(now, p):
			t.records[key] = p
		case b != nil && t.format.keyed:
			t.records[key] = t.format.takeOver(b, p, now)
		}
	}
}

// takeOver is a record of a base with those fields of a part's that the target has.
// One that closes an account the target may have closed itself, and nobody is to open
// it then.
func (f *format) takeOver(base, part, tgt record) record {
	out := slices.Clone(base)
	for i, name := range f.fields {
		same := part[i] == tgt[i] || (name == members || name == admins) && sameSet(part[i], tgt[i])
		closes := name == password && locked(part[i]) && !locked(base[i]) || name == expire && sooner(part[i], base[i])
		if same && !closes {
			out[i] = part[i]
		}
	}
	return out
}
