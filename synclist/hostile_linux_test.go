package synclist

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestHostile has each side try to have something outside read or written.
func TestHostile(t *testing.T) {
	const list = "/etc/passwd MERGE\n/etc/shadow MERGE\n/etc/hosts\n/spool OVERWRITE REMOVE\n/log APPEND\n/motd PREPEND\n"
	honest := func(n string) files {
		return files{"etc/passwd": "a:x:1:1::/:\n", "etc/shadow": "a:" + h0 + n + ":1::::::\n", "etc/hosts": n, "spool/x": n, "spool/s/y": n, "log": "1\n" + n, "motd": n + "1\n"}
	}
	outside := func(t *testing.T) string {
		dir := t.TempDir()
		for name, text := range map[string]string{"passwd": "evil:x:0:0::/:\n", "shadow": "evil:" + h2 + ":1::::::\n", "hosts": "evil", "x": "evil", "y": "evil", "z": "evil"} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
		return dir
	}
	link := func(t *testing.T, l *lab, side, name, to string) {
		require.NoError(t, os.RemoveAll(l.path(side, name)))
		require.NoError(t, os.Symlink(to, l.path(side, name)))
	}
	for _, c := range []struct {
		name string
		do   func(t *testing.T, l *lab, side, dir string)
	}{
		{"etc is a symlink", func(t *testing.T, l *lab, side, dir string) { link(t, l, side, "etc", dir) }},
		{"files are symlinks", func(t *testing.T, l *lab, side, dir string) {
			for _, n := range []string{"passwd", "shadow", "hosts"} {
				link(t, l, side, "etc/"+n, filepath.Join(dir, n))
			}
			link(t, l, side, "log", filepath.Join(dir, "x"))
			link(t, l, side, "motd", filepath.Join(dir, "y"))
		}},
		{"directories are symlinks", func(t *testing.T, l *lab, side, dir string) { link(t, l, side, "spool/s", dir) }},
		{"the line's directory is a symlink", func(t *testing.T, l *lab, side, dir string) { link(t, l, side, "spool", dir) }},
		{"relative", func(t *testing.T, l *lab, side, dir string) {
			link(t, l, side, "spool/s", strings.Repeat("../", 20)+dir[1:])
		}},
		{"temporary names are symlinks", func(t *testing.T, l *lab, side, dir string) {
			for _, n := range []string{"etc/.passwd", "etc/.shadow", ".log", "spool/.x", "spool/.directory"} {
				link(t, l, side, n+newSuffix, filepath.Join(dir, "x"))
			}
		}},
		{"FIFOs", func(t *testing.T, l *lab, side, _ string) {
			for _, n := range []string{"etc/passwd", "etc/shadow", "etc/hosts", "spool/x", "log", "motd"} {
				require.NoError(t, os.RemoveAll(l.path(side, n)))
				require.NoError(t, syscall.Mkfifo(l.path(side, n), 0o600))
			}
		}},
		{"names with anything in them", func(t *testing.T, l *lab, side, _ string) {
			for _, n := range []string{"new\nline", "\x1b[31m", "\xff\xfe", " ", "..x", strings.Repeat("n", 255)} {
				require.NoError(t, os.WriteFile(l.path(side, "spool/"+n), []byte(n), 0o600))
			}
		}},
		{"directories for files", func(t *testing.T, l *lab, side, _ string) {
			for _, n := range []string{"etc/passwd", "etc/shadow", "etc/hosts", "spool/x", "log", "motd"} {
				require.NoError(t, os.RemoveAll(l.path(side, n)))
				require.NoError(t, os.MkdirAll(l.path(side, n+"/"+n), 0o700))
			}
		}},
	} {
		for _, sides := range [][]string{{"src"}, {"tgt"}, {"base"}, {"src", "tgt"}, {"src", "tgt", "base"}} {
			t.Run(fmt.Sprint(c.name, " ", sides), func(t *testing.T) {
				dir := outside(t)
				l := newLab(t, honest("0"), honest("1"), honest("0"))
				for _, side := range sides {
					c.do(t, l, side, dir)
				}
				watch := &lab{t: t, dirs: map[string]string{"outside": dir}}
				before := watch.state("outside")
				r := l.apply(list)
				require.Equal(t, before, watch.state("outside"))
				for name, s := range l.state("tgt") {
					if !strings.Contains(s, "-> ") {
						require.NotContains(t, s, "evil", name)
					}
				}
				for _, line := range strings.Split(strings.TrimSpace(r.String()), "\n") {
					require.NotContains(t, line, "\x1b")
				}
			})
		}
	}
}

