package bootloader

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cpioEntry is one of an archive, as cpioEntries reads it.
type cpioEntry struct {
	mode uint64
	data string
}

// cpioEntries reads an archive as the kernel does (init/initramfs.c).
func cpioEntries(t *testing.T, archive []byte) (names []string, entries map[string]cpioEntry) {
	t.Helper()
	entries = map[string]cpioEntry{}
	for at := 0; ; {
		require.Equal(t, "070701", string(archive[at:at+6]))
		field := func(n int) uint64 {
			v, err := strconv.ParseUint(string(archive[at+6+8*n:at+14+8*n]), 16, 32)
			require.NoError(t, err)
			return v
		}
		require.Zero(t, field(2)+field(3)+field(5), "root's, of no time")
		size, length := int(field(6)), int(field(11))
		name := string(archive[at+110 : at+110+length-1])
		data := (at + 110 + length + 3) &^ 3
		if name == "TRAILER!!!" {
			require.Empty(t, strings.Trim(string(archive[data:]), "\x00"))
			return names, entries
		}
		names = append(names, name)
		entries[name] = cpioEntry{field(1), string(archive[data : data+size])}
		at = (data + size + 3) &^ 3
	}
}

func TestTrialInitrd(t *testing.T) {
	archive, err := trialInitrd()
	require.NoError(t, err)
	again, err := trialInitrd()
	require.NoError(t, err)
	require.Equal(t, archive, again)
	require.Zero(t, len(archive)%sector)
	names, entries := cpioEntries(t, archive)
	for i, name := range names {
		if dir := filepath.Dir(name); dir != "." {
			require.Contains(t, names[:i], dir, "the kernel makes no directory that is not listed")
		}
		want := uint64(cpioDir | 0o755)
		text, err := initramfs.ReadFile("initramfs/" + name)
		if err == nil {
			require.Equal(t, string(text), entries[name].data)
			want = cpioFile | 0o644
			if strings.HasPrefix(string(text), "#!/bin/sh\n") {
				want = cpioFile | 0o755
			}
		}
		require.Equal(t, want, entries[name].mode, name)
	}
	for _, name := range []string{"conf/conf.d/snapbe", "scripts/init-bottom/zz-snapbe", "scripts/init-bottom/ORDER",
		"snapbe/back", "snapbe/check", "snapbe/deadline", "etc/systemd/system/initrd-switch-root.service.d/snapbe.conf"} {
		require.Contains(t, names, name)
	}
}

func TestWriteTrialInitrd(t *testing.T) {
	g, run := testHost(t)
	changed, err := g.WriteTrialInitrd()
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, []string{"zpool sync"}, run.ran)
	got, err := os.ReadFile(filepath.Join(g.Dir, "snapbe-trial.cpio"))
	require.NoError(t, err)
	want, err := trialInitrd()
	require.NoError(t, err)
	require.Equal(t, want, got)
	changed, err = g.WriteTrialInitrd()
	require.NoError(t, err)
	require.False(t, changed)
}

// fakeInitramfs is a directory with the archive unpacked in it, in which the
// scripts' absolute paths lead to it, with stand-ins that note what was done.
func fakeInitramfs(t *testing.T, cmdline string) string {
	t.Helper()
	root := t.TempDir()
	archive, err := trialInitrd()
	require.NoError(t, err)
	names, entries := cpioEntries(t, archive)
	put := func(name, text string, mode os.FileMode) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), mode))
	}
	inside := strings.NewReplacer("/proc/", root+"/proc/", "/conf/", root+"/conf/",
		"/scripts/", root+"/scripts/", "/snapbe/", root+"/snapbe/", "/sysroot", root+"/sysroot")
	for _, name := range names {
		if e := entries[name]; e.mode&cpioDir == 0 {
			put(name, inside.Replace(e.data), os.FileMode(e.mode&0o777))
		}
	}
	put("proc/cmdline", cmdline+"\n", 0o644)
	put("proc/sysrq-trigger", "", 0o644)
	put("bin/reboot", "#!/bin/sh\necho reboot \"$@\" >>"+root+"/done\n", 0o755)
	// As klibc's: is it there, and executable?
	put("bin/run-init", "#!/bin/sh\n[ \"$1\" = -n ] && [ -x \"$2$3\" ]\n", 0o755)
	put("bin/sleep", "#!/bin/sh\ncase $1 in 3) exit ;; esac\nexec /bin/sleep \"$1\"\n", 0o755)
	return root
}

// initramfsTools does what its init does with the archive.
const initramfsTools = `
cd "$1"
export PATH="$1/bin:$PATH" rootmnt="$1/root" init=/sbin/init
for conf in conf/conf.d/*; do
	[ -f "${conf}" ] && . "${conf}"
done
mounting=$2
sleep "$mounting"
set --
[ -d "scripts/init-bottom" ] && . "${rootmnt%/root}/scripts/init-bottom/ORDER"
echo switched >>"${rootmnt%/root}/done"
`

