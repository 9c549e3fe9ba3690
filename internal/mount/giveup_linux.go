package mount

import (
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// keptCapabilities is what a package manager needs in its own tree. In the
// command's user namespace they count for the tree's files and for the
// command's processes. systemd-nspawn keeps more for a zone that runs: of those,
// what is not here mounts, traces, makes devices or configures the network.
var keptCapabilities = []int{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL, unix.CAP_SETFCAP,
	unix.CAP_SETGID, unix.CAP_SETPCAP, unix.CAP_SETUID, unix.CAP_SYS_CHROOT,
}

// giveUp takes from this thread, and so from the program that it executes, what
// a confined command is not to have. It takes the capabilities to do so, which go
// last.
func giveUp() error {
	for _, f := range []func() error{noUserNamespaces, noShare, enterTree, leaveKeyring, scopeSockets, forbidCalls, keepCapabilities, closeInherited} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// noShare sets to 0 what the host's root would have less of otherwise: watches of
// files are counted for the host's users too, and a limit above 0 would be one for
// each user that the command becomes.
func noShare() error {
	for _, name := range []string{"max_inotify_instances", "max_inotify_watches", "max_fanotify_groups", "max_fanotify_marks"} {
		err := os.WriteFile("/proc/sys/user/"+name, []byte("0"), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without it
			return err
		}
	}
	return nil
}

// noUserNamespaces forbids further user namespaces below this one. In a new one
// the command would have all capabilities again: for nothing that is there
// already, but the kernel would have more code to be attacked.
func noUserNamespaces() error {
	return os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
}

// leaveKeyring leaves the caller's session keyring for an empty one.
func leaveKeyring() error {
	_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	if errors.Is(err, unix.ENOSYS) {
		return nil // a kernel without keyrings
	} else if err != nil {
		return fmt.Errorf("new session keyring: %w", err)
	}
	return nil
}

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

// keepCapabilities drops all others, for this thread and for programs that are
// executed, also ones that are setuid root.
func keepCapabilities() error {
	var set [2]unix.CapUserData
	for _, c := range keptCapabilities {
		set[c/32].Effective |= 1 << (c % 32)
		set[c/32].Permitted |= 1 << (c % 32)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	for c := 0; c < 64; c++ {
		if set[c/32].Permitted&(1<<(c%32)) != 0 {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			break // the kernel has no more
		} else if err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capset(&header, &set[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// closeInherited closes, at the next execve, what the caller of snapbe has left
// open.
func closeInherited() error {
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close what is open: %w", err)
	}
	return nil
}

// dropAll drops the capabilities of all threads of PID 1, which has no further
// use for them: it may end what is in a user namespace that it has made. Built
// with cgo it keeps them; it is out of the command's reach all the same.
func dropAll() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0)
	if errno != 0 && errno != unix.ENOTSUP {
		return fmt.Errorf("drop capabilities: %w", errno)
	}
	return nil
}

// hideMemory keeps all other processes without the capability to trace from
// what this one has: its memory, its files, its program.
func hideMemory() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid to be traced: %w", err)
	}
	return nil
}
