//go:build linux

package mount

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec" //nolint:depguard // the tests are their own programs
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attempt is a way out of a tree. It is tried by root in the tree; without an
// error it has worked.
type attempt struct {
	name string
	try  func() error
	// why is what it has to fail with, each of them.
	why []error
	// plain is whether it works in a tree that is not confined: these show that
	// the test can fail. The others would harm the machine.
	plain bool
}

func denied(name string, plain bool, try func() error, why ...error) attempt {
	if len(why) == 0 {
		why = []error{unix.EPERM}
	}
	return attempt{name, try, why, plain}
}

// opening is the attempt to open a file of the kernel or of PID 1.
func opening(path string, flags int, plain bool, why ...error) attempt {
	return denied("open "+path, plain, func() error {
		fd, err := unix.Open(path, flags|unix.O_NONBLOCK, 0)
		if err == nil {
			shut(fd)
		}
		return err
	}, why...)
}

// reading is the attempt to read a file that is covered by nothing where it is there.
func reading(path string, plain bool) attempt {
	return denied("read "+path, plain, func() error {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		defer shut(fd)
		if n, err := unix.Read(fd, make([]byte, 64)); err != nil || n == 0 {
			return unix.ENOENT
		}
		return nil
	}, unix.ENOENT)
}

func call(nr uintptr, args ...uintptr) error {
	args = append(args, make([]uintptr, 6)...)
	if _, _, errno := unix.Syscall6(nr, args[0], args[1], args[2], args[3], args[4], args[5]); errno != 0 {
		return errno
	}
	return nil
}

