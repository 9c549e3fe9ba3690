package be

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// refuseShifted refuses a tree whose numbers of users are shifted, as
// systemd-nspawn -U leaves one where it cannot map them: what root writes there
// from outside would be nobody's inside.
func refuseShifted(root *os.Root) error {
	info, err := root.Stat(".")
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("its files are shifted to uid %d and on (systemd-nspawn -U): work in it from inside, when it runs", st.Uid)
	}
	return nil
}

// chownLike gives a file the owner of another one.
func chownLike(f *os.File, like fs.FileInfo) error {
	st, ok := like.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(st.Uid), int(st.Gid))
}
