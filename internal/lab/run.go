package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// runTimeout bounds every command in the guest.
const runTimeout = 8 * time.Minute

// Run runs a shell command in the guest as root and returns its output, stdout
// and stderr as they came. The error is non-nil where the command could not be
// run, its connection broke, or it did not exit with 0; see [ExitCode].
func (m *Machine) Run(command string) (string, error) {
	return m.RunInput(nil, command)
}

// RunInput is Run with something to read on stdin.
func (m *Machine) RunInput(stdin io.Reader, command string) (string, error) {
	var out lockedBuffer
	err := m.run(command, stdin, &out, &out)
	return out.String(), err
}

// Output is Run with stdout alone; stderr becomes part of the error.
func (m *Machine) Output(command string) (string, error) {
	var stdout, stderr lockedBuffer
	err := m.run(command, nil, &stdout, &stderr)
	if err != nil {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), err
}

// MustRun is Run, and fails the test where that returns an error.
func (m *Machine) MustRun(command string) string {
	t := m.tb()
	t.Helper()
	out, err := m.Run(command)
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

// Copy puts a local file into the guest, whole or not at all, with that mode.
func (m *Machine) Copy(local, remote string, mode os.FileMode) {
	t := m.tb()
	t.Helper()
	data, err := os.ReadFile(local)
	if err != nil {
		t.Fatalf("cannot copy to the guest: %v", err)
	}
	m.Write(remote, data, mode)
}

// Write puts data into a file of the guest, whole or not at all, with that
// mode. Its directory is made where it is missing.
func (m *Machine) Write(remote string, data []byte, mode os.FileMode) {
	t := m.tb()
	t.Helper()
	command := fmt.Sprintf("f=%s; mkdir -p \"${f%%/*}/\" && cat >\"$f.part\" && chmod %o \"$f.part\" && mv -f \"$f.part\" \"$f\"",
		quote(remote), mode.Perm())
	if out, err := m.RunInput(bytes.NewReader(data), command); err != nil {
		t.Fatalf("cannot copy to %q: %v\n%s", remote, err, out)
	}
}

// Fetch returns the content of a file in the guest.
func (m *Machine) Fetch(remote string) []byte {
	t := m.tb()
	t.Helper()
	out, err := m.Output("cat " + quote(remote))
	if err != nil {
		t.Fatalf("cannot fetch %q: %v", remote, err)
	}
	return []byte(out)
}

// ExitCode is the exit status behind an error of Run: 0 for nil, -1 where
// there is none because the connection broke or the command was killed.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	var exit *ssh.ExitError
	if errors.As(err, &exit) && exit.Signal() == "" {
		return exit.ExitStatus()
	}
	return -1
}

func (m *Machine) run(command string, stdin io.Reader, stdout, stderr io.Writer) error {
	l, session, err := m.session()
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	session.Stdin = stdin
	session.Stdout = stdout
	session.Stderr = stderr
	if err := session.Start(command); err != nil {
		m.drop(l)
		return err
	}
	done := make(chan error, 1)
	go func() { done <- session.Wait() }()
	select {
	case err = <-done:
	case <-l.proc.done:
		err = errors.New("the guest has ended")
	case <-time.After(scaled(runTimeout)):
		err = fmt.Errorf("no end after %v", scaled(runTimeout))
	}
	if ExitCode(err) < 0 {
		m.drop(l)
	}
	return err
}

// session opens a session, over a new connection where the old one is broken.
func (m *Machine) session() (*link, *ssh.Session, error) {
	var err error
	for range 3 {
		var l *link
		if l, err = m.dial(); err != nil {
			time.Sleep(scaled(500 * time.Millisecond))
			continue
		}
		var session *ssh.Session
		if session, err = l.client.NewSession(); err == nil {
			return l, session, nil
		}
		m.drop(l)
	}
	return nil, nil, fmt.Errorf("ssh: %w", err)
}

// quote makes s one word of the shell.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// lockedBuffer takes stdout and stderr, which arrive side by side.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
