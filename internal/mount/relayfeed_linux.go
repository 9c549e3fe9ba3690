package mount

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// feeder copies what the caller has to say, until the command has ended. It does
// not read on a terminal that others read from, and so is not stopped.
type feeder struct {
	over, to int
	from     source
	// keys, where it is not nil, sees all that is read: then more is read also
	// while the command takes nothing.
	keys *escapeKeys
	buf  [32 << 10]byte
	// waiting is what was read, and ended whether that is all.
	waiting []byte
	ended   bool
}

// feed copies from one to the other, which is the relay's own. keys may be nil.
func (r *relay) feed(to, from *os.File, keys *escapeKeys) error {
	f := &feeder{over: int(r.over.Fd()), to: int(to.Fd()), from: openSource(from), keys: keys}
	defer f.from.close()
	if err := unix.SetNonblock(f.to, true); err != nil {
		return err
	}
	for f.step() {
	}
	return nil
}

// backgroundWait is how often a process in the background looks whether it has
// the terminal.
const backgroundWait = 200 * time.Millisecond

// step waits for what can be done, and does it; it is false at the end.
func (f *feeder) step() bool {
	fds := []unix.PollFd{{Fd: int32(f.over), Events: unix.POLLIN}, {Fd: -1, Events: unix.POLLIN}, {Fd: -1, Events: unix.POLLOUT}}
	wait := -1
	if !f.ended && (len(f.waiting) == 0 || f.keys != nil) {
		if f.from.inBackground() {
			wait = int(backgroundWait.Milliseconds())
		} else {
			fds[1].Fd = int32(f.from.fd)
		}
	}
	if len(f.waiting) > 0 {
		fds[2].Fd = int32(f.to)
	}
	if _, err := unix.Poll(fds, wait); err != nil {
		return errors.Is(err, unix.EINTR)
	}
	switch {
	case fds[0].Revents != 0:
		return false
	case fds[1].Revents != 0:
		return f.read()
	case fds[2].Revents != 0:
		return f.write()
	}
	return true
}

// typeAhead is how much is kept that was typed and that the command does not take, in
// bytes; the rest is lost, as on other terminals.
const typeAhead = 1 << 20

func (f *feeder) read() bool {
	n, err := f.from.read(f.buf[:])
	switch {
	case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN): // others were faster
		return true
	case err != nil || n == 0:
		f.ended = true
		return len(f.waiting) > 0
	case f.keys != nil && f.keys.press(f.buf[:n], time.Now()):
		return false
	}
	if len(f.waiting)+n <= typeAhead {
		f.waiting = append(f.waiting, f.buf[:n]...)
	}
	return true
}

func (f *feeder) write() bool {
	n, err := unix.Write(f.to, f.waiting)
	if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
		return false // the command does not read
	}
	f.waiting = f.waiting[max(n, 0):]
	return !f.ended || len(f.waiting) > 0
}

// source is a file of the caller's that is read without waiting: of what poll(2) has
// told, a read may find nothing, since others read too, and one that waits then
// would take what is meant for them, and outlast the command.
type source struct {
	fd           int
	own, message bool
}

// openSource opens pipes and terminals once more: whether to wait is a matter of the
// open file, which others have too (O_NONBLOCK). With a socket each call says it, and
// other files do not wait.
func openSource(f *os.File) source {
	s := source{fd: int(f.Fd())}
	var stat unix.Stat_t
	if err := unix.Fstat(s.fd, &stat); err != nil {
		return s
	}
	flags, err := unix.FcntlInt(uintptr(s.fd), unix.F_GETFL, 0)
	switch {
	case err != nil || flags&unix.O_ACCMODE == unix.O_WRONLY:
	case stat.Mode&unix.S_IFMT == unix.S_IFSOCK:
		s.message = true
	case stat.Mode&unix.S_IFMT == unix.S_IFIFO || isTerminal(f):
		fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", s.fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err == nil {
			return source{fd: fd, own: true}
		}
	}
	return s
}

func (s source) close() {
	if s.own {
		shut(s.fd)
	}
}

func (s source) read(p []byte) (n int, err error) {
	if s.message {
		n, _, err = unix.Recvfrom(s.fd, p, unix.MSG_DONTWAIT)
		return n, err
	}
	return unix.Read(s.fd, p)
}

// inBackground is whether it is this process's terminal and others have it.
func (s source) inBackground() bool {
	pgrp, err := unix.IoctlGetInt(s.fd, unix.TIOCGPGRP)
	return err == nil && pgrp != unix.Getpgrp()
}
