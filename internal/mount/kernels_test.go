//go:build linux

package mount

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// lackCall makes this process, and what it starts, one of a kernel that has not the
// system call.
func lackCall(nr uint32) error {
	prog := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	filter := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	return call(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
}

// lacking is the role of snapbe on such a kernel: it tells the gaps, and runs CMD.
func lacking() int {
	nr, err := strconv.ParseUint(os.Getenv("LACKS"), 10, 32)
	if err == nil {
		err = lackCall(uint32(nr))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, gap := range ConfinementGaps() {
		fmt.Println("gap:", gap)
	}
	return execRole()
}

func onKernelWithout(t *testing.T, nr uintptr) (said string, code int) {
	t.Helper()
	cmd := role(t, "lacking", system(t), fmt.Sprintf("LACKS=%d", nr), "CONFINED=true", "CMD=echo ran")
	out, _ := cmd.Output()
	return string(out), cmd.ProcessState.ExitCode()
}

// TestConfinedKernels: a kernel that cannot keep a command from sockets is told of,
// and one that cannot forbid it system calls runs none.
func TestConfinedKernels(t *testing.T) {
	needRoot(t)
	said, code := onKernelWithout(t, unix.SYS_LANDLOCK_CREATE_RULESET)
	assert.Zero(t, code)
	require.Equal(t, 1, strings.Count(said, "gap: "), said)
	assert.Contains(t, said, "abstract sockets of the host's services: the kernel has no Landlock")
	assert.Contains(t, said, "\nran\n")
	said, code = onKernelWithout(t, unix.SYS_SECCOMP)
	assert.Equal(t, 99, code)
	assert.Contains(t, said, "confine the command: forbid system calls: the kernel has no filters for them")
	assert.NotContains(t, said, "ran\n")
	if landlock() >= scopes {
		assert.NotContains(t, said, "gap: ")
	}
}
