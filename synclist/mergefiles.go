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
	for _, name := range strings.Split(recordFiles, ", ") {
		i := slices.IndexFunc(lines, func(l Line) bool { return path.Base(l.Path) == name })
		if i < 0 {
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
		}
	}
	edits := all.merge()
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.save(edits[f.merger.format.name]); err != nil {
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
	return f.parse()
}

func (f *recordFile) parse() (ok bool, err error) {
	m := &merger{format: formats[path.Base(f.top)], blind: f.sides.Base == nil}
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
		if err != nil {
			return false, fmt.Errorf("in the %s: %w", at.called, err)
		}
		if at.called == "target" {
			f.tgt = content
		}
		if *at.into, err = parseTable(m.format, content); err != nil {
			f.item(f.three, Conflict, "in the %s, %v", at.called, err)
			return false, nil
		}
	}
	if m.origin, err = f.origin(); err != nil {
		return false, fmt.Errorf("in the origin: %w", err)
	}
	// Nothing is left of a file that was cut off, rather than of all accounts.
	if len(m.src.records) == 0 && len(m.base.records) > 0 && m.format.keyed {
		f.item(f.three, Conflict, "in the source there is no record at all")
		return false, nil
	}
	return true, nil
}

// origin is the file as the origin has it; nil where there is no origin, or
// something there that tells nothing.
func (f *recordFile) origin() (*table, error) {
	if f.sides.Origin == nil {
		return nil, nil
	}
	at, err := look(f.sides.Origin, f.name)
	if _, link := errors.AsType[*treecopy.LinkError](err); link {
		return nil, nil
	}
	if err != nil || at.there && at.Kind != treecopy.File {
		return nil, err
	}
	content, err := at.content(f.name)
	if err != nil {
		return nil, err
	}
	t, err := parseTable(f.merger.format, content)
	if err != nil {
		return nil, nil // of doubled records nothing is known
	}
	return t, nil
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
		err = fmt.Errorf("a record file is larger than %d MiB", maxRecords>>20)
	}
	return content, err
}

// save writes a merged file, where anything changed.
func (f *recordFile) save(e *edit) error {
	like, differs := f.attributesOf(f.three)
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
		i = Item{Path: "/" + f.name, Action: Refused, Why: "it is immutable in the target (chattr(1))"}
		f.note(i)
		return nil
	}
	if f.src.Modified.After(like.Modified) {
		like.Modified = f.src.Modified
	}
	return f.do(f.three, i, int64(len(content)), func() (int64, error) {
		return f.sides.Target.Write(f.name, bytes.NewReader(content), like)
	})
}
