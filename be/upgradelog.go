package be

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// logLimit bounds the log of a target, in bytes: what runs in a zone must not
	// fill the host's disk.
	logLimit = 64 << 20
	// lastLines are shown of a log where the target failed, from lastBytes of it.
	lastLines, lastBytes = 5, 8 << 10
	// lastWords is how long the rest of what a command said may take to be written.
	lastWords = 10 * time.Second
)

// logDir is the directory of a BE's logs.
type logDir struct {
	root *os.Root
	name string
}

func (l *logDir) Close() error { return l.root.Close() }

func (l *logDir) path(name string) string { return filepath.Join(l.name, name) }

// logName is the target's log. A zone may be called host.
func (t UpgradeTarget) logName() string {
	switch t.Zone {
	case "":
		return "host.log"
	case "host":
		return "host@zone.log" // a name that no other zone can have
	}
	return t.Zone + ".log"
}

// upgradeLogs opens the directory that a BE's logs go to, and makes it. Others
// than root may write where logs are: what they have put there is not used.
func (m *Manager) upgradeLogs(b BE) (*logDir, error) {
	up, name := filepath.Dir(m.sys.LogDir), "upgrade-"+b.Name
	if err := os.MkdirAll(up, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(up)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{filepath.Base(m.sys.LogDir), name} {
		next, err := ownDir(root, dir)
		root.Close()
		if err != nil {
			return nil, err
		}
		root = next
	}
	return &logDir{root, filepath.Join(m.sys.LogDir, name)}, root.Chmod(".", 0o700)
}

// ownDir opens a directory that only its owner can write to, and that is the
// caller's; it is made where it is missing.
func ownDir(up *os.Root, name string) (*os.Root, error) {
	if err := up.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	dir, err := up.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	info, err := dir.Stat(".")
	if err == nil {
		st, ok := info.Sys().(*syscall.Stat_t)
		if ok && int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
			err = fmt.Errorf("%s: others can write to it", dir.Name())
		}
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

// create makes a new log in the place of an old one.
func (l *logDir) create(name string) (*os.File, error) {
	if err := l.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return l.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// execLogged runs a target's command; last are the last lines of what it said,
// and note tells of a log that is not whole.
func (m *Manager) execLogged(ctx context.Context, logs *logDir, t *UpgradeTarget) (code int, last []string, note string, err error) {
	f, err := logs.create(t.logName())
	if err != nil {
		return 0, nil, "", err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return 0, nil, "", errors.Join(err, f.Close())
	}
	defer out.Close()
	x := t.spec
	x.Argv = []string{"sh", "-c", t.Command}
	if x.Stdin, err = os.Open(os.DevNull); err != nil {
		return 0, nil, "", errors.Join(err, in.Close(), f.Close())
	}
	defer x.Stdin.Close()
	x.Stdout, x.Stderr = in, in
	said := &tee{to: f, left: logLimit}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(said, out)
		copied <- err
	}()
	code, err = m.sys.Host.Exec(ctx, t.tree, x)
	in.Close()
	// All is in the pipe now, and the pipe is at its end, unless someone has kept it.
	_ = out.SetReadDeadline(time.Now().Add(lastWords)) // pipes have deadlines
	if lost := errors.Join(<-copied, said.err, f.Close()); lost != nil {
		note = fmt.Sprintf("the log %s is not whole: %v", t.Log, lost)
	}
	return code, said.last(), note, err
}

// tee writes a log up to its limit, and keeps the end of all that was said. It
// takes what it is given whatever becomes of the log, or the command would wait.
type tee struct {
	to   io.Writer
	left int
	err  error
	end  []byte
}

func (t *tee) Write(p []byte) (int, error) {
	if n := min(len(p), t.left); n > 0 {
		t.left -= n
		_, err := t.to.Write(p[:n])
		if n < len(p) {
			err = errors.Join(err, fmt.Errorf("more than %d MiB were said", logLimit>>20))
		}
		if t.err == nil {
			t.err = err
		}
	}
	t.end = append(t.end, p...)
	if len(t.end) > 2*lastBytes {
		t.end = bytes.Clone(t.end[len(t.end)-lastBytes:])
	}
	return len(p), nil
}

func (t *tee) last() (lines []string) {
	text := strings.TrimSpace(string(t.end[max(0, len(t.end)-lastBytes):]))
	if text == "" {
		return nil
	}
	lines = strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-lastLines):]
	for i, line := range lines { // what shows of a line that was written over
		line = strings.TrimRight(line, "\r")
		lines[i] = line[strings.LastIndex(line, "\r")+1:]
	}
	return lines
}
