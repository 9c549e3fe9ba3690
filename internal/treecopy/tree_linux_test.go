package treecopy

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestNames(t *testing.T) {
	tree, dir := newTree(t)
	for _, name := range []string{"b", "a\nb", "\xff\xfe", "..x", " ", "ä"} {
		put(t, dir, "d/"+name, name)
	}
	names, err := tree.Names("d")
	require.NoError(t, err)
	assert.Equal(t, []string{" ", "..x", "a\nb", "b", "ä", "\xff\xfe"}, names)
	for _, name := range names {
		as := "d/copy of " + name
		n, err := tree.Copy(t.Context(), tree, "d/"+name, as)
		require.NoError(t, err)
		assert.EqualValues(t, len(name), n)
		assert.Equal(t, name, get(t, dir, as))
		same, err := Same(t.Context(), tree, "d/"+name, tree, as)
		require.NoError(t, err)
		assert.True(t, same)
		require.NoError(t, tree.Rename(as, "d/again "+name))
		require.NoError(t, tree.Remove("d/again "+name))
	}
	noTemp(t, dir)
}

func TestNamesThatDoNotStayInside(t *testing.T) {
	tree, dir := newTree(t)
	put(t, dir, "f", "old")
	for _, name := range []string{"", "/", "/f", "../f", "a/../f", "./f", "f/", "a//f", "..", "f\x00g", strings.Repeat("a/", 1<<15) + "a"} {
		_, err := tree.Lstat(name)
		assert.Error(t, err, name)
		_, err = tree.Write(name, strings.NewReader("x"), like())
		assert.Error(t, err, name)
		assert.Error(t, tree.RemoveAll(name), name)
		assert.Error(t, tree.Rename("f", name), name)
	}
	_, err := tree.Write(".", strings.NewReader("x"), like())
	assert.Error(t, err)
	assert.Error(t, tree.RemoveAll("."))
	assert.Equal(t, "old", get(t, dir, "f"))
}

func TestNameLongerThanAPath(t *testing.T) {
	tree, dir := newTree(t)
	name := "d"
	require.NoError(t, tree.Mkdir(name, likeDir()))
	for len(name) < 6000 {
		name += "/" + strings.Repeat("x", 200)
		require.NoError(t, tree.Mkdir(name, likeDir()))
	}
	last := name + "/" + strings.Repeat("n", nameMax)
	_, err := tree.Write(last, strings.NewReader("deep"), like())
	require.NoError(t, err)
	_, err = tree.CopyTree(t.Context(), tree, "d", "e")
	require.NoError(t, err)
	same, err := Same(t.Context(), tree, last, tree, "e"+last[1:])
	require.NoError(t, err)
	assert.True(t, same)
	require.NoError(t, tree.RemoveAll("d"))
	require.NoError(t, tree.RemoveAll("e"))
	assert.Len(t, listing(t, dir), 1)
}

func TestMissing(t *testing.T) {
	tree, dir := newTree(t)
	put(t, dir, "f", "")
	_, err := tree.Lstat("no")
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, `"no"`)
	_, err = tree.Names("no")
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, err = tree.Lstat("f/beneath a file")
	assert.ErrorIs(t, err, unix.ENOTDIR)
	_, err = tree.OpenFile("no")
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorIs(t, tree.Remove("no"), fs.ErrNotExist)
	require.NoError(t, tree.RemoveAll("no"))
	require.NoError(t, tree.RemoveAll("no/neither"))
	_, err = Same(t.Context(), tree, "f", tree, "no")
	assert.ErrorIs(t, err, fs.ErrNotExist)
}

func TestWrite(t *testing.T) {
	tree, dir := newTree(t)
	put(t, dir, "d/f", "a longer old text")
	put(t, dir, "d/.f.snapbe-new", "left over by a power cut")
	l := like()
	l.Mode, l.Modified, l.Accessed = 0o751|fs.ModeSetuid|fs.ModeSticky, longAgo, longAgo.Add(1)
	n, err := tree.Write("d/f", strings.NewReader("new"), l)
	require.NoError(t, err)
	assert.EqualValues(t, 3, n)
	assert.Equal(t, "new", get(t, dir, "d/f"))
	noTemp(t, dir)
	info, err := tree.Lstat("d/f")
	require.NoError(t, err)
	assert.Equal(t, l.Mode, info.Mode)
	assert.True(t, longAgo.Equal(info.Modified))
	assert.True(t, longAgo.Add(1).Equal(info.Accessed) || info.Accessed.After(longAgo.Add(1)))
	assert.EqualValues(t, 3, info.Size)
	assert.Equal(t, File, info.Kind)
	for _, name := range []string{strings.Repeat("n", nameMax), strings.Repeat("n", nameMax-5), strings.Repeat("n", nameMax-12)} {
		_, err := tree.Write(name, strings.NewReader("x"), like())
		require.NoError(t, err)
	}
	noTemp(t, dir)
}

