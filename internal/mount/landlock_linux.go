package mount

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// scopeSockets keeps the command from abstract sockets of the host's processes
// (unix(7)), which are found by the network and not by the file system, and
// whose owners may trust whoever is root. The kernel can do so since 6.12.
func scopeSockets() error {
	if landlock() < scopesSockets {
		return nil // docs/upgrade.md says what is left then
	}
	scope := unix.LandlockRulesetAttr{Scoped: unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&scope)), unsafe.Sizeof(scope), 0)
	if errno != 0 {
		return fmt.Errorf("landlock_create_ruleset: %w", errno)
	}
	defer shut(int(fd))
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("landlock_restrict_self: %w", errno)
	}
	return nil
}

// scopesSockets is the first version of landlock(7) that can.
const scopesSockets = 6

// landlock is its version, 0 where it is not there.
func landlock() int {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(abi)
}
