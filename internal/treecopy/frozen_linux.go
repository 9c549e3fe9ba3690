package treecopy

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// frozen tells whether a file lies in a snapshot or on another file system that
// is read-only as a whole. A mount of its own may be read-only, too, while
// others of the same file system are written to: that says nothing.
func frozen(f *os.File, mount uint64) bool {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil || fs.Flags&unix.ST_RDONLY == 0 {
		return false
	}
	// Of this thread: it may have mounts of its own.
	table, err := os.ReadFile("/proc/thread-self/mountinfo")
	return err == nil && readOnlyFS(string(table), mount)
}

// readOnlyFS tells whether the file system of a mount is read-only, by a table
// as of proc_pid_mountinfo(5).
func readOnlyFS(table string, mount uint64) bool {
	id := strconv.FormatUint(mount, 10)
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) > 0 && fields[0] == id {
			return strings.HasPrefix(fields[len(fields)-1]+",", "ro,")
		}
	}
	return false
}
