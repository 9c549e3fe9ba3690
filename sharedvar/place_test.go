//go:build linux

package sharedvar

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"snapbe/internal/treecopy"
)

func TestCheckDir(t *testing.T) {
	for _, dir := range append(Default(), "www", "games") {
		assert.NoError(t, CheckDir(dir), dir)
	}
	for _, dir := range []string{"", ".", "..", "a/b", "/log", "log/", ".hidden", "a\x00"} {
		assert.ErrorContains(t, CheckDir(dir), "is not the plain name of a directory right below /var", dir)
	}
	for _, dir := range []string{"lib", "cache", "share", "run", "lock", "backups", "local", "opt", "db"} {
		assert.ErrorContains(t, CheckDir(dir), "stays in the boot environment", dir)
	}
	for dir := range inBE {
		assert.NotContains(t, Default(), dir)
	}
}

// host is a BE and a share, each in a directory.
type host struct {
	be, share       *treecopy.Tree
	beDir, shareDir string
}

// newHost makes them; lines that begin with "share/" are below the share, all
// others below the BE's /var.
func newHost(t *testing.T, lines ...string) *host {
	t.Helper()
	dir := t.TempDir()
	h := &host{beDir: filepath.Join(dir, "be"), shareDir: filepath.Join(dir, "share")}
	in := map[bool][]string{false: {"var/"}, true: {"./"}}
	for _, line := range lines {
		rest, shared := strings.CutPrefix(line, "share/")
		if !shared {
			rest = strings.ReplaceAll("var/"+rest, " == ", " == var/")
		}
		in[shared] = append(in[shared], rest)
	}
	files(t, h.beDir, in[false]...)
	files(t, h.shareDir, in[true]...)
	h.be, h.share = open(t, h.beDir), open(t, h.shareDir)
	return h
}

func (h *host) place(dirs ...string) ([]Placed, error) {
	return Place(context.Background(), h.be, h.share, dirs, nil)
}

func (h *host) listing(t *testing.T) []string {
	return append(listing(t, h.beDir), listing(t, h.shareDir)...)
}

var layouts = map[string]struct {
	lines []string
	want  Placement
	// detail is what is told with it.
	detail string
	// be and share are the names that are there in the end.
	be, share []string
}{
	"moved": {
		lines: []string{"mail/root = letter", "mail/sub/deep/f = deep", "mail/sub/link == mail/root", "mail/passwd -> /etc/passwd", "mail/fifo |", "mail/empty/"},
		want:  Moved,
		be:    []string{"var", "var/mail"},
		share: []string{"mail", "mail/empty", "mail/fifo", "mail/passwd", "mail/root", "mail/sub", "mail/sub/deep", "mail/sub/deep/f", "mail/sub/link"},
	},
	"empty": {
		lines: []string{"mail/"}, want: Moved,
		be: []string{"var", "var/mail"}, share: []string{"mail"},
	},
	"made before the share": {
		lines: []string{"mail/root = old letter", "share/mail/root = new letter"}, want: KeptAside, detail: "var/.before-share/mail",
		be:    []string{"var", "var/.before-share", "var/.before-share/mail", "var/.before-share/mail/root", "var/mail"},
		share: []string{"mail", "mail/root"},
	},
	"kept aside twice": {
		lines: []string{"mail/root = third", ".before-share/mail/root = first", ".before-share/mail.1/root = second", "share/mail/root = new letter"},
		want:  KeptAside, detail: "var/.before-share/mail.2",
		be: []string{"var", "var/.before-share", "var/.before-share/mail", "var/.before-share/mail/root", "var/.before-share/mail.1", "var/.before-share/mail.1/root",
			"var/.before-share/mail.2", "var/.before-share/mail.2/root", "var/mail"},
		share: []string{"mail", "mail/root"},
	},
	"the share has it all": {
		lines: []string{"mail/root = letter", "share/mail/root = letter", "share/mail/more = more"}, want: Moved,
		be: []string{"var", "var/mail"}, share: []string{"mail", "mail/more", "mail/root"},
	},
	"missing here": {
		lines: []string{"share/mail/root = letter"}, want: Linked,
		be: []string{"var", "var/mail"}, share: []string{"mail", "mail/root"},
	},
	"missing": {want: Missing, be: []string{"var"}},
	"linked, and the share is new": {
		lines: []string{"mail -> share/mail"}, want: Shared,
		be: []string{"var", "var/mail"}, share: []string{"mail"},
	},
	"left over in the share": {
		lines: []string{"mail/root = letter", "share/.snapbe-new/mail/root = half a let", "share/.snapbe-new/log/x = y"}, want: Moved,
		be: []string{"var", "var/mail"}, share: []string{"mail", "mail/root"},
	},
	"cut, and another BE had its own moved": {
		lines: []string{".snapbe-old-mail/root = mine", "share/mail/root = theirs"}, want: KeptAside, detail: "var/.before-share/mail",
		be:    []string{"var", "var/.before-share", "var/.before-share/mail", "var/.before-share/mail/root", "var/mail"},
		share: []string{"mail", "mail/root"},
	},
	"cut, and the share was lost": {
		lines: []string{".snapbe-old-mail/root = mine", "mail -> share/mail"}, want: Moved,
		be: []string{"var", "var/mail"}, share: []string{"mail", "mail/root"},
	},
	"cut, the share was lost, and the directory made anew": {
		lines: []string{".snapbe-old-mail/root = mine", "mail/root = new"}, want: Moved,
		be:    []string{"var", "var/.before-share", "var/.before-share/mail", "var/.before-share/mail/root", "var/mail"},
		share: []string{"mail", "mail/root"},
	},
	"a symlink elsewhere": {
		lines: []string{"mail -> spool/mail"}, want: LinkedElsewhere, detail: "spool/mail",
		be: []string{"var", "var/mail"},
	},
	"a file": {lines: []string{"mail = file"}, want: NoDir, detail: "file", be: []string{"var", "var/mail"}},
}

