package treecopy

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const secret = "what only the outside has"

// victim is a directory outside the tree, and a check that nothing was done
// to it.
func victim(t *testing.T) (dir string, check func()) {
	dir = t.TempDir()
	put(t, dir, "f", secret)
	put(t, dir, "sub/f", secret)
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	before := listing(t, dir)
	return dir, func() {
		t.Helper()
		assert.Equal(t, before, listing(t, dir))
	}
}

// everything is each way to touch a name; src is a tree with f, link and dir.
func everything(tree, src *Tree, name string) map[string]func() error {
	one := func(_ any, err error) error { return err }
	return map[string]func() error{
		"lstat": func() error { return one(tree.Lstat(name)) },
		"peek":  func() error { return one(tree.Peek(name)) },
		"names": func() error { return one(tree.Names(name)) },
		"open": func() error {
			f, err := tree.OpenFile(name)
			if err != nil {
				return err
			}
			defer f.Close()
			b, err := io.ReadAll(f)
			if strings.Contains(string(b), secret) {
				panic("the outside was read")
			}
			return err
		},
		"write":        func() error { return one(tree.Write(name, strings.NewReader("x"), like())) },
		"copy":         func() error { return one(tree.Copy(context.Background(), src, "f", name)) },
		"copy link":    func() error { return one(tree.Copy(context.Background(), src, "link", name)) },
		"copy dir":     func() error { return one(tree.Copy(context.Background(), src, "dir", name)) },
		"copy tree":    func() error { return one(tree.CopyTree(context.Background(), src, "dir", name)) },
		"copy of it":   func() error { return one(src.Copy(context.Background(), tree, name, "copy")) },
		"tree of it":   func() error { return one(src.CopyTree(context.Background(), tree, name, "copied")) },
		"link":         func() error { return tree.Link("plain", name) },
		"link of it":   func() error { return tree.Link(name, "linked") },
		"symlink":      func() error { return tree.Symlink("x", name) },
		"attributes":   func() error { return tree.SetAttributes(name, like()) },
		"mkdir":        func() error { return tree.Mkdir(name, likeDir()) },
		"rename to":    func() error { return tree.Rename("plain", name) },
		"rename":       func() error { return tree.Rename(name, "renamed") },
		"remove":       func() error { return tree.Remove(name) },
		"remove all":   func() error { return tree.RemoveAll(name) },
		"same":         func() error { return one(Same(context.Background(), tree, name, src, "f")) },
		"same content": func() error { return one(SameContent(context.Background(), src, "f", tree, name)) },
	}
}

func source(t *testing.T) *Tree {
	src, dir := newTree(t)
	put(t, dir, "f", "from the source")
	put(t, dir, "dir/sub/f", "from the source")
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "link")))
	return src
}

func TestLinksOnTheWay(t *testing.T) {
	out, check := victim(t)
	src := source(t)
	for what, target := range map[string]func(depth int) string{
		"absolute": func(int) string { return out },
		"dots":     func(int) string { return strings.Repeat("../", 30) + strings.TrimPrefix(out, "/") },
		"inside":   func(depth int) string { return strings.Repeat("../", depth) + "inside" },
		"proc":     func(int) string { return "/proc/self/root" + out },
	} {
		for depth := range 3 {
			t.Run(fmt.Sprint(what, " ", depth), func(t *testing.T) {
				tree, dir := newTree(t)
				put(t, dir, "inside/f", "inside")
				put(t, dir, "inside/sub/f", "inside")
				put(t, dir, "plain", "plain")
				at := strings.TrimPrefix(strings.Repeat("/d", depth)+"/l", "/")
				put(t, dir, "d/d/x", "")
				require.NoError(t, os.Symlink(target(depth), filepath.Join(dir, at)))
				before := listing(t, dir)
				for op, f := range everything(tree, src, at+"/sub/f") {
					err := f()
					assert.Equal(t, &LinkError{Name: at, Target: target(depth)}, err, op)
				}
				assert.Equal(t, before, listing(t, dir))
			})
		}
	}
	check()
}

func TestLinkAtTheEnd(t *testing.T) {
	out, check := victim(t)
	src := source(t)
	for _, target := range []string{"f", "sub", "fifo"} {
		for op := range everything(nil, nil, "") {
			t.Run(op+" "+target, func(t *testing.T) {
				tree, dir := newTree(t)
				put(t, dir, "plain", "plain")
				require.NoError(t, os.Symlink(filepath.Join(out, target), filepath.Join(dir, "l")))
				err := everything(tree, src, "l")[op]()
				switch op {
				case "open", "names", "same content":
					assert.Equal(t, &LinkError{Name: "l", Target: filepath.Join(out, target)}, err)
				}
				_ = src.RemoveAll("copied")
				_ = src.RemoveAll("copy")
			})
		}
	}
	check()
}

