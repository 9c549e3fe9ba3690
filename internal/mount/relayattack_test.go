//go:build linux

package mount

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// line is a pipe or a pair of sockets, the end that is read first.
func line(t *testing.T, socket bool) (out, in *os.File) {
	t.Helper()
	var fds [2]int
	var err error
	if socket {
		fds, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	} else {
		err = unix.Pipe2(fds[:], unix.O_CLOEXEC)
	}
	require.NoError(t, err)
	out, in = os.NewFile(uintptr(fds[0]), "out"), os.NewFile(uintptr(fds[1]), "in") // both block
	t.Cleanup(func() { out.Close(); in.Close() })
	return out, in
}

// waiting is what can be read without waiting.
func waiting(t *testing.T, f *os.File) string {
	t.Helper()
	fd, buf, text := int(f.Fd()), make([]byte, 4096), ""
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 0); err != nil || n == 0 {
			return text
		}
		n, err := unix.Read(fd, buf)
		if err != nil || n == 0 {
			return text
		}
		text += string(buf[:n])
	}
}

func isBlocking(t *testing.T, f *os.File) bool {
	t.Helper()
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	require.NoError(t, err)
	return flags&unix.O_NONBLOCK == 0
}

// TestConfinedLines: a command cannot put words into the pipe or the socket from
// which the caller's shell reads its script, nor take those that were said in
// there before it, nor change how either is read.
func TestConfinedLines(t *testing.T) {
	needRoot(t)
	const inside = `
		{ echo injected >&0 || echo injected >/proc/self/fd/0; } 2>/dev/null
		timeout 0.5 head -c 4 <&1 >/dev/null 2>&1 || timeout 0.5 head -c 4 </proc/self/fd/1 >/dev/null
		perl -e 'use Fcntl; fcntl($_, F_SETFL, O_NONBLOCK) for *STDIN, *STDOUT, *STDERR'
		echo said`
	for _, socket := range []bool{false, true} {
		for _, confined := range []bool{true, false} {
			t.Run(fmt.Sprintf("socket=%v,confined=%v", socket, confined), func(t *testing.T) {
				script, scriptIn := line(t, socket)
				said, saidIn := line(t, socket)
				_, err := saidIn.WriteString("kept\n")
				require.NoError(t, err)
				if socket {
					_, err = said.WriteString("asked\n") // for whoever reads on the other side
					require.NoError(t, err)
				}
				code, err := Exec(t.Context(), system(t), ExecSpec{Confined: confined,
					Argv: []string{"sh", "-c", inside}, Stdin: script, Stdout: saidIn, Stderr: saidIn})
				require.NoError(t, err)
				assert.Zero(t, code)
				reader := script
				if socket {
					reader = scriptIn
				}
				injected, all := waiting(t, reader), waiting(t, said)
				asked := waitingSocket(t, saidIn, socket)
				if !confined {
					assert.Contains(t, injected, "injected", "the attack works where it can")
					assert.False(t, isBlocking(t, script))
					assert.NotEqual(t, "kept\nsaid\nasked\n", all+asked)
					return
				}
				assert.Empty(t, injected)
				assert.Equal(t, "kept\nsaid\n", all)
				if socket {
					assert.Equal(t, "asked\n", asked)
				}
				assert.True(t, isBlocking(t, script))
				assert.True(t, isBlocking(t, saidIn))
			})
		}
	}
}

func waitingSocket(t *testing.T, f *os.File, socket bool) string {
	t.Helper()
	if !socket {
		return ""
	}
	return waiting(t, f)
}

// TestConfinedReader: a command whose output nobody reads any more is ended by it.
func TestConfinedReader(t *testing.T) {
	needRoot(t)
	out, in := line(t, false)
	require.NoError(t, out.Close())
	code, err := execWithin(t, system(t), ExecSpec{Argv: []string{"yes"}, Stdout: in})
	require.NoError(t, err)
	assert.Equal(t, exitSignal+int(unix.SIGPIPE), code)
}

// execWithin runs a confined command that must be over soon.
func execWithin(t *testing.T, tree Tree, x ExecSpec) (int, error) {
	t.Helper()
	type result struct {
		code int
		err  error
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { null.Close() })
	x.Confined, x.Stdin, x.Stdout, x.Stderr = true, or(x.Stdin, null), or(x.Stdout, null), or(x.Stderr, null)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan result, 1)
	go func() {
		code, err := Exec(ctx, tree, x)
		done <- result{code, err}
	}()
	select {
	case r := <-done:
		return r.code, r.err
	case <-time.After(30 * time.Second):
		require.Fail(t, "the command is not over")
	}
	return 0, nil
}

