//go:build linux

package mount

import (
	"bytes"
	"fmt"
	"os"
	"os/exec" //nolint:depguard // the tests are their own programs
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// keyboard is the other side of a terminal on which a shell runs.
type keyboard struct {
	t    *testing.T
	ptmx *os.File
	// shell is the leader of its session.
	shell *os.Process
	mu    sync.Mutex
	seen  bytes.Buffer
	done  int
}

// shell starts an interactive shell on a new terminal. $EXEC runs the test
// program as snapbe exec.
func shell(t *testing.T, tree Tree, env ...string) *keyboard {
	t.Helper()
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	n, err := unix.IoctlGetInt(int(ptmx.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0))
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	self := role(t, "exec", tree, env...)
	cmd := exec.Command("bash", "--norc", "--noprofile", "-i")
	cmd.Env = append(self.Env, "EXEC="+self.Path, "PS1=host> ", "TERM=dumb", "MOUNT_TEST_ROLE=exec")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, cmd.Start())
	require.NoError(t, tty.Close())
	k := &keyboard{t: t, ptmx: ptmx, shell: cmd.Process}
	go k.listen()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		ptmx.Close()
	})
	k.expect("host> ")
	return k
}

func (k *keyboard) listen() {
	buf := make([]byte, 4096)
	for {
		n, err := k.ptmx.Read(buf)
		if err != nil {
			return
		}
		k.mu.Lock()
		k.seen.Write(buf[:n])
		k.mu.Unlock()
	}
}

// expect waits for a text after the one that was met last.
func (k *keyboard) expect(text string) {
	k.t.Helper()
	if !k.meets(text, 40*time.Second) {
		k.t.Fatalf("no %q in:\n%s", text, k.seen.String())
	}
}

func (k *keyboard) meets(text string, within time.Duration) bool {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		k.mu.Lock()
		rest := k.seen.String()[k.done:]
		i := strings.Index(rest, text)
		if i >= 0 {
			k.done += i + len(text)
		}
		k.mu.Unlock()
		if i >= 0 {
			return true
		}
	}
	return false
}

// insist presses a key until there is an answer: one that comes while a shell
// hands the terminal over may reach nobody.
func (k *keyboard) insist(key, text string) {
	k.t.Helper()
	for range 20 {
		k.press(key)
		if k.meets(text, 2*time.Second) {
			return
		}
	}
	k.t.Fatalf("no %q in:\n%s", text, k.seen.String())
}

func (k *keyboard) press(keys string) {
	k.t.Helper()
	_, err := k.ptmx.WriteString(keys)
	require.NoError(k.t, err)
}

const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
)

func TestTerminalStopAndInterrupt(t *testing.T) {
	needRoot(t)
	k := shell(t, system(t))
	k.press("CMD='echo run''ning; exec sleep 1000' $EXEC\n")
	k.expect("running")
	k.press(ctrlZ)
	k.expect("Stopped")
	k.expect("host> ")
	k.press("fg\n")
	k.expect("EXEC")
	k.insist(ctrlZ, "Stopped")
	k.expect("host> ")
	k.press("bg; sleep 0.3; jobs\n")
	k.expect("Running")
	k.expect("host> ")
	k.press("fg\n") // without SIGCONT, since the job runs
	k.expect("EXEC")
	k.insist(ctrlZ, "Stopped")
	k.expect("host> ")
	k.press("bg\n")
	k.expect("host> ")
	k.press("fg\n")
	k.expect("EXEC")
	k.insist(ctrlC, "host> ")
	k.press("echo code=$?\n")
	k.expect("code=130")
}

// Job control works in a shell inside, and the terminal comes back.
func TestTerminalShellInside(t *testing.T) {
	needRoot(t)
	k := shell(t, system(t))
	k.press("CMD='PS1=inside: exec bash --norc --noprofile -i' $EXEC\n")
	k.expect("inside:")
	k.press("sh -c 'echo on''e; exec sleep 1000'\n")
	k.expect("one\r\n")
	k.press(ctrlZ)
	k.expect("Stopped")
	k.press("kill %1; wait %1; echo wait=$?\n")
	k.expect("wait=")
	k.press("sh -c 'echo tw''o; exec sleep 1000'\n")
	k.expect("two\r\n")
	k.press(ctrlC)
	k.expect("inside:")
	k.press("echo int=$?; tty\n")
	k.expect("int=130")
	k.expect("/dev/pts/")
	k.press("exit 5\n")
	k.expect("host> ")
	k.press("echo code=$?; cat\n")
	k.expect("code=5")
	k.press("the host reads again\n")
	k.expect("the host reads again\r\nthe host reads again")
	k.press(ctrlC)
	k.expect("host> ")
}

// In a pipeline the command stays in the caller's process group, or it would
// take the terminal from the others.
func TestTerminalPipeline(t *testing.T) {
	needRoot(t)
	k := shell(t, system(t))
	k.press("CMD='read a; echo got-$a; exec sleep 1000' $EXEC | cat\n")
	time.Sleep(300 * time.Millisecond)
	k.press("line\n")
	k.expect("got-line")
	time.Sleep(300 * time.Millisecond) // while the shell forks to sleep it cannot be stopped
	k.press(ctrlZ)
	k.expect("Stopped")
	k.expect("host> ")
	k.press("fg\n")
	k.expect("cat")
	k.insist(ctrlC, "host> ")
	k.press("echo code=${PIPESTATUS[0]}\n")
	k.expect("code=130")
}

// A program that handles the keyboard's interrupt itself is not ended by it.
func TestTerminalInterruptHandled(t *testing.T) {
	needRoot(t)
	k := shell(t, system(t))
	k.press("CMD='trap \"echo caught\" INT; echo run''ning; while :; do read line; done' $EXEC\n")
	k.expect("running")
	for range 3 {
		k.press(ctrlC)
		k.expect("caught")
	}
	k.press(ctrlZ)
	k.expect("Stopped")
	k.press("kill -9 %1; fg\n")
	k.expect("Killed")
	k.expect("host> ")
}