func TestImmutable(t *testing.T) {
	asRoot(t)
	l := newLab(t, files{"f": "1", "d/g": "1", "log": "1\n", "shadow": "a:x:1::::::\n", "z": "1", "d/r": "1"},
		files{"f": "2", "d/g": "2", "log": "1\n2\n", "shadow": "a:!:1::::::\n", "z": "2", "d/": ""},
		files{"f": "1", "d/g": "1", "log": "1\n", "shadow": "a:x:1::::::\n", "z": "1", "d/r": "1"})
	for _, n := range []string{"f", "d/g", "d/r", "log", "shadow"} {
		flag(t, l.path("tgt", n), 0x10)
	}
	r := l.apply("/f\n/d REMOVE\n/log APPEND\n/shadow MERGE\n/z\n")
	assert.Equal(t, map[string]string{
		"/f": "refused", "/d": "same", "/d/g": "refused", "/d/r": "refused", "/log": "refused", "/shadow": "refused", "/z": "copied",
	}, actions(r))
	_, err := Apply(t.Context(), mustParse(t, "/shadow MERGE STRICT"), l.sides, Options{})
	assert.ErrorContains(t, err, `"/shadow": refused (it is immutable in the target (chattr(1)))`)
}

// TestImmutableDirectory is only found out when it is written to.
func TestImmutableDirectory(t *testing.T) {
	asRoot(t)
	l := newLab(t, files{"d/": ""}, files{"d/f": "1", "z": "1"}, files{"d/": ""})
	flag(t, l.path("tgt", "d"), 0x10)
	r, err := Apply(t.Context(), mustParse(t, "/d\n/z"), l.sides, Options{})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"/d": "same", "/d/f": "refused", "/z": "copied"}, actions(r))
}

func flag(t *testing.T, path string, flags int) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if f, err := os.Open(path); err == nil {
			defer f.Close()
			assert.NoError(t, unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0))
		}
	})
}

func TestErrorsNameTheFile(t *testing.T) {
	l := newLab(t, nil, files{"d/f": "1"}, files{"d/": ""})
	l.sides.Target.Before = func(string) error { return syscall.EIO }
	_, err := Apply(t.Context(), mustParse(t, "/d"), l.sides, Options{})
	require.ErrorIs(t, err, syscall.EIO)
	assert.ErrorContains(t, err, `sync "/d": "/d/f": `)
	assert.NotContains(t, err.Error(), "failed to")
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, list := range []string{"/f", "/log APPEND", "/passwd MERGE"} {
		l := newLab(t, files{"f": "1", "log": "1\n", "passwd": ""}, files{"f": "2", "log": "1\n2\n", "passwd": "a:x:1:1::/:\n"}, files{"f": "1", "log": "1\n", "passwd": ""})
		before := l.state("tgt")
		_, err := Apply(ctx, mustParse(t, list), l.sides, Options{})
		require.ErrorIs(t, err, context.Canceled, list)
		require.Equal(t, before, l.state("tgt"))
	}
}

// TestMergeChain has each refusal make for one more.
func TestMergeChain(t *testing.T) {
	host := func(shift, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "u%d:x:%d:0::/:\n", i, 1000+i+shift)
		}
		return b.String()
	}
	for _, n := range []int{20, 2_000} {
		base, own := host(0, n), fmt.Sprintf("own:x:%d:0::/:\n", 1000+n)
		out, records, ok := mergeText(t, files{"passwd": base}, files{"passwd": host(1, n)}, files{"passwd": base + own}, nil)
		require.True(t, ok)
		assert.Equal(t, base+own, out["passwd"], "none can be moved")
		assert.Len(t, records, n)
	}
}

// TestReportJSON holds the names that others read.
func TestReportJSON(t *testing.T) {
	l := newLab(t, files{"shadow": "a:" + h0 + ":1::::::\n"}, files{"shadow": "a:!" + h0 + ":1::::::\n"}, files{"shadow": "a:" + h0 + ":1::::::\n"})
	b, err := json.Marshal(l.apply("/shadow MERGE STRICT"))
	require.NoError(t, err)
	assert.JSONEq(t, `{"items":[{"path":"/shadow","action":"merged","strict":true,"bytes":22,"records":[
		{"key":"a","fields":["password"],"action":"merged","why":"locked in the source"}]}],"unchanged":0,"kept":0,"written":22}`,
		string(b))
}
