package zones

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"snapbe/internal/command"
)

const machinectlList = "machinectl list --output=json --no-pager"

// containersUp is machinectl's list of containers that run.
func containersUp(names ...string) string {
	var all []string
	for _, n := range names {
		all = append(all, `{"machine":"`+n+`","class":"container","service":"systemd-nspawn","os":null,"version":null,"addresses":null}`)
	}
	return "[" + strings.Join(all, ",") + "]"
}

func testNspawn(t *testing.T, s *script, lines ...string) (*Nspawn, string) {
	dir, tree := hostTree(t, lines...)
	n := NewNspawn(s, tree)
	n.poll, n.settle, n.patience = time.Millisecond, 5*time.Millisecond, 5*time.Millisecond
	return n, dir
}

func TestNspawnCheckName(t *testing.T) {
	n := NewNspawn(nil, nil)
	for _, good := range []string{"web", "my-web", "a", "7", "web.example.org", "A--b", strings.Repeat("x", 64)} {
		require.NoError(t, n.CheckName(good), good)
	}
	for _, bad := range []string{
		"", ".", "..", ".host", "-web", "web-", "a..b", "a.-b", "a-.b", "web.", "a/b", "a_b", "a b", "a\n", "a%b",
		"a@b", "a#b", "a:b", "ä", "web.raw", `a\x2db`, strings.Repeat("x", 65),
	} {
		require.Error(t, n.CheckName(bad), "%q", bad)
	}
}

func TestNspawnList(t *testing.T) {
	s := &script{answers: answers{machinectlList: says(recorded(t, "machinectl.json"))}}
	n, _ := testNspawn(t, s,
		"var/lib/machines/my-web/", "var/lib/machines/db/", "var/lib/machines/.hidden/", "var/lib/machines/image.raw = x",
		"var/lib/machines/dir.raw/", "var/lib/machines/file = x", "var/lib/machines/link -> db", "var/lib/machines/a_b/",
		"etc/systemd/nspawn/db.nspawn = [Exec]", "etc/systemd/nspawn/new.nspawn = [Exec]", "etc/systemd/nspawn/README = x",
		"etc/systemd/nspawn/.new2.nspawn.snapbe-new = x", "etc/systemd/nspawn/dir.nspawn/",
		"etc/systemd/system/machines.target.wants/systemd-nspawn@my-web.service -> /lib/systemd/system/systemd-nspawn@.service",
		`etc/systemd/system/machines.target.wants/systemd-nspawn@esc\x2daped.service -> /lib/systemd/system/systemd-nspawn@.service`,
		"etc/systemd/system/machines.target.wants/systemd-nspawn@db.service = no link",
		"etc/systemd/system/machines.target.wants/other.service -> /lib/systemd/system/other.service",
	)
	got, err := n.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []Machine{
		{Name: "db", Root: "/var/lib/machines/db", State: Installed, Brand: "nspawn"},
		{Name: "esc-aped", Root: "/var/lib/machines/esc-aped", State: Configured, Autoboot: true, Brand: "nspawn"},
		{Name: "my-web", Root: "/var/lib/machines/my-web", State: Running, Autoboot: true, Brand: "nspawn"},
		{Name: "new", Root: "/var/lib/machines/new", State: Configured, Brand: "nspawn"},
	}, got)
	require.Equal(t, "/var/lib/machines/x", n.RootDir("x"))
}

func TestNspawnListWithout(t *testing.T) {
	s := &script{answers: answers{machinectlList: fails(command.ErrNotInstalled)}}
	n, dir := testNspawn(t, s)
	got, err := n.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, got)
	require.NoError(t, n.Halt(t.Context(), "web"))

	require.NoError(t, os.MkdirAll(filepath.Join(dir, "var/lib/machines/web"), 0o755))
	got, err = n.List(t.Context())
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, Installed, got[0].State)
}