func TestPlace(t *testing.T) {
	for name, l := range layouts {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, l.lines...)
			before := map[string]bool{}
			for c := range contents(t, h.beDir, h.shareDir) {
				if c != "half a let" && c != "y" {
					before[c] = true
				}
			}
			placed, err := h.place("mail")
			require.NoError(t, err)
			assert.Equal(t, []Placed{{"mail", l.want, l.detail}}, placed)
			assert.Equal(t, l.be, names(t, h.beDir))
			assert.Equal(t, l.share, names(t, h.shareDir))
			for c := range before {
				assert.Contains(t, contents(t, h.beDir, h.shareDir), c)
			}

			// Once done, nothing is changed any more.
			want := h.listing(t)
			asked := cut(0, h.be, h.share)
			_, err = h.place("mail")
			require.NoError(t, err)
			assert.Zero(t, *asked)
			assert.Equal(t, want, h.listing(t))
		})
	}
}

// Power is cut before each change in turn.
func TestPlacePowerCut(t *testing.T) {
	for name, l := range layouts {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, l.lines...)
			_, err := h.place("mail")
			require.NoError(t, err)
			want, kept := h.listing(t), contents(t, h.beDir, h.shareDir)
			for n := 0; ; n++ {
				h := newHost(t, l.lines...)
				asked := cut(n, h.be, h.share)
				_, err := h.place("mail")
				if *asked <= n {
					break
				}
				assert.ErrorIs(t, err, errCut)
				for c := range kept {
					require.Contains(t, contents(t, h.beDir, h.shareDir), c, "after %d changes", n)
				}
				// Once more cut, right where it goes on.
				cut(1, h.be, h.share)
				_, _ = h.place("mail")
				powered(h.be, h.share)
				_, err = h.place("mail")
				require.NoError(t, err)
				require.Equal(t, want, h.listing(t), "after %d changes", n)
			}
		})
	}
}

// Two BEs, each of which is cut at any point before the other boots.
func TestPlacePowerCutAndAnotherBE(t *testing.T) {
	for n := 0; ; n++ {
		a := newHost(t, "mail/root = of a", "mail/a = only a", "mail/both = both")
		b := newHost(t, "mail/root = of b", "mail/b = only b", "mail/both = both")
		b.share, b.shareDir = a.share, a.shareDir
		asked := cut(n, a.be, a.share)
		_, _ = a.place("mail")
		if *asked <= n {
			return
		}
		powered(a.share)
		_, err := b.place("mail")
		require.NoError(t, err)
		powered(a.be)
		_, err = a.place("mail")
		require.NoError(t, err)
		all := contents(t, a.beDir, b.beDir, a.shareDir)
		for _, c := range []string{"of a", "only a", "of b", "only b", "both"} {
			require.Contains(t, all, c, "after %d changes", n)
		}
		for _, h := range []*host{a, b} {
			target, err := os.Readlink(filepath.Join(h.beDir, "var/mail"))
			require.NoError(t, err)
			assert.Equal(t, "share/mail", target)
		}
	}
}

