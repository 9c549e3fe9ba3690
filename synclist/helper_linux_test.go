package synclist

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/treecopy"
)

// lab has the three trees of a test on disk.
type lab struct {
	t testing.TB
	// dirs are by side: base, src, tgt, origin.
	dirs  map[string]string
	sides Sides
}

func newLab(t testing.TB, base, src, tgt files) *lab {
	t.Helper()
	l := &lab{t: t, dirs: map[string]string{}}
	l.sides.Base = l.tree("base", base)
	l.sides.Source = l.tree("src", src)
	l.sides.Target = l.tree("tgt", tgt)
	return l
}

func (l *lab) tree(side string, content files) *treecopy.Tree {
	l.t.Helper()
	dir := l.t.TempDir()
	l.dirs[side] = dir
	l.put(side, content)
	root, err := os.OpenRoot(dir)
	require.NoError(l.t, err)
	defer root.Close()
	tree, err := treecopy.Open(root)
	if errors.Is(err, treecopy.ErrUnsupported) {
		l.t.Skip(err)
	}
	require.NoError(l.t, err)
	l.t.Cleanup(func() { tree.Close() })
	return tree
}

// put makes files; hard links come last.
func (l *lab) put(side string, content files) {
	l.t.Helper()
	for _, links := range []bool{false, true} {
		for name, text := range content {
			name, modeText, hasMode := strings.Cut(name, "@")
			p := filepath.Join(l.dirs[side], name)
			if strings.HasPrefix(text, "= ") != links {
				continue
			}
			require.NoError(l.t, os.MkdirAll(filepath.Dir(p), 0o755))
			if strings.HasSuffix(name, "/") {
				require.NoError(l.t, os.MkdirAll(p, 0o755))
			} else {
				require.NoError(l.t, os.RemoveAll(p))
				switch {
				case links:
					require.NoError(l.t, os.Link(filepath.Join(l.dirs[side], text[2:]), p))
				case strings.HasPrefix(text, "-> "):
					require.NoError(l.t, os.Symlink(text[3:], p))
				default:
					require.NoError(l.t, os.WriteFile(p, []byte(text), 0o644))
				}
			}
			if hasMode {
				var mode uint32
				_, err := fmt.Sscanf(modeText, "%o", &mode)
				require.NoError(l.t, err)
				require.NoError(l.t, syscall.Chmod(p, mode))
			}
		}
	}
}

func (l *lab) path(side, name string) string { return filepath.Join(l.dirs[side], name) }

func (l *lab) read(name string) string {
	l.t.Helper()
	b, err := os.ReadFile(l.path("tgt", name))
	require.NoError(l.t, err)
	return string(b)
}

// state is all that is in a tree, but for times.
func (l *lab) state(side string) map[string]string {
	l.t.Helper()
	all := map[string]string{}
	dir := l.dirs[side]
	require.NoError(l.t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(p, &st); err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		s := fmt.Sprintf("%o %d:%d ", st.Mode, st.Uid, st.Gid)
		switch st.Mode & syscall.S_IFMT {
		case syscall.S_IFREG:
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			s += fmt.Sprintf("%d %q", st.Nlink, b)
		case syscall.S_IFLNK:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			s += "-> " + to
		}
		all[name] = s
		return nil
	}))
	return all
}

func mustParse(t testing.TB, list string) List {
	t.Helper()
	l, err := Parse(strings.NewReader(list))
	require.NoError(t, err)
	return l
}

// apply applies a list, and holds what is promised of every list: a plan
// changes nothing and tells what Apply does; source and base do not change; the
// second time nothing is done; and a hash is never told.
func (l *lab) apply(list string) *Report {
	l.t.Helper()
	ctx := context.Background()
	lines := mustParse(l.t, list)
	before := map[string]map[string]string{}
	for side := range l.dirs {
		before[side] = l.state(side)
	}
	plan, err := Plan(ctx, lines, l.sides)
	require.NoError(l.t, err)
	require.Equal(l.t, before["tgt"], l.state("tgt"), "a plan changed something")
	report, err := Apply(ctx, lines, l.sides, Options{})
	require.NoError(l.t, err)
	assert.Equal(l.t, plan, report, "plan and deed")
	after := l.state("tgt")
	for side := range l.dirs {
		if side != "tgt" {
			require.Equal(l.t, before[side], l.state(side))
		}
	}
	again, err := Apply(ctx, lines, l.sides, Options{})
	require.NoError(l.t, err)
	require.Equal(l.t, after, l.state("tgt"), "the second time")
	assert.Zero(l.t, again.Written, "the second time: %s", again)
	for _, i := range again.Items {
		assert.NotContains(l.t, []Action{Copied, Appended, Prepended, Merged, Removed}, i.Action, "the second time: %s", i)
	}
	for _, r := range []*Report{plan, report, again} {
		b, err := json.Marshal(r)
		require.NoError(l.t, err)
		require.NotContains(l.t, string(b)+r.String(), sentinel)
	}
	return report
}

func find(t testing.TB, r *Report, path string) Item {
	t.Helper()
	for _, i := range r.Items {
		if i.Path == path {
			return i
		}
	}
	t.Fatalf("no item for %q in\n%s", path, r)
	return Item{}
}

// old sets the times of all files of a side back, as far as that goes: a ctime
// cannot be set.
func (l *lab) setTime(side, name string, at time.Time) {
	l.t.Helper()
	require.NoError(l.t, os.Chtimes(l.path(side, name), at, at))
}
