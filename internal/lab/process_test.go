package lab

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestArguments(t *testing.T) {
	line := func(disks ...int) string {
		cfg := Config{Disks: disks, MemoryMB: 512, CPUs: 1, Args: []string{"-device", "i6300esb"}}
		return strings.Join(arguments(cfg, "/d,ir", "/run", 2222, ""), " ")
	}
	both := line(2, 1)
	require.Contains(t, both, " -smp cpus=1,maxcpus=2 ", "or QEMU leaves the barriers out")
	require.Contains(t, both, "id=disk1,file=/d,,ir/disk1.qcow2,")
	require.Contains(t, both, "serial=snapbe-disk1,addr=0x4,bootindex=1")
	require.Contains(t, both, "serial=snapbe-disk2,addr=0x5,bootindex=0")
	require.Contains(t, both, "restrict=on,hostfwd=tcp:127.0.0.1:2222-:22")
	require.Contains(t, both, " -device i6300esb")
	alone := line(2)
	require.NotContains(t, alone, "disk1")
	require.Contains(t, alone, "serial=snapbe-disk2,addr=0x5,bootindex=0", "its address is the same alone")
	resumed := arguments(Config{}, "/dir", "/run", 1, "/it's/state")
	require.Equal(t, []string{"-incoming", `exec:cat '/it'\''s/state'`}, resumed[len(resumed)-2:])
}
