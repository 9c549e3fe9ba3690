package synclist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"snapbe/internal/treecopy"
)

// maxRecords is the longest record file, in bytes.
const maxRecords = 16 << 20

// recordFile is a record file on its way.
type recordFile struct {
	*walk
	three
	merger *merger
	// tgt is the target's content.
	tgt []byte
}

// mergeFiles merges the record files of a directory.
func (s *syncer) mergeFiles(ctx context.Context, lines List) error {
	var files []*recordFile
	all := accounts{}
	dir := path.Dir(lines[0].Path)[1:]
	for _, name := range strings.Split(recordFiles, ", ") {
		i := slices.IndexFunc(lines, func(l Line) bool { return path.Base(l.Path) == name })
		if i < 0 {
			if err := s.toCheck(ctx, all, path.Join(dir, name)); err != nil {
				return naming(lines[0], err)
			}
			continue
		}
		f := &recordFile{walk: &walk{syncer: s, line: lines[i], top: lines[i].Path[1:]}}
		ok, err := f.load(ctx)
		if err != nil {
			return naming(lines[i], err)
		}
		if ok {
			files = append(files, f)
			all[name] = f.merger
		} else if err := s.toCheck(ctx, all, f.top); err != nil {
			return naming(lines[i], err)
		}
	}
	edits := all.merge()
	if m := all["passwd"]; m != nil && m.unknown == "" {
		s.rejectIDs(m, edits["passwd"], uid, s.rejectedUIDs)
	}
	if m := all["group"]; m != nil && m.unknown == "" {
		s.rejectIDs(m, edits["group"], gid, s.rejectedGIDs)
	}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.save(ctx, edits[f.merger.format.name]); err != nil {
			return naming(f.line, err)
		}
	}
	return nil
}

// load reads a record file on all sides. Where it cannot be merged it is
// reported, and ok is false.
func (f *recordFile) load(ctx context.Context) (ok bool, err error) {
	if f.shared(f.line, f.top) {
		return false, nil
	}
	var skipped Item
	if f.three, skipped, ok, err = f.lookAt(f.top); err != nil {
		return false, err
	}
	if !ok {
		f.note(skipped)
		return false, nil
	}
	if why := notFiles(f.three); why != "" {
		f.item(f.three, Refused, "%s; MERGE is for files", why)
		return false, nil
	}
	switch {
	case !f.src.there:
		f.item(f.three, Skipped, NotInSource)
		return false, nil
	case f.three.tgt.blocked:
		f.note(blocked(f.three))
		return false, nil
	case !f.three.tgt.there:
		return false, f.file(ctx, f.three)
	}
	return f.parse(ctx)
}

// toCheck reads a record file that is not merged, and that the others must go
// with nevertheless.
func (s *syncer) toCheck(ctx context.Context, all accounts, name string) error {
	f := formats[path.Base(name)]
	switch f.name {
	case "passwd", "group", "shadow":
	default:
		return nil
	}
	if s.sides.Shared != nil {
		if _, ok := s.sides.Shared("/" + name); ok {
			return nil // what it has is so on both sides
		}
	}
	m := &merger{format: f, blind: s.sides.Base == nil, frozen: true}
	m.src, m.tgt, m.base = parseTable(f, nil), parseTable(f, nil), parseTable(f, nil)
	t, skipped, ok, err := s.lookAt(name)
	if err != nil {
		return err
	}
	if ok && !t.src.there && !t.tgt.there {
		return nil
	}
	all[f.name] = m
	if !ok {
		m.unknown = skipped.Why
		return nil
	}
	t.base.there = t.base.there && t.base.Kind == treecopy.File
	if m.unknown = notFiles(t); m.unknown != "" {
		return nil
	}
	tgt := t.tgt
	if t.src.there && (!tgt.there || !tgt.Immutable && s.modeOf(name) == Overwrite) {
		v, _, err := s.judge(ctx, t)
		if err != nil {
			return err
		}
		if v == take || v == both && !tgt.there {
			tgt = t.src // it is going to be
		}
	}
	src := t.src
	if m.blind && !s.changedByTime(src.Info) {
		src = tgt
	}
	for _, at := range []struct {
		called string
		side
		into **table
	}{{"source", src, &m.src}, {"target", tgt, &m.tgt}, {"base", t.base, &m.base}} {
		content, err := at.content(name)
		switch {
		case err == nil:
			*at.into = parseTable(f, content)
		case !errors.Is(err, errLarge):
			return fmt.Errorf("in the %s: %w", at.called, err)
		case at.called != "base":
			m.unknown = fmt.Sprintf("in the %s %v", at.called, err)
		}
	}
	if m.unknown != "" {
		m.src, m.tgt, m.base = parseTable(f, nil), parseTable(f, nil), parseTable(f, nil)
	}
	return nil
}

