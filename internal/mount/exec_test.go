//go:build linux

package mount

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// system is a tree with this machine's programs in it.
func system(t *testing.T, files ...string) Tree {
	t.Helper()
	root := dataset(t, append([]string{
		"proc/", "sys/", "dev/", "run/", "tmp/", "usr/", "etc/", "var/tmp/", "root/",
		"bin -> usr/bin", "sbin -> usr/sbin", "lib -> usr/lib", "lib64 -> usr/lib64",
	}, files...)...)
	return Tree{{Dataset: root, Dir: "."}, {Dataset: "dir:/usr", Dir: "usr", ReadOnly: true}}
}

// run runs a command in the tree and returns what it wrote to stdout and
// stderr.
func run(t *testing.T, tree Tree, x ExecSpec) (string, int, error) {
	t.Helper()
	return runContext(t, context.Background(), tree, x)
}

func runContext(t *testing.T, ctx context.Context, tree Tree, x ExecSpec) (string, int, error) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	x.Stdin, x.Stdout, x.Stderr = or(x.Stdin, null), out, out
	code, err := Exec(ctx, tree, x)
	_, seekErr := out.Seek(0, io.SeekStart)
	require.NoError(t, seekErr)
	text, readErr := io.ReadAll(out)
	require.NoError(t, readErr)
	return string(text), code, err
}

func sh(t *testing.T, tree Tree, script string) string {
	t.Helper()
	out, code, err := run(t, tree, ExecSpec{Argv: []string{"sh", "-c", script}})
	require.NoError(t, err)
	require.Zero(t, code, out)
	return strings.TrimSpace(out)
}

func TestExecCodes(t *testing.T) {
	needRoot(t)
	tree := system(t, "plain", "dir/", "deep -> /usr/bin/true")
	root := path(tree[0].Dataset)
	require.NoError(t, os.WriteFile(root+"/script", []byte("#!/none\n"), 0o755))
	require.NoError(t, os.WriteFile(root+"/noformat", []byte("true\n"), 0o755))
	for _, tc := range []struct {
		argv []string
		code int
		out  string
	}{
		{[]string{"true"}, 0, ""},
		{[]string{"sh", "-c", "exit 7"}, 7, ""},
		{[]string{"sh", "-c", "kill -TERM $$"}, 128 + 15, ""},
		{[]string{"sh", "-c", "kill -KILL $$"}, 128 + 9, ""},
		{[]string{"none"}, 127, "snapbe: cannot run \"none\": command not found\n"},
		{[]string{"/none/none"}, 127, "snapbe: cannot run \"/none/none\": command not found\n"},
		{[]string{"/script"}, 127, "snapbe: cannot run \"/script\": command not found\n"},
		{[]string{"/plain"}, 126, "snapbe: cannot run \"/plain\": not executable\n"},
		{[]string{"./plain"}, 126, "snapbe: cannot run \"./plain\": not executable\n"},
		{[]string{"/dir"}, 126, "snapbe: cannot run \"/dir\": not executable\n"},
		{[]string{"/noformat"}, 126, "snapbe: cannot run \"/noformat\": not executable\n"},
		{[]string{"/deep"}, 0, ""},
		{[]string{"usr/bin/true"}, 0, ""},
	} {
		t.Run(strings.Join(tc.argv, " "), func(t *testing.T) {
			for _, confined := range []bool{false, true} {
				out, code, err := run(t, tree, ExecSpec{Argv: tc.argv, Confined: confined})
				require.NoError(t, err)
				require.Equal(t, tc.code, code)
				require.Equal(t, tc.out, out)
			}
		})
	}
	gone(t, tree[:1])
}

func TestExecCannotSetUp(t *testing.T) {
	needRoot(t)
	tree := system(t)
	_, _, err := run(t, tree, ExecSpec{Argv: []string{"true"}, Dir: "none"})
	require.EqualError(t, err, `start in directory "/none": no such file or directory`)
	_, _, err = run(t, tree, ExecSpec{})
	require.EqualError(t, err, "no command to run")
	bare := dataset(t)
	_, _, err = run(t, Tree{{Dataset: bare, Dir: "."}}, ExecSpec{Argv: []string{"true"}})
	require.EqualError(t, err, fmt.Sprintf(`set up dataset %q to run in: mount point "proc": no such directory`, bare))
	for _, dir := range []string{"proc", "sys", "dev", "run"} {
		bad := dataset(t, "proc/", "sys/", "dev/shm/", "run/")
		require.NoError(t, os.RemoveAll(path(bad, dir)))
		require.NoError(t, os.Symlink("/", path(bad, dir)))
		for _, confined := range []bool{false, true} {
			_, _, err = run(t, Tree{{Dataset: bad, Dir: "."}}, ExecSpec{Argv: []string{"true"}, Confined: confined})
			require.EqualError(t, err, fmt.Sprintf(`set up dataset %q to run in: mount point %q: a symlink is on the way to it`, bad, dir))
		}
	}
}