// attempts are all of them; disk is the number of a block device of the machine.
func attempts() []attempt {
	disk, _ := strconv.Atoi(os.Getenv("DISK"))
	hostPID, _ := strconv.Atoi(os.Getenv("HOST_PID"))
	var landlocked []attempt
	if landlock() >= scopes {
		landlocked = append(landlocked, denied("signal PID 1", true, func() error { return unix.Kill(1, 0) }))
	}
	return append(landlocked, []attempt{
		denied("make a block device", true, func() error { return unix.Mknod("/made", unix.S_IFBLK|0o600, disk) }),
		denied("make /dev/kmsg", false, func() error { return unix.Mknod("/dev/made", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 11))) }),
		opening("/device", unix.O_RDONLY, true, unix.EACCES), // made from outside
		opening("/proc/1/root/etc", unix.O_RDONLY, false, unix.EACCES),
		opening("/proc/1/cwd", unix.O_RDONLY, true, unix.EACCES),
		opening("/proc/1/exe", unix.O_RDONLY, true, unix.EACCES),
		opening("/proc/1/fd/3", unix.O_RDONLY, true, unix.EACCES),
		opening("/proc/1/mem", unix.O_RDWR, true, unix.EACCES, unix.EROFS),
		opening("/proc/1/environ", unix.O_RDONLY, true, unix.EACCES),
		opening("/proc/1/ns/mnt", unix.O_RDONLY, true, unix.EACCES),
		opening("/proc/1/oom_score_adj", unix.O_WRONLY, true, unix.EROFS),
		opening("/proc/sys/kernel/core_pattern", unix.O_WRONLY, false, unix.EROFS),
		opening("/proc/sys/kernel/hostname", unix.O_WRONLY, false, unix.EROFS),
		opening("/proc/irq/default_smp_affinity", unix.O_WRONLY, true, unix.EROFS),
		opening("/proc/fs/jbd2/x", unix.O_WRONLY|unix.O_CREAT, false, unix.EROFS, unix.ENOENT),
		opening("/sys/kernel/mm/transparent_hugepage/enabled", unix.O_WRONLY, false, unix.EROFS),
		denied("make a control group", false, func() error { return unix.Mkdir("/sys/fs/cgroup/made", 0o755) }, unix.EROFS, unix.EPERM, unix.ENOENT),
		denied("trace PID 1", true, func() error { return call(unix.SYS_PTRACE, unix.PTRACE_SEIZE, 1) }),
		denied("take a file of PID 1", true, func() error {
			fd, err := unix.PidfdOpen(1, 0)
			if err == nil {
				_, err = unix.PidfdGetfd(fd, 3, 0)
			}
			return err
		}),
		denied("signal a process of the host", false, func() error { return unix.Kill(hostPID, 0) }, unix.ESRCH),
		denied("mount a tmpfs", true, func() error { return unix.Mount("x", "/tmp", "tmpfs", 0, "") }),
		denied("mount a directory", true, func() error { return unix.Mount("/tmp", "/mnt", "", unix.MS_BIND, "") }),
		denied("show devices", true, func() error { return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, "") }),
		denied("write to /proc", true, func() error { return unix.Mount("", "/proc", "", unix.MS_REMOUNT|unix.MS_BIND, "") }),
		denied("mount by descriptor", true, func() error { _, err := unix.Fsopen("proc", 0); return err }),
		denied("uncover", true, func() error { return unix.Unmount("/dev/shm", unix.MNT_DETACH) }),
		denied("a mount namespace", true, func() error { return unix.Unshare(unix.CLONE_NEWNS) }),
		denied("all capabilities, in a user namespace", false, func() error {
			cmd := exec.Command("true")
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
			return cmd.Run()
		}, unix.ENOSPC),
		denied("a file by its handle", true, openHandle),
		denied("the host name", true, func() error { return unix.Sethostname([]byte("made")) }),
		denied("load a module", false, func() error { return call(unix.SYS_INIT_MODULE, 0, 0, uintptr(unsafe.Pointer(&empty))) }, unix.EPERM, unix.ENOSYS),
		denied("load a kernel", false, func() error { return call(unix.SYS_KEXEC_LOAD) }, unix.EPERM, unix.ENOSYS),
		denied("reboot", false, func() error { return unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF) }),
		denied("swap", false, func() error { return call(unix.SYS_SWAPON, uintptr(unsafe.Pointer(&empty))) }),
		denied("watches of files", true, func() error { _, err := unix.InotifyInit1(0); return err }, unix.EMFILE),
		denied("watches of file systems", true, func() error { _, err := unix.FanotifyInit(unix.FAN_REPORT_FID, 0); return err }, unix.EMFILE, unix.EPERM),
		reading("/proc/kpagecount", true),
		reading("/proc/kpageflags", true),
		reading("/proc/kpagecgroup", false),
		reading("/proc/slabinfo", false),
		reading("/proc/pagetypeinfo", true),
		reading("/proc/spl/kstat/zfs/arcstats", false),
		reading("/sys/kernel/slab/kmalloc-64/alloc_calls", false),
		reading("/sys/class/powercap/intel-rapl:0/energy_uj", false),
		reading("/sys/class/dmi/id/product_serial", false),
		reading("/sys/firmware/dmi/tables/DMI", false),
		denied("devices of the machine", true, func() error {
			seen, err := os.ReadDir("/sys/devices/virtual")
			if err != nil || len(seen) == 0 {
				return unix.ENOENT
			}
			return nil
		}, unix.ENOENT),
		denied("set the clock", false, func() error { return unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{Sec: 1}) }),
		denied("a raw socket", true, func() error { _, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0); return err }),
		denied("a port of the system", true, func() error { _, err := net.Listen("tcp", "127.0.0.1:999"); return err }, unix.EACCES),
		denied("keys", true, func() error { return call(unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, ^uintptr(2), 1) }),
		denied("the kernel's log", true, func() error { _, err := unix.Klogctl(unix.SYSLOG_ACTION_SIZE_BUFFER, nil); return err }),
		denied("bpf", false, func() error { return call(unix.SYS_BPF) }),
		denied("io_uring", false, func() error { return call(unix.SYS_IO_URING_SETUP, 1) }),
		denied("priority over others", true, func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -20) }, unix.EACCES),
	}...)
}

var empty [1]byte

// openHandle opens a file of the host of which only the number is known, on a
// file system that shows in part.
func openHandle() error {
	text, kind, _ := strings.Cut(os.Getenv("HANDLE"), " ")
	raw, err := hex.DecodeString(text)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(kind)
	if err != nil {
		return err
	}
	at, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	fd, err := unix.OpenByHandleAt(at, unix.NewFileHandle(int32(n), raw), unix.O_RDONLY)
	if err != nil {
		return err
	}
	buf := make([]byte, 100)
	if m, err := unix.Read(fd, buf); err != nil || string(buf[:m]) != secret {
		return fmt.Errorf("another file: %q, %w", buf[:m], err)
	}
	return nil
}

const secret = "the host's secret"

// hostile tries all; only those that work in a tree that is not confined, where
// PLAIN is set. It tells of each what must not be.
func hostile() int {
	for _, a := range attempts() {
		if os.Getenv("PLAIN") != "" {
			if a.plain {
				fmt.Println(a.name+":", a.try())
			}
			continue
		}
		err := a.try()
		ok := false
		for _, why := range a.why {
			ok = ok || errors.Is(err, why)
		}
		if !ok {
			fmt.Printf("%s: %v, not %v\n", a.name, err, a.why)
		}
	}
	fmt.Println("tried all")
	return 0
}
