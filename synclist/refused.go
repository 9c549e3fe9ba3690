package synclist

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"snapbe/internal/treecopy"
)

// mostRefused is how many names are told of one by one in a directory, where
// anybody may have put thousands.
const mostRefused = 20

// more tells how many more were refused in a directory.
func (w *walk) more(dir string) {
	if n := w.refused["/"+dir] - mostRefused; n > 0 {
		w.report.add(w.line, Item{Path: "/" + dir, Action: Refused, Why: fmt.Sprintf("and %d more in it", n)})
	}
	delete(w.refused, "/"+dir)
}

// tooLong refuses a name that cannot be walked to.
func (w *walk) tooLong(name string) bool {
	if !tooLong(name) {
		return false
	}
	short := name[:60] + "…" + name[len(name)-60:]
	w.note(Item{Path: "/" + strings.ToValidUTF8(short, "?"), Action: Refused, Why: fmt.Sprintf("its path is %d bytes long", len(name))})
	return true
}

// tooLong leaves room for a new name beside it.
func tooLong(name string) bool { return len(name) > 1<<15-256 }

func blocked(t three) Item {
	return Item{Path: "/" + t.name, Action: Conflict, Why: "a directory that it is in is none in the target"}
}

// hindered says why nothing can be put at a name of the target or taken from
// there, or must not be.
func (s *syncer) hindered(name string) (why string, err error) {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		at, err := look(s.sides.Target, dir)
		switch {
		case err != nil:
			return "", err
		case at.Immutable:
			return fmt.Sprintf("its directory %q is immutable in the target (chattr(1))", "/"+strings.TrimPrefix(dir, ".")), nil
		case at.there || dir == ".":
			return "", nil
		}
		// It would be made as it is in the source.
		at, err = look(s.sides.Source, dir)
		if err != nil {
			return "", err
		}
		if why := s.foreign(three{src: at}); at.there && why != "" {
			return fmt.Sprintf("in its directory %q, %s", "/"+dir, why), nil
		}
	}
}

// foreign says why a file would come to belong to somebody else, or to be open to
// somebody else by its group or an ACL.
func (s *syncer) foreign(t three) string {
	if why, rejected := s.rejectedUIDs[t.src.UID]; rejected && !(t.tgt.there && t.tgt.UID == t.src.UID) {
		return fmt.Sprintf("it belongs to uid %d, and %s", t.src.UID, why)
	}
	const forGroup = 0o070
	if why, rejected := s.rejectedGIDs[t.src.GID]; rejected && t.src.Mode&forGroup != 0 {
		return fmt.Sprintf("it is open to gid %d, and %s", t.src.GID, why)
	}
	for _, acl := range treecopy.ACLs {
		users, groups := treecopy.InACL(t.src.Xattrs[acl])
		for _, id := range users {
			if why := s.rejectedUIDs[id]; why != "" {
				return fmt.Sprintf("its ACL names uid %d, and %s", id, why)
			}
		}
		for _, id := range groups {
			if why := s.rejectedGIDs[id]; why != "" {
				return fmt.Sprintf("its ACL names gid %d, and %s", id, why)
			}
		}
	}
	return ""
}

// rejectIDs notes the numbers of the source's users or groups that are not theirs
// in the target: it has given them to others, or did not take them over.
func (s *syncer) rejectIDs(m *merger, e *edit, field string, into map[int]string) {
	if m.rejected == nil {
		return
	}
	what, names, numbers := "user", m.rejected.users, m.rejected.uids
	if field == gid {
		what, names, numbers = "group", m.rejected.groups, m.rejected.gids
	}
	holder, common := map[int64]string{}, map[int64]bool{}
	at := m.format.field(field)
	for _, r := range m.tgt.all(e) {
		if n, ok := number(r[at]); ok {
			holder[n] = r[0]
			common[n] = common[n] || m.means(r[0], n)
		}
	}
	for _, r := range m.src.rows {
		if r.record == nil {
			continue
		}
		name := r.record[0]
		n, ok := number(r.record[at])
		if !ok || common[n] {
			continue
		}
		if other := holder[n]; other != "" {
			into[int(n)] = fmt.Sprintf("that is %q in the source and %q in the target", name, other)
		} else if why := cmp.Or(names[name], numbers[name]); why != "" {
			into[int(n)] = fmt.Sprintf("the %s %q, which has it in the source, was not taken over: %s", what, name, why)
		}
	}
}

// refusable tells of errors that are about one file, and not about the disk.
func refusable(err error) bool {
	_, link := errors.AsType[*treecopy.LinkError](err)
	_, kind := errors.AsType[*treecopy.KindError](err)
	return link || kind || errors.Is(err, fs.ErrPermission)
}