// TestInitramfsTools runs the scripts by the shells that an initramfs may have.
func TestInitramfsTools(t *testing.T) {
	const trial = "root=ZFS=rpool/ROOT/x ro snapbe.trial=" + uuid1
	cases := map[string]struct {
		cmdline string
		order   string // of the BE's own initrd
		init    os.FileMode
		// mount is how many seconds it takes to mount the root: not none, since
		// a signal that comes while a shell forks may be lost on its child.
		mount string
		want  string
		says  string
	}{
		"good":              {trial, "", 0o755, "1", "switched", ""},
		"good, no trial":    {"ro", "", 0o755, "1", "switched", ""},
		"own ORDER":         {trial, "echo own >>\"${rootmnt%/root}/done\"\n", 0o755, "1", "own switched", ""},
		"no init":           {trial, "", 0, "1", "reboot -f switched", "the BE on trial has no /sbin/init that can be started"},
		"not executable":    {trial, "echo own >>\"${rootmnt%/root}/done\"\n", 0o644, "1", "own reboot -f switched", "no /sbin/init that can be started"},
		"no init, no trial": {"ro", "", 0, "1", "switched", ""},
		"too late":          {trial + " snapbe.initramfs_timeout=1", "", 0o755, "2", "reboot -f switched", "was not found and mounted in 1 s"},
		"in time":           {trial + " snapbe.initramfs_timeout=60", "", 0o755, "1", "switched", ""},
	}
	for _, shell := range [][]string{{"/bin/sh"}, {"/usr/lib/klibc/bin/sh"}, {"/bin/busybox", "sh"}} {
		for name, c := range cases {
			t.Run(filepath.Base(shell[0])+"/"+name, func(t *testing.T) {
				t.Parallel()
				root := fakeInitramfs(t, c.cmdline)
				if c.order != "" {
					require.NoError(t, os.WriteFile(filepath.Join(root, "scripts/init-bottom/ORDER"), []byte(c.order), 0o644))
				}
				require.NoError(t, os.MkdirAll(filepath.Join(root, "root/sbin"), 0o755))
				if c.init != 0 {
					require.NoError(t, os.WriteFile(filepath.Join(root, "root/sbin/init"), nil, c.init))
				}
				argv := append(shell, "-c", initramfsTools, "init", root, c.mount)
				out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
				require.NoError(t, err, "Debian packages klibc-utils, busybox-static: %s", out)
				done, err := os.ReadFile(filepath.Join(root, "done"))
				require.NoError(t, err)
				require.Equal(t, c.want, strings.Join(strings.Fields(strings.ReplaceAll(string(done), "\n", " ")), " "), "%s", out)
				require.Contains(t, string(out), c.says)
				trigger, err := os.ReadFile(filepath.Join(root, "proc/sysrq-trigger"))
				require.NoError(t, err)
				require.Equal(t, strings.Contains(c.want, "reboot"), string(trigger) == "b\n", "where reboot does nothing")
			})
		}
	}
}

// TestDeadlineEnds: the deadline of a good boot leaves no process behind.
func TestDeadlineEnds(t *testing.T) {
	root := fakeInitramfs(t, "snapbe.trial="+uuid1+" snapbe.initramfs_timeout=600")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "root/sbin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "root/sbin/init"), nil, 0o755))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	// The output ends when nobody has it open any more: the sleeper neither.
	out, err := exec.CommandContext(ctx, "sh", "-c", initramfsTools, "init", root, "1").CombinedOutput()
	require.NoError(t, err, string(out))
}

// TestInitramfsCheck: what systemd's initramfs asks before it leaves.
func TestInitramfsCheck(t *testing.T) {
	cases := map[string]struct {
		cmdline string
		files   map[string]os.FileMode
		links   map[string]string
		back    string
	}{
		"good":           {"snapbe.trial=x", map[string]os.FileMode{"sbin/init": 0o755}, nil, ""},
		"absolute link":  {"snapbe.trial=x", map[string]os.FileMode{"usr/init": 0o755}, map[string]string{"sbin/init": "/usr/init"}, ""},
		"relative link":  {"snapbe.trial=x", map[string]os.FileMode{"usr/init": 0o755}, map[string]string{"sbin/init": "../usr/init"}, ""},
		"missing":        {"snapbe.trial=x", nil, nil, "/sbin/init"},
		"not a file":     {"snapbe.trial=x", map[string]os.FileMode{"sbin/init/x": 0o755}, nil, "/sbin/init"},
		"not executable": {"snapbe.trial=x", map[string]os.FileMode{"sbin/init": 0o644}, nil, "/sbin/init"},
		"dangling":       {"snapbe.trial=x", nil, map[string]string{"sbin/init": "/bin/sh"}, "/sbin/init"},
		"circle":         {"snapbe.trial=x", nil, map[string]string{"sbin/init": "init"}, "/sbin/init"},
		"another init":   {"init=/bin/x snapbe.trial=x", map[string]os.FileMode{"sbin/init": 0o755}, nil, "/bin/x"},
		"no trial":       {"ro", nil, nil, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			root := fakeInitramfs(t, c.cmdline)
			for file, mode := range c.files {
				path := filepath.Join(root, "sysroot", file)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, nil, mode))
			}
			for link, to := range c.links {
				path := filepath.Join(root, "sysroot", link)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.Symlink(to, path))
			}
			cmd := exec.Command(filepath.Join(root, "snapbe/check"))
			cmd.Env = append(os.Environ(), "PATH="+root+"/bin:"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			if c.back == "" {
				require.NoFileExists(t, filepath.Join(root, "done"), string(out))
				return
			}
			require.FileExists(t, filepath.Join(root, "done"))
			require.Contains(t, string(out), "has no "+c.back+" that can be started")
		})
	}
}
