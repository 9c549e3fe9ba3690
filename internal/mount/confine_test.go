//go:build linux

package mount

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// withTest is a tree like system's in which the test program is too.
func withTest(t *testing.T, files ...string) Tree {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return append(system(t, append(files, "test/", "mnt/")...),
		Entry{Dataset: "dir:" + filepath.Dir(self), Dir: "test", ReadOnly: true})
}

// play has the test program play a role in the tree.
func play(t *testing.T, tree Tree, confine bool, role string, env ...string) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	out, code, err := run(t, tree, ExecSpec{Confined: confine, Argv: []string{"/test/" + filepath.Base(self)},
		Env: append(env, "MOUNT_TEST_ROLE="+role, "PATH="+defaultPath)})
	require.NoError(t, err)
	require.Zero(t, code, out)
	return out
}

// TestConfined: root in the tree gets at nothing outside, in any of the ways
// there are.
func TestConfined(t *testing.T) {
	needRoot(t)
	outside := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(outside, []byte(secret), 0o600))
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, outside, 0)
	require.NoError(t, err)
	var disk unix.Stat_t
	require.NoError(t, unix.Stat(outside, &disk))
	env := []string{
		fmt.Sprintf("DISK=%d", disk.Dev), fmt.Sprintf("HOST_PID=%d", os.Getpid()),
		fmt.Sprintf("HANDLE=%s %d", hex.EncodeToString(handle.Bytes()), handle.Type()),
	}
	hostname, err := os.Hostname()
	require.NoError(t, err)
	limit, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	require.NoError(t, err)
	for _, confine := range []bool{true, false} {
		tree := withTest(t)
		require.NoError(t, unix.Mknod(path(tree[0].Dataset, "device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 9))))
		if confine {
			assert.Equal(t, "tried all\n", play(t, tree, true, "hostile", env...))
			continue
		}
		out := play(t, tree, false, "hostile", append(env, "PLAIN=1")...)
		assert.NotRegexp(t, `: [^<]`, out, "what the test tries would work")
		assert.Contains(t, out, "make a block device: <nil>")
	}
	after, err := os.Hostname()
	require.NoError(t, err)
	assert.Equal(t, hostname, after)
	now, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	require.NoError(t, err)
	assert.Equal(t, string(limit), string(now), "the host may make user namespaces still")
	status := []string{"grep", "-h", "^CapEff:", "/proc/1/status", "/proc/self/status"}
	out, _, err := run(t, system(t), ExecSpec{Confined: true, Argv: status})
	require.NoError(t, err)
	assert.Equal(t, "CapEff:\t0000000000000000\nCapEff:\t00000000800401fb\n", out)
	assert.NoDirExists(t, "/sys/fs/cgroup/made")
	assert.NoFileExists(t, "/dev/made")
}

// TestConfinedChroot: who leaves a chroot inside, in the classical way, is in the
// tree still.
func TestConfinedChroot(t *testing.T) {
	needRoot(t)
	tree := withTest(t, "marker", "jail/")
	var own unix.Stat_t
	require.NoError(t, unix.Stat(path(tree[0].Dataset), &own))
	assert.Equal(t, fmt.Sprintf("%d marker\n", own.Ino), play(t, tree, true, "chroot"))
	assert.NotContains(t, play(t, tree, false, "chroot"), "marker", "the attempt leads out of what is only chrooted")
}

// TestConfinedFiles: nothing of the caller's is open in the command, neither what it
// was started with nor the files that it reads and writes.
func TestConfinedFiles(t *testing.T) {
	needRoot(t)
	for _, confine := range []bool{true, false} {
		dir := t.TempDir()
		open := func(name, text string) *os.File {
			f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
			require.NoError(t, err)
			_, err = f.WriteString(text)
			require.NoError(t, err)
			t.Cleanup(func() { f.Close() })
			return f
		}
		in, out, kept := open("in", "a line\n"), open("out", "before\n"), open("kept", secret)
		_, err := in.Seek(0, 0)
		require.NoError(t, err)
		cmd := role(t, "exec", system(t), fmt.Sprintf("CONFINED=%v", confine), "A_TOKEN="+secret, `CMD=
			cat
			echo said; echo and complained >&2
			chmod 777 /proc/self/fd/[012]
			echo changed >/proc/self/fd/0
			cat /proc/self/fd/1 >/dev/null 2>&1 &
			head -c 100 /proc/self/fd/3 2>/dev/null
			echo $A_TOKEN`)
		cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = in, out, out, []*os.File{kept}
		require.NoError(t, cmd.Run())
		info, err := in.Stat()
		require.NoError(t, err)
		text, err := os.ReadFile(in.Name())
		require.NoError(t, err)
		said, err := os.ReadFile(out.Name())
		require.NoError(t, err)
		if confine {
			assert.Equal(t, os.FileMode(0o600), info.Mode())
			assert.Equal(t, "a line\n", string(text))
			assert.Equal(t, "before\na line\nsaid\nand complained\n\n", string(said))
		} else {
			assert.Equal(t, os.FileMode(0o777), info.Mode(), "the test can see it")
			assert.Equal(t, "changed\n", string(text))
			assert.Equal(t, 1, strings.Count(string(said), secret+"\n"))
		}
	}
	null, err := os.Stat(os.DevNull)
	require.NoError(t, err)
	out, _, err := run(t, system(t), ExecSpec{Confined: true, Argv: []string{"sh", "-c", "cat; chmod 600 /proc/self/fd/0 /dev/null"}})
	require.NoError(t, err)
	assert.Empty(t, out)
	after, err := os.Stat(os.DevNull)
	require.NoError(t, err)
	assert.Equal(t, null.Mode(), after.Mode())
}

// TestConfinedProgram: the program of snapbe, which is that of PID 1, cannot be
// changed, not even by a tree that has it executed as its own.
func TestConfinedProgram(t *testing.T) {
	needRoot(t)
	self, err := os.Executable()
	require.NoError(t, err)
	before, err := os.Stat(self)
	require.NoError(t, err)
	tree := system(t, "link -> /proc/self/exe")
	require.NoError(t, os.WriteFile(path(tree[0].Dataset, "script"), []byte("#!/proc/self/exe\n"), 0o755))
	out, code, err := run(t, tree, ExecSpec{Confined: true, Argv: []string{"/script"}, Env: []string{"MOUNT_TEST_ROLE=program"}})
	require.NoError(t, err)
	require.Zero(t, code, out)
	assert.Equal(t, "chmod /proc/self/exe: read-only file system\n", out)
	after, err := os.Stat(self)
	require.NoError(t, err)
	assert.Equal(t, before.Mode(), after.Mode())
	_, code, err = run(t, tree, ExecSpec{Confined: true, Argv: []string{"/link"}})
	require.NoError(t, err)
	assert.Equal(t, ExitNotFound, code)
}

// TestConfinedSockets: sockets of the host that have no place in the file system
// are not reached, where the kernel can keep the command from them.
func TestConfinedSockets(t *testing.T) {
	needRoot(t)
	name := fmt.Sprintf("@snapbe-test-%d", os.Getpid())
	l, err := net.Listen("unix", name)
	require.NoError(t, err)
	defer l.Close()
	assert.Equal(t, "<nil>\n", play(t, withTest(t), false, "dial", "SOCKET="+name))
	if landlock() < scopes {
		t.Skip("the kernel has no Landlock that scopes sockets")
	}
	assert.Contains(t, play(t, withTest(t), true, "dial", "SOCKET="+name), "operation not permitted")
}

// TestConfinedWorks: what package managers and maintainer scripts do, as root and
// as other users.
func TestConfinedWorks(t *testing.T) {
	needRoot(t)
	tree := withTest(t)
	root := path(tree[0].Dataset)
	assert.Equal(t, "worked\n", play(t, tree, true, "work"))
	var stat unix.Stat_t
	require.NoError(t, unix.Stat(root+"/owned", &stat))
	assert.Equal(t, []uint32{1234, 4321, unix.S_IFREG | 0o4750}, []uint32{stat.Uid, stat.Gid, stat.Mode})
	caps := make([]byte, 64)
	n, err := unix.Getxattr(root+"/owned", "security.capability", caps)
	require.NoError(t, err)
	assert.Equal(t, capable, caps[:n], "as root of the host sees it")
	require.NoError(t, unix.Lstat(root+"/fifo", &stat))
	assert.Equal(t, uint32(unix.S_IFIFO|0o600), stat.Mode)
	gone(t, tree[:1])
}
