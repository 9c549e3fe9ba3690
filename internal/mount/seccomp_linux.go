package mount

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// machine is a kind of machine whose programs a kernel runs: its name to Go and to
// seccomp(2), and the numbers there of the system calls that a confined command may
// not use.
type machine struct {
	name  string
	arch  uint32
	calls []uint32
}

// machines have forbidden calls: the kernel's log and its keys, which no namespace
// separates, and what lets anybody at much of the kernel while no package needs it.
// In this order: syslog, add_key, request_key, keyctl, perf_event_open, bpf,
// userfaultfd and io_uring_setup.
var machines = []machine{
	{"amd64", unix.AUDIT_ARCH_X86_64, []uint32{103, 248, 249, 250, 298, 321, 323, 425}},
	{"386", unix.AUDIT_ARCH_I386, []uint32{103, 286, 287, 288, 336, 357, 374, 425}},
	{"arm64", unix.AUDIT_ARCH_AARCH64, []uint32{116, 217, 218, 219, 241, 280, 282, 425}},
	{"arm", unix.AUDIT_ARCH_ARM, []uint32{103, 309, 310, 311, 364, 386, 388, 425}},
	{"riscv64", unix.AUDIT_ARCH_RISCV64, []uint32{116, 217, 218, 219, 241, 280, 282, 425}},
	{"loong64", unix.AUDIT_ARCH_LOONGARCH64, []uint32{116, 217, 218, 219, 241, 280, 282, 425}},
	{"ppc64le", unix.AUDIT_ARCH_PPC64LE, []uint32{103, 269, 270, 271, 319, 361, 364, 425}},
	{"s390x", unix.AUDIT_ARCH_S390X, []uint32{103, 278, 279, 280, 331, 351, 355, 425}},
}

// x32 marks a call of a program with 32-bit pointers among those of x86-64; the
// numbers are the same, and no other calls have the bit.
const x32 = 0x4000_0000

// callFilter is a program of bpf(4) that answers the forbidden calls with EPERM, and
// so all those of a machine that is not known.
func callFilter() []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
		forbid = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
		// places in struct seccomp_data
		callAt, archAt = 0, 4
	)
	prog := []unix.SockFilter{{Code: load, K: archAt}}
	for _, m := range machines {
		rest := uint8(len(m.calls) + 4) // to the next machine
		prog = append(prog, unix.SockFilter{Code: equal, K: m.arch, Jf: rest},
			unix.SockFilter{Code: load, K: callAt},
			unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: ^uint32(x32)})
		for i, nr := range m.calls {
			prog = append(prog, unix.SockFilter{Code: equal, K: nr, Jt: uint8(len(m.calls) - i)})
		}
		prog = append(prog, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW}, unix.SockFilter{Code: answer, K: forbid})
	}
	return append(prog, unix.SockFilter{Code: answer, K: forbid})
}

// forbidCalls needs CAP_SYS_ADMIN in the user namespace; programs that are setuid
// stay so, which they would not with no_new_privs. Where it cannot be done nothing
// is to run.
func forbidCalls() error {
	if err := knownMachine(runtime.GOARCH); err != nil {
		return err
	}
	filter := callFilter()
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	switch errno {
	case 0:
		return nil
	case unix.ENOSYS, unix.EINVAL:
		return fmt.Errorf("forbid system calls: the kernel has no filters for them (CONFIG_SECCOMP_FILTER): %w", errno)
	}
	return fmt.Errorf("forbid system calls: %w", errno)
}

func knownMachine(name string) error {
	if slices.ContainsFunc(machines, func(m machine) bool { return m.name == name }) {
		return nil
	}
	return fmt.Errorf("forbid system calls: their numbers on %s are not known to snapbe", name)
}