// modeOf is the mode of the line that a name is under; none: "".
func (s *syncer) modeOf(name string) Mode {
	for p := "/" + name; ; p = path.Dir(p) {
		if l, ok := s.lines[p]; ok {
			return l.Mode
		}
		if p == "/" {
			return ""
		}
	}
}

func (f *recordFile) parse(ctx context.Context) (ok bool, err error) {
	m := &merger{format: formats[path.Base(f.top)], blind: f.sides.Base == nil, frozen: f.three.tgt.Immutable}
	m.taking = m.blind && !f.changedByTime(f.three.tgt.Info)
	f.merger = m
	src := f.src
	if m.blind && !f.changedByTime(f.src.Info) {
		// Nothing is new in the source.
		src = f.three.tgt
	}
	for _, at := range []struct {
		called string
		side   side
		into   **table
	}{{"source", src, &m.src}, {"target", f.three.tgt, &m.tgt}, {"base", f.base, &m.base}} {
		content, err := at.side.content(f.name)
		if errors.Is(err, errLarge) {
			f.item(f.three, Refused, "in the %s %v; MERGE is for smaller files", at.called, err)
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("in the %s: %w", at.called, err)
		}
		if at.called == "target" {
			f.tgt = content
		}
		*at.into = parseTable(m.format, content)
	}
	for _, at := range []struct {
		called string
		tree   *treecopy.Tree
		into   **table
	}{
		{"the origin", f.sides.Origin, &m.origin}, {"what the last sync left", f.sides.Was, &m.was},
		{"the target as the source knows it", f.sides.Known, &m.known}, {"the source as it was", f.sides.Had, &m.had},
	} {
		if *at.into, err = f.former(at.tree); err != nil {
			return false, fmt.Errorf("in %s: %w", at.called, err)
		}
	}
	if err := f.takeInPart(ctx); err != nil {
		return false, fmt.Errorf("in what it has in part: %w", err)
	}
	// Nothing is left of a file that was cut off, rather than of all accounts.
	had := len(m.base.records) > 0 || m.origin != nil && len(m.origin.records) > 0
	if len(m.src.records)+len(m.src.doubled) == 0 && had && m.format.keyed {
		f.item(f.three, Conflict, "in the source there is no record at all")
		return false, nil
	}
	return true, nil
}

// former is the file as an older tree has it; nil where there is no such tree,
// or something there that tells nothing.
func (f *recordFile) former(tree *treecopy.Tree) (*table, error) {
	if tree == nil {
		return nil, nil
	}
	at, err := look(tree, f.name)
	if _, link := errors.AsType[*treecopy.LinkError](err); link {
		return nil, nil
	}
	if err != nil || at.there && at.Kind != treecopy.File {
		return nil, err
	}
	content, err := at.content(f.name)
	if errors.Is(err, errLarge) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseTable(f.merger.format, content), nil
}

// content is a whole record file; nothing where there is none.
func (a side) content(name string) ([]byte, error) {
	if !a.there {
		return nil, nil
	}
	return readAll(a.tree, name)
}

func readAll(tree *treecopy.Tree, name string) ([]byte, error) {
	file, err := tree.OpenFile(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxRecords+1))
	if err == nil && len(content) > maxRecords {
		err = errLarge
	}
	return content, err
}

var errLarge = fmt.Errorf("it is larger than %d MiB", maxRecords>>20)

// save writes a merged file, where anything changed.
func (f *recordFile) save(ctx context.Context, e *edit) error {
	like, differs, err := f.attributesOf(f.three)
	if err != nil {
		return err
	}
	i := Item{Action: Same, Differs: differs, Records: e.records}
	if len(differs) > 0 {
		i.Source, i.Target = stat(f.src), stat(f.three.tgt)
	}
	content := f.merger.tgt.render(e)
	changed := attributes(like, f.three.tgt.Info)
	switch {
	case !bytes.Equal(content, f.tgt):
		i.Action = Merged
	case len(changed) > 0:
		i.Action, i.Why = Copied, changedInSource+": "+strings.Join(changed, ", ")
	case f.three.tgt.Immutable && (i.refused() || i.inConflict()):
	default:
		if i.inConflict() {
			i.Action = Conflict
		} else if i.refused() {
			i.Action = Refused
		}
		i.Path = "/" + f.name
		f.note(i)
		return nil
	}
	if f.three.tgt.Immutable {
		i.Path, i.Action, i.Why = "/"+f.name, Refused, "it is immutable in the target (chattr(1))"
		f.note(i)
		return nil
	}
	if f.src.Modified.After(like.Modified) {
		like.Modified = f.src.Modified
	}
	return f.do(ctx, f.three, i, int64(len(content)), func() (int64, error) {
		return f.sides.Target.Write(f.name, bytes.NewReader(content), like)
	})
}
