//go:build !linux

package lab

import "syscall"

// dieWithParent promises nothing here: only Linux has the means.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
