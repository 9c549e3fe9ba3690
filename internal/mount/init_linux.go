package mount

import (
	"encoding/gob"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// ChildMain is the other half of Exec: the process that is PID 1 of the new
// namespaces is this program again, and so is one that becomes a confined
// command. It is to be called first thing in main, and returns only in a process
// that is not such a child.
func ChildMain() {
	switch {
	case len(os.Args) != 1:
	case os.Args[0] == childName && os.Getpid() == 1:
		os.Exit(childMain())
	case os.Args[0] == confineName && os.Getpid() != 1:
		os.Exit(confinedMain())
	}
}

// pid1 is the first process of the pid namespace; when it ends the kernel
// kills all others.
type pid1 struct {
	spec
	orders  *gob.Decoder
	reports *gob.Encoder
	signals chan order
	// command is the process id of the command.
	command int
}

func childMain() int {
	for _, fd := range []int{fdOrders, fdReports, fdTerminal, fdTerminals} {
		unix.CloseOnExec(fd)
	}
	_ = os.WriteFile("/proc/self/comm", []byte("snapbe"), 0) // for ps only
	p := &pid1{
		orders:  gob.NewDecoder(os.NewFile(fdOrders, "orders")),
		reports: gob.NewEncoder(os.NewFile(fdReports, "reports")),
		signals: make(chan order, 64),
	}
	if err := p.orders.Decode(&p.spec); err != nil {
		return 1 // the parent is gone
	}
	caught := make(chan os.Signal, 8)
	signal.Notify(caught, forwarded...)
	go p.listen()
	err := p.setUp()
	code := 0
	if err == nil {
		code, err = p.start()
	}
	if err != nil {
		return p.report(report{Error: err.Error()})
	}
	if code == 0 {
		code = p.serve(caught)
	}
	p.reapAll()
	return p.report(report{Ended: true, Code: code, Foreground: p.hasTerminal()})
}

// listen takes the parent's orders. Its end of the pipe is closed when it
// ends, in whatever way: then this process, and so all in the namespace, has
// no business any more.
func (p *pid1) listen() {
	for {
		var o order
		if p.orders.Decode(&o) != nil {
			os.Exit(1)
		}
		p.signals <- o
	}
}

func (p *pid1) report(r report) int {
	if p.reports.Encode(r) != nil {
		return 1
	}
	return 0
}

// ended is a process that ended or was stopped.
type ended struct {
	pid    int
	status unix.WaitStatus
}

// serve waits for the command and does what an init has to: it takes in the
// processes that lost their parent, and passes signals on.
func (p *pid1) serve(caught <-chan os.Signal) int {
	events := make(chan ended)
	go reap(events)
	for {
		select {
		case e := <-events:
			if e.pid != p.command {
				continue
			}
			switch {
			case e.status.Exited():
				return e.status.ExitStatus()
			case e.status.Signaled():
				return exitSignal + int(e.status.Signal())
			case e.status.Stopped() && p.Terminal == ownTerminal:
				p.report(report{Stopped: true, Foreground: p.hasTerminal()})
			}
		case o := <-p.signals:
			p.obey(o)
		case sig := <-caught:
			if n, ok := sig.(syscall.Signal); ok && p.Terminal.passes(n) {
				p.obey(order{Signal: int(n)})
			}
		}
	}
}

// reap reports every child until there is none left. Only the command is
// watched for stops, but wait4 cannot tell before.
func reap(events chan<- ended) {
	for {
		var e ended
		var err error
		e.pid, err = unix.Wait4(-1, &e.status, unix.WUNTRACED, nil)
		if err == nil {
			events <- e
		} else if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func (p *pid1) obey(o order) {
	if o.Continue {
		if o.Foreground {
			setForeground(fdTerminal, p.command)
		}
		_ = unix.Kill(-p.command, unix.SIGCONT) // it may have ended
		return
	}
	pid := p.command
	if o.Group {
		pid = -pid
	}
	_ = unix.Kill(pid, unix.Signal(o.Signal))
}

// hasTerminal is whether a process group of this namespace, and so the
// command's or one that it made, is in the foreground.
func (p *pid1) hasTerminal() bool {
	return p.Terminal == ownTerminal && foreground(fdTerminal) != 0
}

// reapAll ends what the command left running.
func (p *pid1) reapAll() {
	_ = unix.Kill(-1, unix.SIGKILL) // ESRCH: nothing is left
	for {
		_, err := unix.Wait4(-1, nil, 0, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
