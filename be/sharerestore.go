package be

import (
	"context"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"snapbe/internal/journal"
	"snapbe/internal/mount"
	"snapbe/internal/treecopy"
	"snapbe/internal/zfs"
	"snapbe/sharedvar"
)

// restoreArgs are the record of a restore.
type restoreArgs struct {
	// Zone is the zone whose share it is.
	Zone  string `json:"zone,omitempty"`
	Share string `json:"share"`
	Snap  string `json:"snap"`
	// Kept is the snapshot of the share as it was before.
	Kept  string   `json:"kept"`
	Paths []string `json:"paths,omitempty"`

	// recovering: what cannot be brought back now is told, and holds up nothing.
	recovering bool
}

func (r ShareRestore) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("restore %s from %q", theShare(r.Zone), r.Snap)
	st, err := m.readShare(ctx, r.Zone, what)
	if err == nil {
		err = m.checkShareSnapshot(ctx, st, r.Snap, what)
	}
	if err != nil {
		return nil, err
	}
	args := restoreArgs{Zone: r.Zone, Share: st.share, Snap: r.Snap, Kept: m.autoSnap()}
	for _, p := range r.Paths {
		rel, err := sharePath(st, p)
		if err == nil && !utf8.ValidString(rel) { // the record would name another file
			err = fmt.Errorf("%q is not UTF-8; restore the directory that it lies in", p)
		}
		if err != nil {
			return nil, refuse(Invalid, "name it as mail/alice, or as /var/mail/alice", "%s: %v", what, err)
		}
		args.Paths = append(args.Paths, rel)
	}
	if len(strings.Join(args.Paths, `","`)) > journal.MaxRecord/2 {
		return nil, refuse(Invalid, "restore some of them first, or a directory that they lie in", "%s: the paths are more than can be recorded", what)
	}
	if err := m.checkRestore(ctx, st, args, what); err != nil {
		return nil, err
	}
	op := m.restoreOperation(m.sys.UUID(), args)
	op.plan.root = st.root
	for _, p := range args.Paths {
		op.plan.Notes = append(op.plan.Notes, fmt.Sprintf("%s becomes what it was in %s: what came there since goes", path.Join(shareDir, p)+st.inShareZone(), r.Snap))
	}
	if len(args.Paths) == 0 {
		op.plan.Notes = append(op.plan.Notes, "all of "+shareDir+st.inShareZone()+" becomes what it was in "+r.Snap+"; services that have files of it open go on with the old ones until they are restarted")
	}
	op.plan.Notes = append(op.plan.Notes, "what is there now stays in the snapshot "+args.Kept+", but for what is written from now on: stop what writes there first")
	op.result.Name = args.Kept
	return op, nil
}

// sharePath is a path below the share, whichever way it was written.
func sharePath(st *state, p string) (string, error) {
	rel := path.Clean(p)
	if rest, ok := strings.CutPrefix(rel, shareDir+"/"); ok {
		rel = rest
	} else if rest, ok := strings.CutPrefix(rel, "/var/"); ok {
		rel = rest
	}
	first, _, _ := strings.Cut(rel, "/")
	if strings.HasPrefix(rel, "/") || strings.HasPrefix(p, "../") || rel == "." || rel == ".." || !holds(st.shareDirs, first) {
		return "", fmt.Errorf("%q is not below one of the shared directories: %s", p, strings.Join(st.shareDirs, ", "))
	}
	return rel, nil
}

// checkRestore refuses a path that neither the snapshot nor the share has.
func (m *Manager) checkRestore(ctx context.Context, st *state, args restoreArgs, what string) error {
	return m.withShare(args.Share, args.Snap, true, func(then, now *treecopy.Tree) error {
		for _, p := range args.Paths {
			_, before := then.Peek(p)
			_, today := now.Peek(p)
			if before != nil && today != nil {
				return refuse(NotFound, st.shareCommand("diff")+" "+args.Snap+" shows what differs", "%s: %s is neither in it nor in the share", what, p)
			}
		}
		return nil
	})
}

// withShare shows f a snapshot of the share, and the share.
func (m *Manager) withShare(share, snap string, readOnly bool, f func(then, now *treecopy.Tree) error) error {
	return m.viewTree(mount.Tree{{Dataset: share + "@" + snap, Dir: "."}}, true, func(then *treecopy.Tree) error {
		return m.viewTree(mount.Tree{{Dataset: share, Dir: "."}}, readOnly, func(now *treecopy.Tree) error { return f(then, now) })
	})
}

// restoreOperation: once the present state is kept in a snapshot, a power cut
// leads forward; each path is put in place whole, and that can be done again.
// What fails leaves the snapshot, by which all can be taken back.
func (m *Manager) restoreOperation(id string, args restoreArgs) *operation {
	op := &operation{kind: "share-restore", id: id, args: args, verb: fmt.Sprintf("restore %s from %q", theShare(args.Zone), args.Snap)}
	again := (&state{shareZone: args.Zone}).shareCommand("restore")
	op.plan.Title = op.verb
	kept := args.Share + "@" + args.Kept
	op.add(journal.Step{
		Name: "keep what is there now in " + kept,
		Do: func(ctx context.Context) error {
			return m.snapshotOnce(ctx, []string{kept}, id, zfs.Props{propShareFor: forRestore})
		},
	})
	op.add(journal.Step{Name: "bring it back from @" + args.Snap, Do: func(ctx context.Context) error {
		written, err := m.restoreShare(ctx, args.Share, args.Snap, args.Paths)
		op.result.Notes = append(op.result.Notes, restored(args.Snap, written))
		if err == nil {
			return nil
		}
		if args.recovering {
			op.late = refuse(Failed, again+" "+args.Snap+" tries it again", "%s: not all of it is back: %v; what was there before is in %s", op.verb, err, args.Kept)
			return nil
		}
		op.result.Notes = append(op.result.Notes, fmt.Sprintf("not all of it is back: %v; what was there before is in %s", err, args.Kept))
		return &Error{Code: Failed, Text: op.verb, Err: err, Hint: again + " " + args.Kept + " takes back what was done"}
	}})
	op.committed = func(ctx context.Context) (int, bool, error) {
		mark, ok, err := m.snapshotMark(ctx, kept)
		return 1, ok && mark == id, err
	}
	return op
}

func restored(snap string, written int64) string {
	return fmt.Sprintf("restored from %s: %s written", snap, humanize.IBytes(uint64(written)))
}

// restoreShare brings paths of the share back; none is all of it, but for
// directories that came to the share later.
func (m *Manager) restoreShare(ctx context.Context, share, snap string, paths []string) (written int64, err error) {
	st, err := m.read(ctx)
	if err != nil {
		return 0, err
	}
	dirs, err := m.dirsOn(ctx, st, share)
	if err != nil {
		return 0, err
	}
	err = m.withShare(share, snap, false, func(then, now *treecopy.Tree) (err error) {
		if len(paths) == 0 {
			written, err = sharedvar.RestoreAll(ctx, then, now, func(name string) bool { return holds(dirs, name) })
			return err
		}
		for _, p := range paths {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := sharedvar.Restore(ctx, then, now, p)
			written += n
			if err != nil {
				return err
			}
		}
		return nil
	})
	return written, err
}
