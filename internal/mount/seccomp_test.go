//go:build linux

package mount

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// answer is what the kernel does with a call: it runs a filter as bpf(4) tells.
func answer(t *testing.T, prog []unix.SockFilter, arch, call uint32) uint32 {
	t.Helper()
	acc := uint32(0)
	for pc := 0; pc < len(prog); pc++ {
		switch i := prog[pc]; i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			acc = map[uint32]uint32{0: call, 4: arch}[i.K]
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			acc &= i.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			if acc == i.K {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		case unix.BPF_RET | unix.BPF_K:
			return i.K
		default:
			require.Fail(t, "instruction", "%#x", i.Code)
		}
	}
	require.Fail(t, "no answer")
	return 0
}

// TestConfinedCalls: on each machine the same calls are forbidden, and where the
// machine is not known all are.
func TestConfinedCalls(t *testing.T) {
	const denied = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	prog := callFilter()
	for _, m := range machines {
		assert.Len(t, m.calls, 8, m.name)
		for _, nr := range m.calls {
			assert.Equal(t, denied, answer(t, prog, m.arch, nr), "%s: %d", m.name, nr)
			assert.Equal(t, uint32(unix.SECCOMP_RET_ALLOW), answer(t, prog, m.arch, nr+1000), "%s: %d", m.name, nr)
		}
		assert.Equal(t, uint32(unix.SECCOMP_RET_ALLOW), answer(t, prog, m.arch, 0), m.name)
		require.NoError(t, knownMachine(m.name))
	}
	assert.Equal(t, denied, answer(t, prog, unix.AUDIT_ARCH_X86_64, 425|x32))
	assert.Equal(t, denied, answer(t, prog, unix.AUDIT_ARCH_MIPSEL64, 5000))
	require.EqualError(t, knownMachine("mips64le"), "forbid system calls: their numbers on mips64le are not known to snapbe")
	for _, m := range machines {
		if m.name == runtime.GOARCH {
			assert.Equal(t, []uint32{unix.SYS_SYSLOG, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
				unix.SYS_PERF_EVENT_OPEN, unix.SYS_BPF, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP}, m.calls)
		}
	}
}
