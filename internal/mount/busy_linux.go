package mount

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// usedBy looks through the processes for ones that have a place in one of the
// mounts as their directory, root, program or open file. It returns the use
// of the first mount that has one, nil where there is none. A file that is
// only mapped is not found here; the kernel still refuses to unmount it.
func usedBy(mounts []Mounted) error {
	at := map[int]*BusyError{}
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range procs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		for _, id := range mountsOf(dir) {
			if at[id] == nil {
				at[id] = &BusyError{}
			}
			name, _ := os.ReadFile(dir + "/comm")
			at[id].By = append(at[id].By, Process{PID: pid, Name: strings.TrimSpace(string(name))})
		}
	}
	for _, m := range mounts {
		if busy := at[m.ID]; busy != nil {
			busy.Dir, busy.Dataset = m.Dir, m.Dataset
			return busy
		}
	}
	return nil
}

// mountsOf is the mounts that a process has something of, each once.
func mountsOf(proc string) []int {
	var ids []int
	seen := map[int]bool{}
	links, _ := filepath.Glob(proc + "/fd/*")
	for _, link := range append(links, proc+"/cwd", proc+"/root", proc+"/exe") {
		var stat unix.Statx_t
		err := unix.Statx(unix.AT_FDCWD, link, unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &stat)
		if err != nil || stat.Mask&unix.STATX_MNT_ID == 0 || seen[int(stat.Mnt_id)] {
			continue // the process ended, or the file is of no mount
		}
		seen[int(stat.Mnt_id)] = true
		ids = append(ids, int(stat.Mnt_id))
	}
	return ids
}