func TestPlaceKeepsAttributes(t *testing.T) {
	needRoot(t)
	h := newHost(t, "mail/root = letter", "mail/sub/f = x")
	mail := filepath.Join(h.beDir, "var/mail")
	require.NoError(t, os.Lchown(mail, 0, 8))
	require.NoError(t, unix.Chmod(mail, 0o2775))
	require.NoError(t, os.Lchown(filepath.Join(mail, "root"), 1000, 8))
	require.NoError(t, unix.Mknod(filepath.Join(mail, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	files(t, h.beDir)
	want := listing(t, mail)
	placed, err := h.place("mail")
	require.NoError(t, err)
	assert.Equal(t, Moved, placed[0].Placement)
	assert.Equal(t, want, listing(t, filepath.Join(h.shareDir, "mail")))
}

func TestPlaceDefault(t *testing.T) {
	h := newHost(t, "log/syslog = line", "mail/root = letter", "spool/mail -> ../mail", "spool/cron/crontabs/root = @daily", "tmp/x = y", "lib/dpkg/status = s")
	placed, err := h.place(Default()...)
	require.NoError(t, err)
	for _, p := range placed {
		want := Moved
		if p.Dir == "crash" {
			want = Missing
		}
		assert.Equal(t, want, p.Placement, p.Dir)
	}
	// As on a host, where the share is mounted in /var.
	require.NoError(t, os.Rename(h.shareDir, filepath.Join(h.beDir, "var/share")))
	for name, want := range map[string]string{"spool/mail/root": "letter", "mail/root": "letter", "log/syslog": "line", "lib/dpkg/status": "s"} {
		b, err := os.ReadFile(filepath.Join(h.beDir, "var", name))
		require.NoError(t, err)
		assert.Equal(t, want, string(b))
	}
}

func TestPlaceWhatTheShareLost(t *testing.T) {
	lines := []string{"tmp -> share/tmp", "log -> share/log"}
	if os.Getuid() == 0 {
		lines = append(lines, "mail -> share/mail")
	}
	h := newHost(t, lines...)
	files(t, h.beDir, "etc/group = root:x:0:\nmail:x:8:\n")
	_, err := h.place("tmp", "log", "mail")
	require.NoError(t, err)
	for dir, want := range map[string]string{"tmp": "dtrwxrwxrwx", "log": "drwxr-xr-x", "mail": "dgrwxrwxr-x"} {
		st, err := os.Stat(filepath.Join(h.shareDir, dir))
		if dir == "mail" && os.Getuid() != 0 {
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, want, st.Mode().String())
	}
}

func TestPlaceMounts(t *testing.T) {
	h := newHost(t, "mail/root = letter", "log/audit/log = x", "log/syslog = y")
	want := h.listing(t)
	placed, err := Place(context.Background(), h.be, h.share, []string{"mail", "log", "crash"}, func(name string) bool {
		return slices.Contains([]string{"var/mail", "var/log/audit", "var/crash"}, name)
	})
	require.NoError(t, err)
	assert.Equal(t, []Placed{
		{"mail", Mounted, ""},
		{"log", Held, `a file system is mounted at "var/log/audit"`},
		{"crash", Mounted, ""},
	}, placed)
	assert.Equal(t, want, h.listing(t))
}

func TestPlaceRealMounts(t *testing.T) {
	needRoot(t)
	h := newHost(t, "mail/root = letter", "log/audit/log = x", "share/log/")
	for _, dir := range []string{"mail", "log/audit"} {
		at := filepath.Join(h.beDir, "var", dir)
		require.NoError(t, unix.Mount(at, at, "", unix.MS_BIND, ""))
		t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	}
	want := h.listing(t)
	placed, err := h.place("mail", "log")
	require.NoError(t, err)
	assert.Equal(t, []Placed{{"mail", Mounted, ""}, {"log", Held, `a file system is mounted at "var/log/audit"`}}, placed)
	assert.Equal(t, want, h.listing(t))
}

func TestPlaceImmutable(t *testing.T) {
	needRoot(t)
	h := newHost(t, "log/sub/audit = x")
	f, err := os.Open(filepath.Join(h.beDir, "var/log/sub/audit"))
	require.NoError(t, err)
	defer f.Close()
	const appendOnly = 0x20
	if unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, appendOnly) != nil {
		t.Skip("no flags on this file system")
	}
	defer func() { _ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0) }()
	placed, err := h.place("log")
	require.NoError(t, err)
	assert.Equal(t, []Placed{{"log", Held, `"var/log/sub/audit" is immutable or append-only (chattr(1))`}}, placed)
	files(t, h.shareDir, "log/sub/audit = x")
	placed, err = h.place("log")
	require.NoError(t, err)
	assert.Equal(t, []Placed{{"log", KeptAside, "var/.before-share/log"}}, placed)
}

// A share that leads out of itself is not written through.
func TestPlaceHostile(t *testing.T) {
	for name, lines := range map[string][]string{
		"share/mail": {"mail/root = letter", "share/mail -> OUT"},
		"staging":    {"mail/root = letter", "share/.snapbe-new -> OUT"},
		"linked":     {"mail -> share/mail", "share/mail -> OUT"},
		"aside":      {"mail/root = letter", "share/mail/root = other", ".before-share -> OUT"},
		"a file":     {"mail/root = letter", "share/mail = file"},
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			files(t, out, "root = outside", "mail/root = outside")
			before := listing(t, out)
			for i, l := range lines {
				lines[i] = strings.ReplaceAll(l, "OUT", out)
			}
			h := newHost(t, append(lines, "log/x = y")...)
			want := contents(t, h.beDir, h.shareDir)
			placed, err := h.place("mail", "log")
			assert.ErrorContains(t, err, "share /var/mail: ")
			if name == "a file" {
				assert.ErrorContains(t, err, `"/var/share/mail" is a file, not a directory`)
			} else {
				assert.ErrorContains(t, err, `is a symlink to "`+out+`", which is not followed`)
			}
			assert.Equal(t, Failed, placed[0].Placement)
			if name != "staging" {
				assert.Equal(t, Placed{"log", Moved, ""}, placed[1], "the others are placed")
			}
			assert.Equal(t, before, listing(t, out))
			assert.Equal(t, want, contents(t, h.beDir, h.shareDir))
		})
	}
}
