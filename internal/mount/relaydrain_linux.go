package mount

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// drain copies what the command says, and takes it also where it cannot be
// written, as to a full disk: or the command would wait forever. Where nobody
// reads any more, the command is to be ended by that (SIGPIPE). Once it has ended,
// no more is taken than what is there: a descriptor that was sent to a process
// outside would be open for ever, and can be written to. The error is of what
// could not be written.
func (r *relay) drain(to, from *os.File) (lost error) {
	fd, buf, left := int(from.Fd()), make([]byte, 32<<10), -1
	if err := unix.SetNonblock(fd, true); err != nil { // others may read it, too
		return err
	}
	for left != 0 {
		if r.await(fd) && left < 0 {
			left = holds(fd)
		}
		if left >= 0 {
			buf = buf[:min(len(buf), left)]
		}
		n, err := unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN) && left < 0:
			continue
		case err != nil || n == 0: // EIO of a terminal that nobody has open
			return lost
		}
		if left > 0 {
			left -= n
		}
		if lost == nil {
			_, lost = to.Write(buf[:n])
		}
		if errors.Is(lost, unix.EPIPE) {
			return lost
		}
	}
	return lost
}

// holds is how many bytes may be waiting in a pipe, or in a terminal.
func holds(fd int) int {
	size, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		const terminal = 64 << 10 // more than Linux keeps
		return terminal
	}
	return size
}

// await waits for something to read, or until the command has ended, which it tells.
func (r *relay) await(fd int) (ended bool) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(r.over.Fd()), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		if !errors.Is(err, unix.EINTR) {
			return err != nil || fds[1].Revents != 0
		}
	}
}
