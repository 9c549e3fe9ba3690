//go:build linux

package mount

import (
	"os/exec" //nolint:depguard // the tests are their own programs
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const stubborn = `trap "" TERM HUP INT QUIT; echo ready; while :; do sleep 0.05; done`

// stubbornly runs such a command, with a grace that is soon over.
func stubbornly(t *testing.T, tree Tree, confined string) *exec.Cmd {
	t.Helper()
	cmd := role(t, "exec", tree, confined, "GRACE=300ms", "CMD="+stubborn)
	cmd.SysProcAttr = newSession
	ready(t, cmd)
	return cmd
}

func endsWithin(cmd *exec.Cmd, limit time.Duration) bool {
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return true
	case <-time.After(limit):
		return false
	}
}

// TestConfinedMustEnd: where snapbe is told to end, a command in a zone ends whether
// it wants or not; the host's own decides for itself, and Ctrl-C is for each to take.
func TestConfinedMustEnd(t *testing.T) {
	needRoot(t)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGHUP} {
		tree := system(t)
		cmd := stubbornly(t, tree, "CONFINED=true")
		require.NoError(t, cmd.Process.Signal(sig))
		require.True(t, endsWithin(cmd, 30*time.Second), "%v", sig)
		assert.Equal(t, exitSignal+int(unix.SIGKILL), cmd.ProcessState.ExitCode())
		gone(t, tree[:1])
	}
	for confined, sig := range map[string]unix.Signal{"CONFINED=true": unix.SIGINT, "CONFINED=false": unix.SIGTERM} {
		cmd := stubbornly(t, system(t), confined)
		require.NoError(t, cmd.Process.Signal(sig))
		assert.False(t, endsWithin(cmd, 2*time.Second), confined)
	}
}

// TestConfinedHangup: so it is where the connection is lost that it was started by.
func TestConfinedHangup(t *testing.T) {
	needRoot(t)
	tree := system(t)
	k := shell(t, tree, "CONFINED=true", "GRACE=300ms")
	k.press("CMD='" + stubborn + "' $EXEC\n")
	k.expect("ready")
	require.NoError(t, k.shell.Kill())
	gone(t, tree[:1])
}

const ctrlBracket = "\x1d"

// TestConfinedEscape: at the keyboard, three ^] within a second end what runs,
// whatever it makes of its input, and the terminal is as before.
func TestConfinedEscape(t *testing.T) {
	needRoot(t)
	for name, cmd := range map[string]string{
		"ignores signals": stubborn,
		"is stopped":      "echo ready; kill -STOP $$",
		"takes the keys":  "stty raw -echo; echo ready; exec cat >/dev/null",
		"does not read":   "stty raw -echo; echo ready; exec sleep 1000",
	} {
		t.Run(name, func(t *testing.T) {
			tree := system(t)
			k := shell(t, tree, "CONFINED=true", "CMD="+cmd)
			k.press("stty -a >/dev/shm/$$; $EXEC; echo code=$?\n")
			k.expect("ready")
			k.press(strings.Repeat("x", 200<<10)) // more than a terminal holds
			k.press(ctrlBracket + ctrlBracket)
			time.Sleep(escapeWithin + 200*time.Millisecond)
			k.press(ctrlBracket + "x" + ctrlBracket + ctrlBracket)
			require.False(t, k.meets("code=", time.Second), "that is not three")
			time.Sleep(escapeWithin)
			k.press(ctrlBracket)
			k.press(ctrlBracket)
			k.press(ctrlBracket)
			k.expect("code=130")
			k.press("stty -a | cmp - /dev/shm/$$ && echo sa''me; rm /dev/shm/$$\n")
			k.expect("same")
			gone(t, tree[:1])
		})
	}
}
