package health

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"snapbe/internal/command"
)

const (
	// grace is how long what was asked to end, or killed, has for it.
	grace = 5 * time.Second
	// outputLimit is what is kept of a check's output, in bytes.
	outputLimit = 16 << 10
	// lastWords is how long the end of the output may take, where a process that
	// has left the group still holds it.
	lastWords = time.Second
)

// check runs one.
func (c Checks) check(ctx context.Context, r *Result) {
	if ctx.Err() != nil {
		r.Err = errors.New("not begun")
		return
	}
	path, err := trusted(filepath.Join(c.Dir, r.Name))
	if err != nil {
		r.Err = err
		return
	}
	began := time.Now()
	defer func() { r.Took = time.Since(began) }()
	p, err := c.start(path)
	if err != nil {
		r.Err = fmt.Errorf("start it: %w", err)
		return
	}
	limit := cmp.Or(c.Limit, defaultLimit)
	var stopped error
	select {
	case <-p.ended:
	case <-time.After(limit):
		r.TimedOut = true
		stopped = fmt.Errorf("not done in %s", limit)
	case <-ctx.Done():
		stopped = errors.New("ended before it was done")
	}
	if stopped != nil {
		p.askToEnd()
	}
	state, err := p.finish()
	r.Output = p.output()
	if err == nil {
		r.Code = state.ExitCode()
	}
	switch {
	case stopped != nil:
		r.Err = errors.Join(stopped, err)
	case err != nil:
		r.Err = err
	case r.Code == -1:
		r.Err = errors.New(state.String()) // "signal: killed"
	case r.Code != 0:
		r.Err = fmt.Errorf("exit %d", r.Code)
	}
}

// process is a check that was started, with all that it started in turn.
type process struct {
	*os.Process
	// ended is closed when the check itself has ended. It is not reaped then, so
	// that the number of its group is not given to another one.
	ended chan struct{}
	out   *os.File
	said  chan []byte
}

// start starts the check with a group of its own, and no input.
func (c Checks) start(path string) (*process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	proc, err := command.Start(path, []string{path}, &os.ProcAttr{
		Dir:   "/",
		Env:   append(os.Environ(), c.Env...),
		Files: []*os.File{null, in, in},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	p := &process{Process: proc, ended: make(chan struct{}), out: out, said: make(chan []byte, 1)}
	go func() {
		awaitEnd(proc.Pid)
		close(p.ended)
	}()
	go func() {
		var end tail
		_, _ = io.Copy(&end, out) // it ends at the deadline, or at the end
		p.said <- end.text
	}()
	return p, nil
}

// askToEnd ends the group, and returns when the check has ended or has had its
// time for it.
func (p *process) askToEnd() {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(grace):
	}
}

// finish kills what is left of the group, and tells how the check has ended. One
// that waits in the kernel, such as for a disk that is gone, is left to it.
func (p *process) finish() (*os.ProcessState, error) {
	p.signal(syscall.SIGKILL)
	select {
	case <-p.ended:
		return p.Wait()
	case <-time.After(grace):
		return nil, errors.New("it cannot be killed")
	}
}

func (p *process) signal(s syscall.Signal) {
	_ = syscall.Kill(-p.Pid, s) // the check is in it still, ended or not
}

// awaitEnd returns when the child has ended, and does not reap it (waitid(2)).
func awaitEnd(pid int) {
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

// output is what was said, when all has ended.
func (p *process) output() []byte {
	_ = p.out.SetReadDeadline(time.Now().Add(lastWords)) // pipes have deadlines
	defer p.out.Close()
	return <-p.said
}

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if over := len(t.text) - outputLimit; over > 0 {
		t.text = bytes.Clone(t.text[over:])
	}
	return len(p), nil
}
