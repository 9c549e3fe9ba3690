package mount

import (
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
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
	// inner is what the command gets; ours is what this process then closes.
	inner stdio
	ours  []*os.File
	// terminals is a mount of the command's own terminals.
	terminals *os.File
	// program is a mount of this program that nothing can be written through.
	program *os.File
	// copies copy what is said, in either direction.
	copies  []func() error
	running errgroup.Group
	// A copy of the input ends when stop is closed.
	awake, stop *os.File
	// keyboard is the caller's terminal that is copied, nil where none is, ptmx
	// the other side of the command's.
	keyboard, ptmx *os.File
	before         *term.State
	winch          chan os.Signal
}

// newRelay makes what the command gets, but copies nothing yet. t then has
// nothing to do with the terminal any more.
func newRelay(std stdio, t *terminal) (r *relay, err error) {
	r = &relay{}
	defer func() {
		if err != nil {
			_ = r.end() // nothing was said
		}
	}()
	if r.awake, r.stop, err = os.Pipe(); err != nil {
		return nil, err
	}
	if r.program, err = thisProgram(); err != nil {
		return nil, err
	}
	fd, err := newFS("devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "mode=0620", "gid=5", "ptmxmode=0666")
	if err != nil {
		return nil, fmt.Errorf("new terminals: %w", err)
	}
	r.terminals = os.NewFile(uintptr(fd), "devpts")
	if t.mode == ownTerminal {
		if err := r.openTerminal(std); err != nil {
			return nil, fmt.Errorf("new terminal: %w", err)
		}
	}
	t.close()
	t.mode = relayedTerminal
	return r, r.openPipes(std)
}

// thisProgram is a descriptor above those that a child gets.
func thisProgram() (*os.File, error) {
	fd, err := cloneMounts(unix.AT_FDCWD, "/proc/self/exe", unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("show this program read-only: %w", err)
	}
	defer shut(fd)
	const above = 64
	if fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, above); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), fmt.Sprintf("/proc/self/fd/%d", fd)), nil
}

// openPipes makes pipes in the place of all other files.
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
		if i == 0 {
			r.inner[0], r.ours = out, append(r.ours, out)
			r.copies = append(r.copies, func() error { defer in.Close(); return r.feed(in, f) })
		} else {
			r.inner[i], r.ours = in, append(r.ours, in)
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
	for _, f := range append(r.ours, r.terminals, r.program) {
		f.Close()
	}
	r.ours = nil
	if r.keyboard != nil {
		r.beginTerminal()
	}
	for _, f := range r.copies {
		r.running.Go(f)
	}
	r.copies = nil
}

// end copies the rest of what the command, which has ended, has said. It tells
// what could not be written.
func (r *relay) end() error {
	for _, f := range append(r.ours, r.stop, r.terminals, r.program) {
		f.Close() // also once more, and nil
	}
	if r.winch != nil {
		signal.Stop(r.winch)
		close(r.winch)
	}
	lost := r.running.Wait()
	if r.before != nil {
		_ = term.Restore(int(r.keyboard.Fd()), r.before) // a terminal that hung up has no mode
	}
	r.ptmx.Close()
	r.awake.Close()
	return lost
}