func TestWriteIsNeverMoreOpenThanInTheEnd(t *testing.T) {
	tree, dir := newTree(t)
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o400, 0o000, 0o666} {
		l := like()
		l.Mode = mode
		_, err := tree.Write("f", io.MultiReader(strings.NewReader("secret"), readerFunc(func([]byte) (int, error) {
			st, err := os.Stat(filepath.Join(dir, ".f.snapbe-new"))
			require.NoError(t, err)
			assert.Zero(t, st.Mode().Perm()&^mode)
			return 0, io.EOF
		})), l)
		require.NoError(t, err)
		st, err := os.Stat(filepath.Join(dir, "f"))
		require.NoError(t, err)
		assert.Equal(t, mode, st.Mode().Perm())
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestWriteThatEndsHalfWay(t *testing.T) {
	tree, dir := newTree(t)
	put(t, dir, "f", "old")
	gone := errors.New("the disk is gone")
	_, err := tree.Write("f", io.MultiReader(strings.NewReader("ne"), iotest.ErrReader(gone)), like())
	assert.ErrorIs(t, err, gone)
	assert.Equal(t, "old", get(t, dir, "f"))
	noTemp(t, dir)
	_, err = tree.Write("new", iotest.ErrReader(gone), like())
	assert.ErrorIs(t, err, gone)
	names, err := tree.Names(".")
	require.NoError(t, err)
	assert.Equal(t, []string{"f"}, names)
}

func TestKinds(t *testing.T) {
	tree, dir := newTree(t)
	put(t, dir, "d/f", "x")
	put(t, dir, "f", "x")
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	wants := func(err error, name string, is, want Kind) {
		t.Helper()
		assert.Equal(t, &KindError{Name: name, Is: is, Want: want}, err)
	}
	_, err := tree.Write("d", strings.NewReader("x"), like())
	wants(err, "d", Dir, File)
	assert.EqualError(t, err, `"d" is a directory, not a file`)
	_, err = tree.Copy(t.Context(), tree, "f", "d")
	wants(err, "d", Dir, File)
	_, err = tree.Copy(t.Context(), tree, "d", "f")
	wants(err, "f", File, Dir)
	wants(tree.Symlink("x", "d"), "d", Dir, Symlink)
	wants(tree.Link("f", "d"), "d", Dir, File)
	wants(tree.Link("d", "new"), "d", Dir, File)
	wants(tree.SetAttributes("d", like()), "d", Dir, File)
	// Nobody writes to that FIFO: to open it plainly would wait.
	_, err = tree.OpenFile("fifo")
	wants(err, "fifo", Special, File)
	_, err = tree.Copy(t.Context(), tree, "fifo", "new")
	wants(err, "fifo", Special, File)
	_, err = tree.OpenFile("d")
	wants(err, "d", Dir, File)
	_, err = tree.Names("f")
	assert.ErrorIs(t, err, unix.ENOTDIR)
	assert.ErrorIs(t, tree.Mkdir("d", likeDir()), fs.ErrExist)
	assert.ErrorIs(t, tree.Remove("d"), unix.ENOTEMPTY)
}

func TestLink(t *testing.T) {
	tree, dir := newTree(t)
	put(t, dir, "old", "x")
	put(t, dir, "d/there", "y")
	require.NoError(t, tree.Link("old", "d/there"))
	require.NoError(t, tree.Link("old", "d/there"), "again")
	info, err := tree.Lstat("d/there")
	require.NoError(t, err)
	assert.EqualValues(t, 2, info.Links)
	noTemp(t, dir)
}

func TestSymlink(t *testing.T) {
	tree, dir := newTree(t)
	put(t, dir, "f", "x")
	require.NoError(t, tree.Symlink("../outside\n", "f"))
	info, err := tree.Lstat("f")
	require.NoError(t, err)
	assert.Equal(t, Symlink, info.Kind)
	assert.Equal(t, "../outside\n", info.Target)
	long := strings.Repeat("0123456789/", 300)
	require.NoError(t, tree.Symlink(long, "f"))
	info, err = tree.Peek("f")
	require.NoError(t, err)
	assert.Equal(t, long, info.Target)
	_, err = tree.Copy(t.Context(), tree, "f", "g")
	require.NoError(t, err)
	same, err := Same(t.Context(), tree, "f", tree, "g")
	require.NoError(t, err)
	assert.True(t, same)
	require.NoError(t, tree.Symlink("else", "g"))
	same, err = Same(t.Context(), tree, "f", tree, "g")
	require.NoError(t, err)
	assert.False(t, same)
	noTemp(t, dir)
}

func TestSync(t *testing.T) {
	tree, _ := newTree(t)
	require.NoError(t, tree.Sync())
}
