//go:build linux

package mount

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A confined shell has a terminal of its own, on which job control works, and the
// caller's is as before when it ends.
func TestConfinedTerminal(t *testing.T) {
	needRoot(t)
	k := shell(t, system(t), "CONFINED=true")
	size := unix.Winsize{Row: 33, Col: 77}
	require.NoError(t, unix.IoctlSetWinsize(int(k.ptmx.Fd()), unix.TIOCSWINSZ, &size))
	k.press("stty -a | sum; CMD='PS1=inside: exec bash --norc --noprofile -i' $EXEC; stty -a | sum\n")
	k.expect("inside:")
	k.press("tty; stty size; : </dev/tty && echo open''ed\n")
	k.expect("/dev/pts/0")
	k.expect("33 77")
	k.expect("opened")
	size.Col = 111
	require.NoError(t, unix.IoctlSetWinsize(int(k.ptmx.Fd()), unix.TIOCSWINSZ, &size))
	k.insist("stty size\n", "33 111")
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
	k.press("echo int=$?\n")
	k.expect("int=130")
	k.press("exit 5\n")
	k.expect("host> ")
	k.press("echo code=$?; cat\n")
	k.expect("code=0")
	k.press("the host reads again\n")
	k.expect("the host reads again\r\nthe host reads again")
	k.press(ctrlC)
	k.expect("host> ")
}

// The keyboard's interrupt ends a confined command, and its code says so.
func TestConfinedInterrupt(t *testing.T) {
	needRoot(t)
	k := shell(t, system(t), "CONFINED=true")
	k.press("CMD='echo run''ning; exec sleep 1000' $EXEC; echo code=$?\n")
	k.expect("running")
	k.press(ctrlC)
	k.expect("code=130")
	// Where only one end of the pipeline is the terminal too.
	for _, line := range []string{"$EXEC | cat", "echo | $EXEC"} {
		k.expect("host> ")
		k.press("export CMD='echo run''ning; sleep 1000'; " + line + "\n")
		k.expect("running")
		// A shell that has forked and not yet executed drops the signal.
		for tries := 0; tries < 10; tries++ {
			k.press(ctrlC)
			if k.meets("host> ", 5*time.Second) {
				break
			}
		}
		k.press("echo go''ing\n")
		k.expect("going")
	}
}

// What runs confined cannot type on the caller's terminal, which a shell reads
// next.
func TestConfinedTyping(t *testing.T) {
	needRoot(t)
	tree := system(t)
	require.NoError(t, os.WriteFile(path(tree[0].Dataset, "type"), []byte(`
		for my $f (*STDIN, *STDERR) { ioctl($f, 0x5412, $_) for split //, "echo ty''ped\n" }
		print "tri" . "ed\n"`), 0o600))
	for _, line := range []string{"$EXEC", "$EXEC | cat", "echo | $EXEC"} {
		k := shell(t, tree, "CONFINED=true")
		k.press("export CMD='perl /type'; " + line + "\n")
		k.expect("tried\r\n")
		k.expect("host> ")
		require.False(t, k.meets("typed", time.Second), line)
	}
	k := shell(t, tree)
	k.press("export CMD='perl /type'; $EXEC\n")
	k.expect("tried\r\n")
	k.expect("typed\r\n") // or the test shows nothing
}

// In the background a confined command does not read what is typed for others, and
// is not stopped for it.
func TestConfinedBackground(t *testing.T) {
	needRoot(t)
	k := shell(t, system(t), "CONFINED=true")
	k.press("CMD='sleep 2; echo do''ne' $EXEC &\n")
	k.expect("host> ")
	k.press("echo he''re; jobs\n")
	k.expect("here")
	k.expect("Running")
	k.expect("done")
}