// exchange swaps two names for as long as f runs.
func exchange(t *testing.T, a, b string, f func()) {
	t.Helper()
	if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
		t.Skip("names cannot be swapped on this file system")
	}
	var wg sync.WaitGroup
	done, n := make(chan struct{}), 0
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) == nil {
				n++
			}
		}
	})
	f()
	close(done)
	wg.Wait()
	assert.Greater(t, n, 100, "swaps")
}

func TestLinkSwappedIn(t *testing.T) {
	out, check := victim(t)
	for _, name := range []string{"d/f", "d/sub/f", "d/sub", "d"} {
		t.Run(name, func(t *testing.T) {
			src := source(t)
			tree, dir := newTree(t)
			put(t, dir, "d/f", "inside")
			put(t, dir, "d/sub/f", "inside")
			require.NoError(t, os.Symlink(out, filepath.Join(dir, "e")))
			exchange(t, filepath.Join(dir, "d"), filepath.Join(dir, "e"), func() {
				for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); {
					for op, f := range everything(tree, src, name) {
						if (op == "rename" || op == "remove" || op == "remove all") && name == "d" {
							continue // one name less to swap
						}
						_ = os.WriteFile(filepath.Join(dir, "plain"), nil, 0o600)
						_ = f()
					}
					_ = src.RemoveAll("copied")
				}
			})
			check()
			outsideWasNotRead(t, dir)
		})
	}
}

func TestLinkSwappedInForAFile(t *testing.T) {
	out, check := victim(t)
	src := source(t)
	tree, dir := newTree(t)
	put(t, dir, "f", "inside")
	require.NoError(t, os.Symlink(filepath.Join(out, "f"), filepath.Join(dir, "e")))
	exchange(t, filepath.Join(dir, "f"), filepath.Join(dir, "e"), func() {
		for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); {
			for op, f := range everything(tree, src, "f") {
				if op == "lstat" || op == "open" || op == "copy of it" || op == "attributes" || op == "tree of it" || op == "same content" {
					_ = f()
				}
			}
			f, err := src.OpenFile("copy")
			if err == nil {
				b, err := io.ReadAll(f)
				assert.NoError(t, err)
				assert.Equal(t, "inside", string(b))
				f.Close()
			}
			_ = src.RemoveAll("copied")
		}
	})
	check()
}

// outsideWasNotRead looks for what only the outside has.
func outsideWasNotRead(t *testing.T, dir string) {
	t.Helper()
	for _, line := range listing(t, dir) {
		assert.NotContains(t, line, secret)
	}
}

func TestRemoveAllDoesNotCrossMounts(t *testing.T) {
	needRoot(t)
	out, check := victim(t)
	tree, dir := newTree(t)
	put(t, dir, "d/a/b/f", "x")
	at := filepath.Join(dir, "d/a/b")
	// A bind mount has the device of its parent.
	require.NoError(t, unix.Mount(out, at, "", unix.MS_BIND, ""))
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	err := tree.RemoveAll("d")
	assert.EqualError(t, err, `remove "d/a/b": a file system is mounted there`)
	err = tree.RemoveAll("d/a/b")
	assert.EqualError(t, err, `remove "d/a/b": a file system is mounted there`)
	check()
	info, err := tree.Peek("d/a/b/f")
	require.NoError(t, err, "names go through mounts")
	top, err := tree.Peek("d")
	require.NoError(t, err)
	assert.NotEqual(t, top.Mount, info.Mount)
}

func TestImmutable(t *testing.T) {
	needRoot(t)
	tree, dir := newTree(t)
	path := put(t, dir, "f", "old")
	if !setFlags(t, path, immutableFlag) {
		t.Skip("no flags on this file system")
	}
	info, err := tree.Lstat("f")
	require.NoError(t, err)
	assert.True(t, info.Immutable)
	_, err = tree.Write("f", strings.NewReader("new"), like())
	assert.ErrorIs(t, err, unix.EPERM)
	assert.ErrorContains(t, err, "immutable")
	assert.Equal(t, "old", get(t, dir, "f"))
	noTemp(t, dir)
	assert.EqualError(t, tree.Remove("f"), `remove "f": it is immutable or append-only (chattr(1)): operation not permitted`)
	put(t, dir, "d/f", "x")
	if setFlags(t, filepath.Join(dir, "d"), immutableFlag) {
		_, err = tree.Write("d/f", strings.NewReader("new"), like())
		assert.EqualError(t, err, `create "d/f": its directory is immutable or append-only (chattr(1)): operation not permitted`)
	}
	report, err := tree.CopyTree(context.Background(), tree, "f", "g")
	require.NoError(t, err)
	assert.Equal(t, []string{"f"}, report.Immutable)
}
