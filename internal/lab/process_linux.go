package lab

import "syscall"

// dieWithParent has the kernel kill a child when the test process ends in
// whatever way, go test's own timeout included.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
