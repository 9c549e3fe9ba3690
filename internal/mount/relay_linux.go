package mount

import (
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// stdio is standard input, output and error.
type stdio [3]*os.File

// relay stands between a confined command and the caller's standard files. Who
// has a file open can open it once more by /proc/self/fd, to write to what was
// to be read, or change its mode; and who has a terminal can type on it
// (TIOCSTI). A pipe is no better: what is written to one that a shell reads its
// script from, the shell runs. So the command gets pipes of its own, and a terminal
// of its own in the place of the caller's.
type relay struct {
	// inner is what the command gets.
	inner stdio
	// terminals is a mount of the command's own terminals.
	terminals *os.File
	// given is what this process closes once the command has it, kept what is
	// open until the end.
	given, kept []*os.File
	// copies copy what is said, in either direction.
	copies  []func() error
	running errgroup.Group
	// over is at its end once stop is closed: the command has ended.
	over, stop *os.File
	// terminal is the one that is copied, nil where none is.
	terminal *copiedTerminal
	// escape is met when the user wants an end to it.
	escape *escapeKeys
}

// newRelay makes what the command gets, but copies nothing yet. t then has
// nothing to do with the terminal any more.
func newRelay(std stdio, t *terminal) (*relay, error) {
	over, stop, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	r := &relay{over: over, stop: stop, kept: []*os.File{over}, escape: newEscapeKeys()}
	if err := r.open(std, t.mode == ownTerminal); err != nil {
		_ = r.end() // nothing was said
		return nil, err
	}
	t.close()
	t.mode = relayedTerminal
	return r, nil
}

func (r *relay) open(std stdio, terminal bool) error {
	fd, err := newFS("devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "mode=0620", "gid=5", "ptmxmode=0666")
	if err != nil {
		return fmt.Errorf("new terminals: %w", err)
	}
	r.terminals = os.NewFile(uintptr(fd), "devpts")
	r.given = append(r.given, r.terminals)
	if terminal {
		if err := r.openTerminal(std); err != nil {
			return fmt.Errorf("new terminal: %w", err)
		}
	}
	return r.openPipes(std)
}

// openPipes makes pipes in the place of all files that are not the terminal.
func (r *relay) openPipes(std stdio) error {
	for i, f := range std {
		switch {
		case r.inner[i] != nil:
			continue
		case i == 2 && sameFile(f, std[1]):
			r.inner[2] = r.inner[1] // so that the order of what is said stays
			continue
		}
		out, in, err := os.Pipe()
		if err != nil {
			return err
		}
		// A copy that is done closes its end: the other one is told by that.
		if i == 0 {
			r.inner[0], r.given, r.kept = out, append(r.given, out), append(r.kept, in)
			r.copies = append(r.copies, func() error { defer in.Close(); return r.feed(in, f, nil) })
		} else {
			r.inner[i], r.given, r.kept = in, append(r.given, in), append(r.kept, out)
			r.copies = append(r.copies, func() error { defer out.Close(); return r.drain(f, out) })
		}
	}
	return nil
}

func sameFile(f, g *os.File) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := g.Stat()
	return err == nil && os.SameFile(a, b)
}

// begin copies, once the command's first process has what it gets.
func (r *relay) begin() {
	for _, f := range r.given {
		f.Close()
	}
	r.given = nil
	if r.terminal != nil {
		r.terminal.begin()
	}
	for _, f := range r.copies {
		r.running.Go(f)
	}
}

// end copies the rest of what the command, which has ended or was not started, has
// said. It tells what could not be written.
func (r *relay) end() error {
	r.stop.Close()
	lost := r.running.Wait()
	if r.terminal != nil {
		r.terminal.end()
	}
	for _, f := range append(r.given, r.kept...) {
		f.Close() // some a second time
	}
	return lost
}
