package zfsfake

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Dir is the directory with the files of a filesystem or a snapshot. It panics
// where there is no such dataset. The path stays the same through renames,
// promotions and processes, but not through a rollback's destruction.
func (f *Fake) Dir(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, ok := f.st.Datasets[name]
	if !ok {
		panic(fmt.Sprintf("zfsfake: no dataset %q", name))
	}
	return filepath.Join(f.root, d.Dir)
}

func (f *Fake) makeDir(dir string) error {
	return os.MkdirAll(filepath.Join(f.root, dir), 0o755)
}

func (f *Fake) copyDir(from, to string) error {
	return CopyTree(filepath.Join(f.root, from), filepath.Join(f.root, to))
}

func (f *Fake) removeDir(dir string) error {
	return os.RemoveAll(filepath.Join(f.root, dir))
}

// restoreDir gives a directory the content of another, in place.
func (f *Fake) restoreDir(from, to string) error {
	dir := filepath.Join(f.root, to)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return f.copyDir(from, to)
}

// CopyTree copies a tree with modes, times, links, extended attributes and,
// where it may, owners.
func CopyTree(from, to string) error {
	type entry struct {
		path string
		info fs.FileInfo
	}
	var dirs []entry
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if info.IsDir() {
			dirs = append(dirs, entry{target, info})
		}
		return copyEntry(path, target, info)
	})
	if err != nil {
		return err
	}
	// Directories last and from below: what is made in one changes its time.
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := copyTimes(dirs[i].path, dirs[i].info); err != nil {
			return err
		}
	}
	return nil
}

func copyEntry(from, to string, info fs.FileInfo) error {
	switch {
	case info.IsDir():
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
	case info.Mode()&fs.ModeSymlink != 0:
		link, err := os.Readlink(from)
		if err != nil {
			return err
		}
		if err := os.Symlink(link, to); err != nil {
			return err
		}
	case info.Mode().IsRegular():
		if err := copyFile(from, to); err != nil {
			return err
		}
	default:
		st := info.Sys().(*syscall.Stat_t)
		if err := unix.Mknod(to, st.Mode, int(st.Rdev)); err != nil {
			return fmt.Errorf("mknod %s: %w", to, err)
		}
	}
	return copyAttributes(from, to, info)
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		return err
	}
	return dst.Close()
}

func copyAttributes(from, to string, info fs.FileInfo) error {
	if st := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 {
		if err := os.Lchown(to, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	if err := copyXattrs(from, to); err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		if err := os.Chmod(to, info.Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)); err != nil {
			return err
		}
	}
	return copyTimes(to, info)
}

func copyTimes(to string, info fs.FileInfo) error {
	st := info.Sys().(*syscall.Stat_t)
	times := []unix.Timespec{
		unix.NsecToTimespec(time.Unix(st.Atim.Sec, st.Atim.Nsec).UnixNano()),
		unix.NsecToTimespec(info.ModTime().UnixNano()),
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, to, times, unix.AT_SYMLINK_NOFOLLOW)
}