// accomplice has a socket in the tree, as a zone that runs has one in the share, and
// keeps the descriptors that it is sent.
func accomplice(t *testing.T, tree Tree) <-chan []int {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path(tree[0].Dataset, "socket"), Net: "unix"})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	got := make(chan []int, 1)
	go func() {
		c, err := l.AcceptUnix()
		if err != nil {
			return
		}
		defer c.Close()
		oob := make([]byte, 1024)
		_, n, _, _, err := c.ReadMsgUnix(make([]byte, 1), oob)
		messages, parseErr := unix.ParseSocketControlMessage(oob[:n])
		if err != nil || parseErr != nil || len(messages) != 1 {
			return
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err == nil {
			got <- fds
		}
	}()
	return got
}

// sendFiles is the role that gives its standard files away.
func sendFiles() error {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: "/socket", Net: "unix"})
	if err != nil {
		return err
	}
	defer c.Close()
	_, _, err = c.WriteMsgUnix([]byte{0}, unix.UnixRights(0, 1, 2), nil)
	return err
}

func testProgram(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return "MOUNT_TEST_ROLE=send /test/" + filepath.Base(self)
}

// TestConfinedAccomplice: where a descriptor of the command has left the namespace,
// the end of the command is the end all the same, and all that it said is there.
func TestConfinedAccomplice(t *testing.T) {
	needRoot(t)
	tree := withTest(t)
	kept := accomplice(t, tree)
	stdin, stdinIn := line(t, false)
	go func() {
		for range 100 { // more than pipes hold
			if _, err := stdinIn.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	code, err := execWithin(t, tree, ExecSpec{Stdin: stdin, Stdout: out,
		Argv: []string{"sh", "-c", testProgram(t) + "; printf %060000d 1"}})
	fds := <-kept
	defer func() {
		for _, fd := range fds {
			shut(fd)
		}
		stdin.Close()
	}()
	require.NoError(t, err)
	assert.Zero(t, code)
	text, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintf("%060000d", 1), string(text))
}

// TestConfinedFlood: nor does an accomplice keep it from ending who writes all the
// time, or takes away what is to be read.
func TestConfinedFlood(t *testing.T) {
	needRoot(t)
	tree := withTest(t)
	kept := accomplice(t, tree)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		fds := <-kept
		for buf := make([]byte, 4096); ; {
			if _, err := unix.Write(fds[1], buf); err != nil {
				break
			}
		}
		for _, fd := range fds {
			shut(fd)
		}
	}()
	code, err := execWithin(t, tree, ExecSpec{Argv: []string{"sh", "-c", testProgram(t) + "; sleep 0.5"}})
	require.NoError(t, err)
	assert.Zero(t, code)
	<-stopped // by EPIPE: nothing of the relay is open any more
}

// TestConfinedTerminalKept: so it is with a terminal, and the caller's is as before.
func TestConfinedTerminalKept(t *testing.T) {
	needRoot(t)
	tree := withTest(t)
	kept := accomplice(t, tree)
	k := shell(t, tree, "CONFINED=true")
	k.press("stty -a >/dev/shm/$$; CMD='" + testProgram(t) + "; echo last wor''ds' $EXEC; echo code=$?\n")
	k.expect("last words")
	k.expect("code=0")
	k.press("stty -a | cmp - /dev/shm/$$ && echo sa''me; rm /dev/shm/$$\n")
	k.expect("same")
	for _, fd := range <-kept {
		shut(fd)
	}
}

// TestConfinedFull: what the command said and cannot be written is told.
func TestConfinedFull(t *testing.T) {
	needRoot(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	_, err = execWithin(t, system(t), ExecSpec{Argv: []string{"echo", "hi"}, Stdout: full})
	require.ErrorContains(t, err, "no space left on device")
	code, err := execWithin(t, system(t), ExecSpec{Argv: []string{"sh", "-c", "echo hi; exit 3"}, Stdout: full})
	require.NoError(t, err, "its own code counts")
	assert.Equal(t, 3, code)
	// It is taken all the same: the command does not wait.
	_, err = execWithin(t, system(t), ExecSpec{Argv: []string{"sh", "-c", "yes | head -c 1000000"}, Stdout: full})
	require.Error(t, err)
}
