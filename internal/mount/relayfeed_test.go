//go:build linux

package mount

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// pty is a terminal that nobody controls: its own side first.
func pty(t *testing.T) (ptmx, tty *os.File) {
	t.Helper()
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { ptmx.Close() })
	n, err := unix.IoctlGetInt(int(ptmx.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0))
	fd, err := unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	tty = os.NewFile(uintptr(fd), "tty") // it blocks
	t.Cleanup(func() { tty.Close() })
	return ptmx, tty
}

// TestConfinedInputWaits: a command's end does not wait for input, not even for the
// rest of some that is there: a read of it can wait where poll(2) says that there is
// something, as it does where another process was faster.
func TestConfinedInputWaits(t *testing.T) {
	needRoot(t)
	t.Run("terminal", func(t *testing.T) {
		ptmx, tty := pty(t)
		modes, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
		require.NoError(t, err)
		modes.Lflag &^= unix.ICANON | unix.ECHO
		modes.Cc[unix.VMIN], modes.Cc[unix.VTIME] = 2, 255 // wait 25 seconds for the second byte
		require.NoError(t, unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, modes))
		endsWithInput(t, tty, ptmx)
	})
	t.Run("socket", func(t *testing.T) {
		out, in := line(t, true)
		require.NoError(t, unix.SetsockoptInt(int(out.Fd()), unix.SOL_SOCKET, unix.SO_RCVLOWAT, 2))
		endsWithInput(t, out, in)
	})
}

func endsWithInput(t *testing.T, stdin, keyboard *os.File) {
	t.Helper()
	_, err := keyboard.WriteString("x")
	require.NoError(t, err)
	began := time.Now()
	said, stdout := line(t, false)
	code, err := execWithin(t, system(t), ExecSpec{Stdin: stdin, Stdout: stdout, Argv: []string{"head", "-c", "1"}})
	require.NoError(t, err)
	assert.Zero(t, code)
	assert.Less(t, time.Since(began), 20*time.Second)
	assert.Equal(t, "x", waiting(t, said))
	assert.True(t, isBlocking(t, stdin))
	_, err = keyboard.WriteString("yz")
	require.NoError(t, err)
	assert.Equal(t, "yz", waiting(t, stdin), "what comes afterwards is for others")
}
