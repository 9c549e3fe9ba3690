package mount

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forbiddenCalls are the numbers of the system calls that a confined command may
// not use: the kernel's log and its keys, which no namespace separates, and what
// lets anybody at much of the kernel while no package needs it. In this order:
// syslog, add_key, request_key, keyctl, perf_event_open, bpf, userfaultfd and
// io_uring_setup, as programs of that machine call them. On other machines none is
// forbidden.
var forbiddenCalls = []struct {
	arch  uint32
	calls []uint32
}{
	{unix.AUDIT_ARCH_X86_64, []uint32{103, 248, 249, 250, 298, 321, 323, 425}},
	{unix.AUDIT_ARCH_I386, []uint32{103, 286, 287, 288, 336, 357, 374, 425}},
	{unix.AUDIT_ARCH_AARCH64, []uint32{116, 217, 218, 219, 241, 280, 282, 425}},
	{unix.AUDIT_ARCH_ARM, []uint32{103, 309, 310, 311, 364, 386, 388, 425}},
	{unix.AUDIT_ARCH_RISCV64, []uint32{116, 217, 218, 219, 241, 280, 282, 425}},
}

// x32 marks a call of a program with 32-bit pointers among those of x86-64; the
// numbers are the same, and no other calls have the bit.
const x32 = 0x4000_0000

// callFilter is a program of bpf(4) that answers the forbidden calls with EPERM.
func callFilter() []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
		// places in struct seccomp_data
		callAt, archAt = 0, 4
	)
	prog := []unix.SockFilter{{Code: load, K: archAt}}
	for _, a := range forbiddenCalls {
		rest := uint8(len(a.calls) + 4) // to the next machine
		prog = append(prog, unix.SockFilter{Code: equal, K: a.arch, Jf: rest},
			unix.SockFilter{Code: load, K: callAt},
			unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: ^uint32(x32)})
		for i, nr := range a.calls {
			prog = append(prog, unix.SockFilter{Code: equal, K: nr, Jt: uint8(len(a.calls) - i)})
		}
		prog = append(prog, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW},
			unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	}
	return append(prog, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW})
}

// forbidCalls needs CAP_SYS_ADMIN in the user namespace; programs that are setuid
// stay so, which they would not with no_new_privs.
func forbidCalls() error {
	filter := callFilter()
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	if errno == 0 || errno == unix.ENOSYS {
		return nil // a kernel without it
	}
	return fmt.Errorf("forbid system calls: %w", errno)
}