func TestExecInside(t *testing.T) {
	needRoot(t)
	tree := system(t, "etc/resolv.conf -> ../run/systemd/resolve/stub-resolv.conf")
	root := path(tree[0].Dataset)
	grub := Entry{Dataset: dataset(t, "grub.cfg"), Dir: "boot/grub"}
	require.NoError(t, os.MkdirAll(root+"/boot/grub", 0o755))
	before := listing(t, root)
	script := `
		echo shell=$$
		echo host=$(hostname)
		echo pwd=$(pwd)
		echo env=$A/$SYSTEMD_OFFLINE
		echo args="$*"
		echo root=$(ls /)
		echo run=$(ls /run)/$(ls /run/systemd)
		echo tmp=$(ls /tmp /dev/shm)
		echo one=$(ls /proc/1/root/)
		echo up=$(ls /proc/1/root/.. /../..)
		echo sysfs=$(ls /sys/fs)
		echo umask=$(umask) $(stat -c %a /run/systemd/resolve /run /run/lock /tmp /etc/resolv.conf -L)
		echo chrooted=$([ /proc/1/root/. -ef / ] || echo yes)
		ls -l /proc/1/fd /proc/1/cwd | sed 's/.* -> /fd=/'
		echo grub=$(ls /boot/grub)
		touch /tmp/a /run/b /dev/shm/c
		touch /sys/a 2>/dev/null; echo sys=$?
		echo 1 2>/dev/null >/proc/sys/vm/drop_caches; echo sysctl=$?
		grep -c . /etc/resolv.conf
		grep -c ' /usr [^ ]* ro,' /proc/mounts
		cut -d ' ' -f 2 /proc/mounts | grep -v '^/\(proc\|sys\|dev\)/' | sort | xargs`
	defer unix.Umask(unix.Umask(0o077))
	out, code, err := run(t, tree, ExecSpec{
		Argv: []string{"sh", "-c", script, "sh", "a b", "\xff"}, Env: []string{"A=x\xfe"}, Dir: "var/tmp",
		Hostname: "be-host", Extra: []Entry{grub},
	})
	require.NoError(t, err)
	require.Zero(t, code, out)
	resolv, err := os.ReadFile("/etc/resolv.conf")
	require.NoError(t, err)
	sysfs, err := filepath.Glob("/sys/fs/*")
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf(`host=be-host
pwd=/var/tmp
env=x%s/1
args=a b %s
root=bin boot dev etc lib lib64 proc root run sbin sys tmp usr var
run=lock systemd/resolve system
tmp=/dev/shm: /tmp:
one=tree
up=/../..: bin boot dev etc lib lib64 proc root run sbin sys tmp usr var /proc/1/root/..: tree
sysfs=%s
umask=0077 755 755 1777 1777 444
chrooted=yes
grub=grub.cfg
sys=1
sysctl=2
%d
1
/ /boot/grub /dev /proc /run /sys /tmp /usr
`, "\xfe", "\xff", strings.ReplaceAll(strings.Join(sysfs, " "), "/sys/fs/", ""), strings.Count(string(resolv), "\n")), dropLines(out, "shell=", "fd=", "total ", "/proc/1/fd:", "\n"))
	for line := range strings.Lines(out) {
		if fd, ok := strings.CutPrefix(strings.TrimSpace(line), "fd=/"); ok && fd != "" {
			require.True(t, fd == "dev/null" || strings.HasSuffix(fd, "/out"), "PID 1 has %q of the host open", fd)
		}
	}
	require.Equal(t, before, listing(t, root), "nothing is left in the tree")
}

func dropLines(text string, prefixes ...string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		keep := true
		for _, p := range prefixes {
			keep = keep && !strings.HasPrefix(line, p)
		}
		if keep {
			b.WriteString(line)
		}
	}
	return b.String()
}

func listing(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	require.NoError(t, filepath.Walk(root, func(name string, info os.FileInfo, err error) error {
		if err == nil {
			all = append(all, fmt.Sprintf("%s %v %d %v", name, info.Mode(), info.Size(), info.ModTime()))
		}
		return err
	}))
	return all
}

