package be

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"snapbe/internal/mount"
	"snapbe/internal/treecopy"
	"snapbe/zones"
)

// maxCompared is how many names are looked at, in all roots together: enough for a
// few containers, and done in seconds.
const maxCompared = 200_000

// comparison is a look at several roots side by side.
type comparison struct {
	trees []*treecopy.Tree
	// newest is the latest time of a change of content (mtime), and where, of each
	// root; differ is how many names are not alike in two of them.
	newest []treecopy.Info
	at     []string
	differ [][]int
	left   int
}

// newComparison looks at no more names than most.
func newComparison(trees []*treecopy.Tree, most int) *comparison {
	n := len(trees)
	c := &comparison{trees: trees, left: most, newest: make([]treecopy.Info, n), at: make([]string, n)}
	for range n {
		c.differ = append(c.differ, make([]int, n))
	}
	return c
}

var errEnough = errors.New("enough was looked at")

// compareRoots tells of each zone BE what helps to choose one, and which of them
// has the newest file.
func (m *Manager) compareRoots(ctx context.Context, st *state, of []zones.BE) (notes []string, newest string) {
	c := newComparison(make([]*treecopy.Tree, len(of)), maxCompared)
	trees, err := m.zoneTrees(ctx, of)
	if err == nil {
		err = m.viewAll(trees, func(views []*treecopy.Tree) error {
			c.trees = views
			return c.walk(ctx, ".")
		})
	}
	best := len(of) - 1 // made last
	for i := range of {
		if c.newest[i].Modified.After(c.newest[best].Modified) {
			best = i
		}
	}
	for i, z := range of {
		notes = append(notes, fmt.Sprintf("%s: %s, %s", z.Name, st.facts(z), c.facts(i, best, of[best].Name, errors.Is(err, errEnough))))
	}
	if err != nil && !errors.Is(err, errEnough) {
		notes = append(notes, fmt.Sprintf("not all of their files could be compared: %v", err))
	}
	return notes, of[best].Name
}

// facts are what the pool knows of a zone BE.
func (st *state) facts(z zones.BE) string {
	of := st.orOrphan(z)
	if !z.Active {
		of += ", not active"
	}
	return fmt.Sprintf("%s, made %s, %s", of, minute(z.Created), lastBooted(z))
}

func lastBooted(z zones.BE) string {
	if z.Booted.IsZero() {
		return "not known to have booted"
	}
	return "booted last " + minute(z.Booted)
}

// minute is a time for a sentence, in UTC.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" }

// facts are what the files tell of the root of that number.
func (c *comparison) facts(i, best int, name string, bounded bool) string {
	if c.at[i] == "" {
		return "no file was seen"
	}
	text := fmt.Sprintf("newest file /%s of %s", c.at[i], minute(c.newest[i].Modified))
	if i == best {
		return text + ", the newest of all"
	}
	least := ""
	if bounded {
		least = "at least "
	}
	return fmt.Sprintf("%s, %s%s different from %s", text, least, count(c.differ[i][best], "file"), name)
}

// viewAll shows f several trees at a time, none of which can be written to.
func (m *Manager) viewAll(trees []mount.Tree, f func([]*treecopy.Tree) error) error {
	views := make([]*treecopy.Tree, 0, len(trees))
	var show func() error
	show = func() error {
		if len(views) == len(trees) {
			return f(views)
		}
		return m.viewTree(trees[len(views)], true, func(t *treecopy.Tree) error {
			views = append(views, t)
			return show()
		})
	}
	return show()
}

// walk compares what is in a directory of all roots, as far as the bound allows:
// kind, size, time and target, and not the content.
func (c *comparison) walk(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	names, err := c.names(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		name := treecopy.Join(dir, n)
		infos := make([]treecopy.Info, len(c.trees))
		isDir := false
		for i, t := range c.trees {
			if c.left--; c.left < 0 {
				return errEnough
			}
			if infos[i], err = t.Peek(name); err != nil && !absent(err) {
				return err
			}
			isDir = isDir || infos[i].Kind == treecopy.Dir
		}
		c.count(name, infos)
		if !isDir {
			continue
		}
		if err := c.walk(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// names are those that a directory has in any of the roots.
func (c *comparison) names(dir string) (all []string, err error) {
	for _, t := range c.trees {
		names, err := t.Names(dir)
		if err != nil && !absent(err) {
			return nil, err
		}
		all = append(all, names...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// absent tells that a root has no such name, or no directory there.
func absent(err error) bool {
	var link *treecopy.LinkError
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.As(err, &link)
}

func (c *comparison) count(name string, infos []treecopy.Info) {
	for i, a := range infos {
		if a.Kind != "" && a.Kind != treecopy.Dir && a.Modified.After(c.newest[i].Modified) {
			c.newest[i], c.at[i] = a, name
		}
		for j, b := range infos {
			if !alike(a, b) {
				c.differ[i][j]++
			}
		}
	}
}

// alike tells whether two names look the same. Directories always do, since what is
// in them is looked at.
func alike(a, b treecopy.Info) bool {
	isFile := func(i treecopy.Info) bool { return i.Kind != "" && i.Kind != treecopy.Dir }
	if !isFile(a) && !isFile(b) {
		return true
	}
	return a.Kind == b.Kind && a.Target == b.Target && (a.Kind != treecopy.File || a.Size == b.Size && a.Modified.Equal(b.Modified))
}
