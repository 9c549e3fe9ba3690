package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// consoleFile is the name of the console's log in a machine's directory.
const consoleFile = "console.log"

// Keys that GRUB's menu understands, for [Machine.Send].
const (
	KeyUp     = "\x1b[A"
	KeyDown   = "\x1b[B"
	KeyEnter  = "\r"
	KeyEscape = "\x1b"
)

// console is the output of a machine's serial port over all its starts.
type console struct {
	mu   sync.Mutex
	log  *os.File // as it came
	raw  bytes.Buffer
	text strings.Builder
	esc  escape
	next int // where Expect looks from
}

func newConsole(path string) (*console, error) {
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &console{log: log}, nil
}

// Write takes the serial port's output.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range p {
		c.esc.plain(&c.text, b)
	}
	c.raw.Write(p)
	// A log that cannot be written must not stop the machine.
	_, _ = c.log.Write(p)
	return len(p), nil
}

func (c *console) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.log.Close()
}

// keep writes what came to where it outlives the test, and returns that path.
func (c *console) keep(test string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	dir := os.Getenv("SNAPBE_LAB_LOGS")
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "snapbe-lab")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	name := strings.ReplaceAll(test, "/", "-")
	file := filepath.Join(dir, fmt.Sprintf("%s-%s.log", name, time.Now().Format("150405.000")))
	return file, os.WriteFile(file, c.raw.Bytes(), 0o644)
}

func (c *console) all() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// tail is the end of the text, for messages.
func (c *console) tail() string {
	lines := strings.Split(strings.TrimSpace(c.all()), "\n")
	lines = lines[max(0, len(lines)-25):]
	return "the console's last lines:\n" + strings.Join(lines, "\n")
}

func (c *console) skip() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = c.text.Len()
}

// find matches what has come since the last match, and moves behind it.
func (c *console) find(re *regexp.Regexp) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := c.text.String()[c.next:]
	at := re.FindStringSubmatchIndex(rest)
	if at == nil {
		return nil
	}
	c.next += at[1]
	return re.FindStringSubmatch(rest)
}

// Console is everything the machine has written to its serial port so far,
// over all its starts, as plain text: without colours, and with a new line
// where GRUB moves the cursor to another row.
func (m *Machine) Console() string { return m.console.all() }

// SkipConsole has Expect ignore what has been written so far.
func (m *Machine) SkipConsole() { m.console.skip() }

// Expect waits for text on the console that matches the regular expression,
// from where the last match ended, and returns the match and its groups. The
// selected line of GRUB's menu begins with "*".
func (m *Machine) Expect(expression string, timeout time.Duration) []string {
	t := m.tb()
	t.Helper()
	re, err := regexp.Compile(expression)
	if err != nil {
		t.Fatalf("cannot expect %q: %v", expression, err)
	}
	deadline := time.Now().Add(scaled(timeout))
	for {
		if match := m.console.find(re); match != nil {
			return match
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %q on the console after %v; %s", expression, scaled(timeout), m.console.tail())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Send types on the serial console.
func (m *Machine) Send(keys string) {
	t := m.tb()
	t.Helper()
	m.mu.Lock()
	p := m.proc
	m.mu.Unlock()
	if p == nil {
		t.Fatalf("cannot send %q: the machine is powered off", keys)
	}
	if _, err := p.console.Write([]byte(keys)); err != nil {
		t.Fatalf("cannot send %q: %v", keys, err)
	}
}
