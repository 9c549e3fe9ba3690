package synclist

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

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
	src, why, err := e.history(ctx, e.src.tree, e.sides.Base, base, src)
	if err != nil {
		return nil, nil, err
	}
	if why != "" {
		return nil, nil, unclear("in the source it does not begin any more with what the common ancestor had, and " + why)
	}
	gain = src.from(base.size())
	if gain.size() == 0 {
		return nil, nil, nil
	}
	// A target that was rotated too has the gain of an earlier sync in its older
	// files.
	if all, why, err := e.history(ctx, e.tgt.tree, e.sides.Base, base, tgt); err != nil {
		return nil, nil, err
	} else if why == "" {
		return gain, all.from(base.size()), nil
	}
	n, err := e.fromBase(ctx, base, tgt)
	if err != nil || n == 0 {
		return gain, tgt, err
	}
	// It may be what an earlier sync added to a file that was emptied.
	added, err := tgt.hasPrefix(ctx, gain)
	if added && (gain.size() > n || gain.size() == tgt.size()) {
		n = 0
	}
	return gain, tgt.from(n), err
}

// fromBase is how much the target begins with that it has from the base: no
// line of that came from the source.
func (e *extension) fromBase(ctx context.Context, base, tgt text) (int64, error) {
	n, err := common(ctx, base, tgt, min(base.size(), tgt.size()))
	if err != nil || n == 0 {
		return 0, err
	}
	binary, err := tgt.binary()
	if err != nil {
		return 0, err
	}
	if !binary {
		return tgt.lineStart(n)
	}
	if size := int64(recordSize(base, tgt)); size > 0 {
		return n - n%size, nil
	}
	return 0, nil
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
// the one that begins with what the base had, which is of the tree past. Where
// none does, why says so.
func (e *extension) history(ctx context.Context, tree, past *treecopy.Tree, base, file text) (all text, why string, err error) {
	if base.size() == 0 {
		return e.historyOfEmpty(ctx, tree, past, file)
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
			return all, "", all.settled()
		case i == len(older):
			return nil, "no rotated file beside it does", nil
		}
		t, why, err := e.rotated(ctx, tree, older[i])
		if err != nil || why != "" {
			return nil, why, err
		}
		all = append(t, all...)
	}
}

// historyOfEmpty is history where the base had nothing in the file: what was
// rotated since is told by the rotated files that the base had.
func (e *extension) historyOfEmpty(ctx context.Context, tree, past *treecopy.Tree, file text) (all text, why string, err error) {
	older, err := rotatedFiles(tree, e.name)
	if err != nil {
		return nil, "", err
	}
	before, err := rotatedFiles(past, e.name)
	if err != nil {
		return nil, "", err
	}
	all = file
	for _, o := range older {
		if len(before) > 0 {
			same, err := treecopy.SameContent(ctx, tree, o.name, past, before[0].name)
			if err != nil {
				return nil, "", err
			}
			if same || o.succeeds(before[0], older) {
				return all, "", all.settled()
			}
		}
		t, why, err := e.rotated(ctx, tree, o)
		if err != nil || why != "" {
			return nil, why, err
		}
		if len(before) > 0 && o.packed != "" {
			same, err := e.unpacks(ctx, t, past, before[0])
			if err != nil {
				return nil, "", err
			}
			if same {
				return all, "", all.settled()
			}
		}
		all = append(t, all...)
	}
	if len(before) > 0 {
		return nil, fmt.Sprintf("%q is gone", before[0].name), nil
	}
	return all, "", all.settled()
}

// unpacks tells whether a text is what a rotated file of the base was packed
// into.
func (e *extension) unpacks(ctx context.Context, t text, past *treecopy.Tree, of rotated) (bool, error) {
	if of.packed != "" {
		return false, nil
	}
	base, err := e.text(past, of.name)
	if err != nil || base.size() != t.size() {
		return false, err
	}
	return t.hasPrefix(ctx, base)
}

// rotated opens an older file of a log, and says why where it cannot be read.
func (e *extension) rotated(ctx context.Context, tree *treecopy.Tree, r rotated) (t text, why string, err error) {
	switch r.packed {
	case "":
		t, err = e.text(tree, r.name)
		return t, "", err
	case "gz":
		return e.unpack(ctx, tree, r.name)
	}
	return nil, fmt.Sprintf("%q is compressed", r.name), nil
}

// rotated is an older file of a log.
type rotated struct {
	name string
	// packed is how it is compressed, as at the end of its name.
	packed   string
	modified time.Time
	// number counts rotations since, date is in its name instead.
	number uint64
	date   string
}

// succeeds tells of the file that another one was packed into, where it cannot be
// read: the programs that do so keep its time, which no other file may have.
func (r rotated) succeeds(unpacked rotated, among []rotated) bool {
	if r.packed == "" || r.packed == "gz" || unpacked.packed != "" {
		return false
	}
	at := unpacked.modified.Unix()
	return r.modified.Unix() == at && !slices.ContainsFunc(among, func(other rotated) bool {
		return other.name != r.name && other.modified.Unix() == at
	})
}

// rotatedFiles are those of a log, the youngest first: FILE.0, FILE.1 or
// FILE-20261127, as logrotate(8) and its like name them, or with its extension
// last, as in NAME-20261127.log. Where several kinds are found, the first that is
// named here is the one in use.
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
	var kinds [4][]rotated
	for _, n := range names {
		r, kind, ok := parseRotated(path.Base(name), n)
		if !ok {
			continue
		}
		r.name = treecopy.Join(dir, n)
		info, err := tree.Peek(r.name)
		if passing(err) || err == nil && info.Kind != treecopy.File {
			continue
		}
		if err != nil {
			return nil, err
		}
		r.modified = info.Modified
		kinds[kind] = append(kinds[kind], r)
	}
	for _, files := range kinds {
		if len(files) == 0 {
			continue
		}
		slices.SortFunc(files, func(a, b rotated) int {
			return cmp.Or(cmp.Compare(a.number, b.number), strings.Compare(b.date, a.date), strings.Compare(a.packed, b.packed))
		})
		// While it is packed, a file is there twice.
		return slices.CompactFunc(files, func(a, b rotated) bool { return a.number == b.number && a.date == b.date }), nil
	}
	return nil, nil
}

// parseRotated takes the name of a log's older file apart. The kind is whether it
// has a number (0) or a date (2), and 1 more where the extension is last.
func parseRotated(log, name string) (r rotated, kind int, ok bool) {
	for _, p := range []string{"gz", "xz", "bz2", "zst"} {
		if rest, is := strings.CutSuffix(name, "."+p); is {
			name, r.packed = rest, p
			break
		}
	}
	at, ok := strings.CutPrefix(name, log)
	if ext := path.Ext(log); !ok && ext != "" && ext != log {
		kind = 1
		if at, ok = strings.CutPrefix(name, strings.TrimSuffix(log, ext)); ok {
			at, ok = strings.CutSuffix(at, ext)
		}
	}
	if !ok || len(at) < 2 || at[0] != '.' && at[0] != '-' {
		return r, 0, false
	}
	dot, at := at[0] == '.', at[1:]
	if len(at) >= len("20261127") && strings.Trim(at, "0123456789-_T") == "" {
		r.date = at
		return r, kind + 2, true
	}
	var err error
	r.number, err = strconv.ParseUint(at, 10, 32)
	return r, kind, err == nil && dot
}