func TestExecReapsAndEnds(t *testing.T) {
	needRoot(t)
	tree := system(t)
	out := sh(t, tree, `
		(sleep 0.1 & sleep 0.1 &)
		sleep 0.4
		grep -l '^State:.Z' /proc/[0-9]*/status
		setsid sleep 4321.5 >/dev/null 2>&1 &
		trap '' TERM HUP
		echo done`)
	require.Equal(t, "done", out)
	require.Empty(t, processes(t, "4321.5"), "what the command left running ended with it")
	gone(t, tree[:1])
}

// processes is those whose command line has the word.
func processes(t *testing.T, word string) []string {
	t.Helper()
	var found []string
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, name := range lines {
		text, _ := os.ReadFile(name)
		if strings.Contains(string(text), word) {
			found = append(found, name)
		}
	}
	return found
}

func TestExecPipes(t *testing.T) {
	needRoot(t)
	in, w, err := os.Pipe()
	require.NoError(t, err)
	go func() {
		fmt.Fprint(w, "through")
		w.Close()
	}()
	out, code, err := run(t, system(t), ExecSpec{Argv: []string{"cat"}, Stdin: in})
	require.NoError(t, err)
	require.Zero(t, code)
	require.Equal(t, "through", out)
}

// What comes by a pipe, or by ssh, reaches a confined command; what it leaves is not
// to be read by others, as docs/upgrade.md says.
func TestConfinedScript(t *testing.T) {
	needRoot(t)
	for _, socket := range []bool{false, true} {
		in, w := line(t, socket)
		_, err := w.WriteString("one\ntwo\n")
		require.NoError(t, err)
		require.NoError(t, w.Close())
		for _, want := range []string{"got one\n", "got\n"} {
			out, code, err := run(t, system(t), ExecSpec{Confined: true, Argv: []string{"sh", "-c", "read a; echo got $a"}, Stdin: in})
			require.NoError(t, err)
			require.Zero(t, code)
			require.Equal(t, want, out)
		}
	}
}

func TestExecContext(t *testing.T) {
	needRoot(t)
	for _, confined := range []bool{false, true} {
		testContext(t, confined)
	}
}

func testContext(t *testing.T, confined bool) {
	t.Helper()
	tree := system(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	out, code, err := runContext(t, ctx, tree, ExecSpec{
		Confined: confined, Argv: []string{"sh", "-c", "trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done"}})
	require.NoError(t, err)
	require.Equal(t, 3, code)
	require.Equal(t, "bye\n", out)
	ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, code, err = runContext(t, ctx, tree, ExecSpec{
		Confined: confined, Argv: []string{"sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"}, Grace: 200 * time.Millisecond})
	require.NoError(t, err)
	require.Equal(t, 128+9, code)
	gone(t, tree[:1])
}

func TestExecSignals(t *testing.T) {
	needRoot(t)
	tree := system(t)
	for _, confined := range []string{"CONFINED=false", "CONFINED=true"} {
		for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGUSR1} {
			cmd := role(t, "exec", tree, confined, "CMD=trap 'exit 42' TERM HUP INT USR1; echo ready; while :; do sleep 0.05; done")
			cmd.SysProcAttr = newSession
			ready(t, cmd)
			require.NoError(t, cmd.Process.Signal(sig))
			_ = cmd.Wait()
			require.Equal(t, 42, cmd.ProcessState.ExitCode(), "%v, %s", sig, confined)
		}
	}
}

// Whenever snapbe is killed, nothing of the command is left.
func TestExecKilled(t *testing.T) {
	needRoot(t)
	tree := system(t)
	script := "setsid sleep 8765.4 & trap '' TERM INT HUP; echo ready; while :; do sleep 0.02; done"
	ours := func() []string {
		return slices.Concat(processes(t, "8765.4"), processes(t, childName), processes(t, confineName))
	}
	others := ours() // such as another run's
	t.Run("running", func(t *testing.T) {
		cmd := role(t, "exec", tree, "CMD="+script)
		ready(t, cmd)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		gone(t, tree[:1])
		require.Empty(t, processes(t, "8765.4"))
	})
	for i := range 80 {
		cmd := role(t, "exec", tree, "CMD="+script, fmt.Sprintf("CONFINED=%v", i%2 == 1))
		require.NoError(t, cmd.Start())
		time.Sleep(time.Duration(i/2) * time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		gone(t, tree[:1])
		require.Eventually(t, func() bool {
			return !slices.ContainsFunc(ours(), func(p string) bool { return !slices.Contains(others, p) })
		}, 10*time.Second, 20*time.Millisecond)
	}
}
