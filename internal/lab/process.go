package lab

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// How a guest ended, in the words of QEMU's SHUTDOWN event.
const (
	guestReset    = "guest-reset"
	guestShutdown = "guest-shutdown"
)

// process is one run of QEMU, from power-on to power-off or reset.
type process struct {
	number  int // 1 for the machine's first
	cmd     *exec.Cmd
	port    int // of the guest's sshd, on 127.0.0.1
	qmp     *qmp
	console net.Conn
	stderr  bytes.Buffer
	done    chan struct{} // closed once it has ended
	reason  string        // how the guest ended, valid once done is closed
}

// launch starts QEMU and returns once it emulates. The console's output goes
// to out.
func launch(number int, cfg Config, dir, resume string, out io.Writer) (*process, error) {
	// Short, because a socket's path has room for 107 bytes.
	run, err := os.MkdirTemp("", "lab")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(run) }()
	serial, err := listen(filepath.Join(run, "serial"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = serial.Close() }()
	monitor, err := listen(filepath.Join(run, "monitor"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = monitor.Close() }()
	port, err := freePort()
	if err != nil {
		return nil, err
	}

	p := &process{number: number, port: port, done: make(chan struct{})}
	p.cmd = exec.Command("qemu-system-x86_64", arguments(cfg, dir, run, port, resume)...)
	p.cmd.SysProcAttr = dieWithParent()
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- p.cmd.Wait() }()
	// QEMU connects to us and not we to it: so no line of output is missed.
	if err := p.connect(serial, monitor); err != nil {
		_ = p.cmd.Process.Kill()
		<-exited
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(p.stderr.Bytes()))
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(out, p.console)
	}()
	go func() {
		p.reason = p.qmp.wait()
		<-exited
		<-copied
		_ = p.console.Close()
		close(p.done)
	}()
	return p, nil
}

func listen(path string) (*net.UnixListener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	return l, l.SetDeadline(time.Now().Add(scaled(20 * time.Second)))
}

func (p *process) connect(serial, monitor *net.UnixListener) error {
	conn, err := serial.Accept()
	if err != nil {
		return fmt.Errorf("qemu does not start: %w", err)
	}
	p.console = conn
	conn, err = monitor.Accept()
	if err != nil {
		return fmt.Errorf("qemu does not start: %w", err)
	}
	p.qmp, err = newQMP(conn)
	return err
}

// kill is the power cut: what the guest has flushed stays, the rest may be lost.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// freePort is a port on 127.0.0.1 that nobody listens on at this moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// cpuModel is without cx16, because QEMU 7.2 emulates cmpxchg16b with wrong flags
// and the slab allocator of Linux 6.12 does not survive that. The others are what
// a processor gains by and emulation pays for: erms copies byte by byte, la57 has
// one more level of page tables, the rest ends translated blocks early. Without
// them a boot takes a sixth less.
const cpuModel = "max,-cx16,-erms,-la57,-smap,-smep,-pku,-umip"

// processors is one more at most than there are: with one alone QEMU translates
// without barriers, which the disks' queues need (their other side is another
// thread). Now and then an answer was lost then, and the pool stood still.
func processors(n int) string { return fmt.Sprintf("cpus=%d,maxcpus=%d", n, n+1) }

// arguments is QEMU's command line. Addresses are explicit, because otherwise
// names in the guest shift with the disks attached.
func arguments(cfg Config, dir, run string, port int, resume string) []string {
	args := []string{
		// KVM may be there and useless, where it is nested.
		"-accel", "tcg,thread=multi", "-cpu", cpuModel,
		"-smp", processors(cfg.CPUs), "-m", fmt.Sprint(cfg.MemoryMB),
		"-nodefaults", "-display", "none", "-no-reboot",
		"-chardev", "socket,id=serial,path=" + filepath.Join(run, "serial"),
		"-serial", "chardev:serial",
		"-chardev", "socket,id=monitor,path=" + filepath.Join(run, "monitor"),
		"-mon", "chardev=monitor,mode=control",
		"-netdev", fmt.Sprintf("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:%d-:22", port),
		"-device", "virtio-net-pci,netdev=net,addr=0x3,romfile=",
		"-device", "virtio-rng-pci,addr=0x8",
	}
	for _, n := range []int{1, 2} {
		index := slices.Index(cfg.Disks, n)
		if index < 0 {
			continue
		}
		// A comma in a path is doubled (qemu(1), "-drive").
		file := strings.ReplaceAll(diskPath(dir, n), ",", ",,")
		args = append(args,
			"-drive", fmt.Sprintf("if=none,id=disk%d,file=%s,format=qcow2,cache=writeback", n, file),
			"-device", fmt.Sprintf("virtio-blk-pci,drive=disk%d,serial=snapbe-disk%d,addr=%#x,bootindex=%d",
				n, n, 3+n, index))
	}
	if resume != "" {
		args = append(args, "-incoming", "exec:cat "+quote(resume))
	}
	return append(args, cfg.Args...)
}
