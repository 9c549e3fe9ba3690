package synclist

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"snapbe/internal/treecopy"
)

// gained is what the source has gained since the base, and the rest of the
// target, after what it has in common with the base.
//
// Where it cannot be told it is unclear.
func (e *extension) gained(ctx context.Context) (gain, rest text, err error) {
	base, src, tgt, err := e.texts()
	if err != nil {
		return nil, nil, err
	}
	if e.sides.Base == nil {
		return e.gainedSince(ctx, src, tgt)
	}
	src, why, err := e.history(ctx, e.src.tree, base, src)
	if err != nil {
		return nil, nil, err
	}
	if why != "" {
		return nil, nil, unclear("in the source it does not begin any more with what the common ancestor had, and " + why)
	}
	gain = src.from(base.size())
	// A target that was rotated too has the gain of an earlier sync in its older
	// files.
	if all, why, err := e.history(ctx, e.tgt.tree, base, tgt); err != nil {
		return nil, nil, err
	} else if why == "" {
		return gain, all.from(base.size()), nil
	}
	return gain, tgt, nil
}

// gainedSince takes what both begin with for the ancestor.
func (e *extension) gainedSince(ctx context.Context, src, tgt text) (gain, rest text, err error) {
	n, err := common(ctx, src, tgt, min(src.size(), tgt.size()))
	if err != nil {
		return nil, nil, err
	}
	if n < src.size() && n < tgt.size() {
		if n, err = src.lineStart(n); err != nil {
			return nil, nil, err
		}
		if n == 0 {
			return nil, nil, unclear("there is no common ancestor, and the two sides have no beginning in common")
		}
	}
	return src.from(n), tgt.from(n), nil
}

// history is a file's content with that of its rotated files before it, back to
// the one that begins with what the base had. Where none does, why says so.
func (e *extension) history(ctx context.Context, tree *treecopy.Tree, base, file text) (all text, why string, err error) {
	if base.size() == 0 {
		return e.historyOfEmpty(ctx, tree, file)
	}
	older, err := rotatedFiles(tree, e.name)
	if err != nil {
		return nil, "", err
	}
	all = file
	for i := 0; ; i++ {
		begins, err := all.hasPrefix(ctx, base)
		if err != nil {
			return nil, "", err
		}
		switch {
		case begins:
			return all, "", nil
		case i == len(older):
			return nil, "no rotated file beside it does", nil
		case older[i].compressed:
			return nil, fmt.Sprintf("%q is compressed", older[i].name), nil
		}
		t, err := e.text(tree, older[i].name)
		if err != nil {
			return nil, "", err
		}
		all = append(t, all...)
	}
}

// historyOfEmpty is history where the base had nothing in the file: what was
// rotated since is told by the rotated files that the base had.
func (e *extension) historyOfEmpty(ctx context.Context, tree *treecopy.Tree, file text) (all text, why string, err error) {
	older, err := rotatedFiles(tree, e.name)
	if err != nil {
		return nil, "", err
	}
	before, err := rotatedFiles(e.sides.Base, e.name)
	if err != nil {
		return nil, "", err
	}
	all = file
	for _, o := range older {
		if len(before) > 0 {
			same, err := treecopy.SameContent(tree, o.name, e.sides.Base, before[0].name)
			if err != nil {
				return nil, "", err
			}
			if same {
				return all, "", nil
			}
		}
		if o.compressed {
			return nil, fmt.Sprintf("%q is compressed", o.name), nil
		}
		t, err := e.text(tree, o.name)
		if err != nil {
			return nil, "", err
		}
		all = append(t, all...)
	}
	if len(before) > 0 {
		return nil, fmt.Sprintf("%q is gone", before[0].name), nil
	}
	return all, "", nil
}

// rotated is an older file of a log.
type rotated struct {
	name       string
	compressed bool
	// number counts rotations since, date is in its name instead.
	number uint64
	date   string
}

// rotatedFiles are those of a log, the youngest first: FILE.0, FILE.1 or
// FILE-20261127, as logrotate(8) and its like name them. Where both kinds are
// found, those with dates are of no use.
func rotatedFiles(tree *treecopy.Tree, name string) ([]rotated, error) {
	if tree == nil {
		return nil, nil
	}
	dir := path.Dir(name)
	names, err := tree.Names(dir)
	if err != nil {
		at, e := look(tree, dir)
		if e == nil && !at.there {
			return nil, nil
		}
		return nil, err
	}
	var numbered, dated []rotated
	for _, n := range names {
		suffix, ok := strings.CutPrefix(n, path.Base(name))
		if !ok || len(suffix) < 2 || suffix[0] != '.' && suffix[0] != '-' {
			continue
		}
		r := rotated{name: treecopy.Join(dir, n)}
		at, ext, _ := strings.Cut(suffix[1:], ".")
		switch ext {
		case "":
		case "gz", "xz", "bz2", "zst":
			r.compressed = true
		default:
			continue
		}
		info, err := tree.Peek(r.name)
		if err != nil {
			return nil, err
		}
		if info.Kind != treecopy.File {
			continue
		}
		if len(at) >= len("20261127") && strings.Trim(at, "0123456789-_T") == "" {
			r.date = at
			dated = append(dated, r)
		} else if r.number, err = strconv.ParseUint(at, 10, 32); err == nil && suffix[0] == '.' {
			numbered = append(numbered, r)
		}
	}
	slices.SortFunc(numbered, func(a, b rotated) int { return cmp.Compare(a.number, b.number) })
	slices.SortFunc(dated, func(a, b rotated) int { return strings.Compare(b.date, a.date) })
	if len(numbered) > 0 {
		return numbered, nil
	}
	return dated, nil
}
