package mount

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// scopes is the first version of landlock(7) that keeps processes apart by what is
// not a file, that of Linux 6.12.
const scopes = 6

// ConfinementGaps tells, in words for people, what a confined command of this kernel
// is not kept from although another kernel could; nil where there is nothing.
func ConfinementGaps() []string {
	if landlock() >= scopes {
		return nil
	}
	return []string{"what runs in a zone can reach abstract sockets of the host's services: the kernel has no Landlock to keep it from them " +
		"(Linux 6.12 and later have it, where landlock is in /sys/kernel/security/lsm); docs/upgrade.md tells what to look for"}
}

// keepApart keeps the command from abstract sockets of the host's processes
// (unix(7)), which are found by the network and not by the file system, and whose
// owners may trust whoever is root. Nor can it send signals to any process but
// those that it has started: not to PID 1 either.
func keepApart() error {
	if landlock() < scopes {
		return nil // ConfinementGaps tells
	}
	rules := unix.LandlockRulesetAttr{Scoped: unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), unsafe.Sizeof(rules), 0)
	if errno != 0 {
		return fmt.Errorf("landlock_create_ruleset: %w", errno)
	}
	defer shut(int(fd))
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("landlock_restrict_self: %w", errno)
	}
	return nil
}

// landlock is its version, 0 where it is not there, or not enabled.
func landlock() int {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(abi)
}