func TestNspawnListFails(t *testing.T) {
	for name, c := range map[string]struct {
		answer func() (string, error)
		lines  []string
		want   string
	}{
		"machinectl":      {fails(errors.New("no bus")), nil, "list machines: machinectl list: no bus"},
		"no JSON":         {says("my-web container systemd-nspawn"), nil, "parse machinectl's list"},
		"no name":         {says(`[{"class":"container"}]`), nil, "without a name"},
		"another's files": {says("[]"), []string{"var/lib/machines -> /etc"}, "escapes"},
	} {
		t.Run(name, func(t *testing.T) {
			n, _ := testNspawn(t, &script{answers: answers{machinectlList: c.answer}}, c.lines...)
			_, err := n.List(t.Context())
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestNspawnBoot(t *testing.T) {
	s := &script{answers: answers{"systemctl start systemd-nspawn@my-web.service": says("")}}
	n, _ := testNspawn(t, s)
	require.NoError(t, n.Boot(t.Context(), "my-web"))
	require.ErrorContains(t, n.Boot(t.Context(), "other"), `boot "other": systemctl start: `)
	require.ErrorContains(t, n.Boot(t.Context(), "--force"), "is not a host name")
	require.ErrorContains(t, n.Halt(t.Context(), "--force"), "is not a host name")
}

func TestNspawnHalt(t *testing.T) {
	const stop, poweroff, terminate = "systemctl stop systemd-nspawn@web.service", "machinectl poweroff web", "machinectl terminate web"
	cases := map[string]struct {
		answers answers
		// until is the command that ends it.
		until string
		// ran leaves out the looks at what runs.
		ran  []string
		want string
	}{
		"its service": {answers{machinectlList: says(containersUp("web"), containersUp("web"), containersUp()), stop: says("")}, "", []string{stop}, ""},
		"not listed":  {answers{machinectlList: says(containersUp("db")), stop: says("")}, "", []string{stop}, ""},
		"the service fails": {answers{machinectlList: says(containersUp("web")), stop: fails(errors.New("no"))}, "",
			[]string{stop}, `halt "web": systemctl stop: no`},
		"ended meanwhile": {answers{stop: says(""), poweroff: fails(errors.New("no machine"))}, poweroff,
			[]string{stop, poweroff}, ""},
		"by force": {answers{stop: says(""), poweroff: says(""), terminate: says("")}, terminate,
			[]string{stop, poweroff, terminate}, ""},
		"not at all": {answers{machinectlList: says(containersUp("web")), stop: says(""), poweroff: says(""), terminate: says("")}, "",
			[]string{stop, poweroff, terminate}, `halt "web": it still runs`},
		"no list": {answers{machinectlList: fails(errors.New("no bus"))}, "", nil, `halt "web": machinectl list: no bus`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := &script{answers: c.answers}
			if c.until != "" { // it runs until then
				s.answers[machinectlList] = func() (string, error) {
					if slices.Contains(s.ran, c.until) {
						return containersUp(), nil
					}
					return containersUp("web"), nil
				}
			}
			n, _ := testNspawn(t, s)
			err := n.Halt(t.Context(), "web")
			var ran []string
			for _, line := range s.ran {
				if line != machinectlList {
					ran = append(ran, line)
				}
			}
			require.Equal(t, c.ran, ran)
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
			}
		})
	}
}

func TestNspawnHaltEndsWithItsContext(t *testing.T) {
	s := &script{answers: answers{machinectlList: says(containersUp("web")), "systemctl stop systemd-nspawn@web.service": says("")}}
	n, _ := testNspawn(t, s)
	n.settle = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, n.Halt(ctx, "web"), context.DeadlineExceeded)
}

const nspawnText = "[Exec]\nBoot=yes\nEnvironment=A=1 \\\n# between\nMachineID=not-a-key\n\n[Network]\nZone=web\n"

func TestNspawnSettings(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"as they are": {nspawnText, nspawnText},
		"own":         {"[Exec]\nMachineID=0102\n Hostname = web\n#MachineID=3\nBoot=yes", "[Exec]\n#MachineID=3\nBoot=yes"},
		"own, longer": {"[Exec]\nMachineID=01\\\n# why\n02\nBoot=yes\n", "[Exec]\nBoot=yes\n"},
		"empty":       {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			n, dir := testNspawn(t, &script{}, "etc/systemd/nspawn/web.nspawn = "+c.text, "etc/systemd/nspawn/.new.nspawn.snapbe-new = left")
			require.NoError(t, n.CopySettings(t.Context(), "web", "new"))
			file := filepath.Join(dir, "etc/systemd/nspawn/new.nspawn")
			got, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, c.want, string(got))
			info, err := os.Stat(file)
			require.NoError(t, err)
			require.EqualValues(t, 0o640, info.Mode())
			entries, err := os.ReadDir(filepath.Dir(file))
			require.NoError(t, err)
			require.Len(t, entries, 2)

			require.ErrorIs(t, n.CopySettings(t.Context(), "web", "new"), fs.ErrExist)
			require.NoError(t, n.RemoveSettings(t.Context(), "new"))
			require.NoFileExists(t, file)
			require.NoError(t, n.RemoveSettings(t.Context(), "new"))
		})
	}
}

