package be

import (
	"io/fs"
	"os"
	"syscall"
)

// chownLike gives a file the owner of another one.
func chownLike(f *os.File, like fs.FileInfo) error {
	st, ok := like.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(st.Uid), int(st.Gid))
}