func TestNspawnSettingsOverwriteNothing(t *testing.T) {
	for name, dst := range map[string]string{"a file": "etc/systemd/nspawn/new.nspawn = mine", "a link": "etc/systemd/nspawn/new.nspawn -> nowhere"} {
		t.Run(name, func(t *testing.T) {
			n, _ := testNspawn(t, &script{}, dst)
			require.ErrorIs(t, n.CopySettings(t.Context(), "web", "new"), fs.ErrExist)
		})
	}
	_, tree := hostTree(t, "dir/file = mine")
	root, err := tree()
	require.NoError(t, err)
	defer root.Close()
	require.ErrorIs(t, writeNew(root, "dir/file", []byte("x"), 0o644), fs.ErrExist)
	text, err := root.ReadFile("dir/file")
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))
	_, err = root.Stat("dir/.file.snapbe-new")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestNspawnSettingsRefused(t *testing.T) {
	n, dir := testNspawn(t, &script{}, "etc/systemd/nspawn/out.nspawn -> /etc/shadow", "etc/systemd/nspawn/dir.nspawn/",
		"etc/systemd/nspawn/up.nspawn -> ../../../../x", "etc/systemd/nspawn/big.nspawn = "+strings.Repeat("#", maxSettings+1))
	for _, src := range []string{"out", "dir", "up", "big", "a/b"} {
		require.Error(t, n.CopySettings(t.Context(), src, "new"), src)
		require.NoFileExists(t, filepath.Join(dir, "etc/systemd/nspawn/new.nspawn"))
	}
	require.NoError(t, n.CopySettings(t.Context(), "none", "new"))
	require.Error(t, n.RemoveSettings(t.Context(), "../x"))

	n.tree = func() (*os.Root, error) { return nil, fs.ErrNotExist }
	require.Error(t, n.RemoveSettings(t.Context(), "web"))
}

func FuzzMachinectl(f *testing.F) {
	f.Add(containersUp("web", "db"))
	f.Add(`[{"machine":null,"class":1}]`)
	f.Fuzz(func(t *testing.T, out string) {
		names, err := parseMachinectl([]byte(out))
		if err != nil {
			require.Empty(t, names)
		}
	})
}

func FuzzWithoutOwn(f *testing.F) {
	f.Add(nspawnText)
	f.Add("MachineID=1\\\n2\n;\\\nHostname=x\n")
	f.Fuzz(func(t *testing.T, text string) {
		got := withoutOwn(text)
		require.Equal(t, got, withoutOwn(got))
		require.LessOrEqual(t, len(got), len(text))
	})
}
