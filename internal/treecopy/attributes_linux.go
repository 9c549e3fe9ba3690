package treecopy

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// proc is a path to what a descriptor stands for. Calls that an O_PATH
// descriptor refuses (EBADF) go through it, and nowhere else.
func proc(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

func listxattr(fd int, buf []byte) (int, error) {
	n, err := unix.Flistxattr(fd, buf)
	if err == unix.EBADF {
		return unix.Listxattr(proc(fd), buf)
	}
	return n, err
}

func getxattr(fd int, name string, buf []byte) (int, error) {
	n, err := unix.Fgetxattr(fd, name, buf)
	if err == unix.EBADF {
		return unix.Getxattr(proc(fd), name, buf)
	}
	return n, err
}

func setxattr(fd int, name, value string) error {
	err := unix.Fsetxattr(fd, name, []byte(value), 0)
	if err == unix.EBADF {
		return unix.Setxattr(proc(fd), name, []byte(value), 0)
	}
	return err
}

func removexattr(fd int, name string) error {
	err := unix.Fremovexattr(fd, name)
	if err == unix.EBADF {
		return unix.Removexattr(proc(fd), name)
	}
	return err
}

func chmod(fd int, mode fs.FileMode) error {
	err := unix.Fchmod(fd, unixMode(mode))
	if err == unix.EBADF {
		return unix.Chmod(proc(fd), unixMode(mode))
	}
	return err
}

// sized calls a function that fills a buffer until all fits in.
func sized(fill func([]byte) (int, error)) (string, error) {
	for {
		n, err := fill(nil)
		if err != nil || n == 0 {
			return "", err
		}
		buf := make([]byte, n)
		n, err = fill(buf)
		if err == unix.ERANGE {
			continue
		}
		if err != nil {
			return "", err
		}
		return string(buf[:n]), nil
	}
}

// xattrs reads all extended attributes, which is nil where there are none.
func xattrs(fd int) (map[string]string, error) {
	list, err := sized(func(b []byte) (int, error) { return listxattr(fd, b) })
	if err == unix.ENOTSUP {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all map[string]string
	for name := range strings.SplitSeq(strings.TrimSuffix(list, "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value, err := sized(func(b []byte) (int, error) { return getxattr(fd, name, b) })
		if err == unix.ENODATA {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if all == nil {
			all = map[string]string{}
		}
		all[name] = value
	}
	return all, nil
}

// SetAttributes gives like's mode, owner, times, ACLs and extended attributes
// to what is there; of a symlink only owner and times. The other hard links of
// a file change with it, wherever they are: where that is not wanted, use
// Copy. Where like has a kind, another one is a *KindError.
func (t *Tree) SetAttributes(name string, like Info) error {
	fd, err := t.openName(name, unix.O_PATH)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	is, err := stat(fd, name)
	if err == nil && like.Kind != "" && like.Kind != is.Kind {
		err = &KindError{Name: name, Is: is.Kind, Want: like.Kind}
	}
	if err != nil {
		return err
	}
	if err := t.before("attributes of %q", name); err != nil {
		return err
	}
	if err := apply(fd, name, like); err != nil {
		return err
	}
	return t.syncName(name)
}

// apply gives attributes to what a descriptor stands for. At no moment may
// somebody do more than both before and after.
func apply(fd int, name string, like Info) error {
	is, err := inspect(fd, name)
	if err != nil {
		return err
	}
	moves := like.UID >= 0 && like.UID != is.UID || like.GID >= 0 && like.GID != is.GID
	if moves && is.Kind != Symlink && is.Mode&like.Mode != is.Mode {
		if err := chmod(fd, is.Mode&like.Mode&fs.ModePerm); err != nil {
			return fmt.Errorf("mode of %q: %w", name, err)
		}
	}
	if moves {
		if err := unix.Fchownat(fd, "", like.UID, like.GID, unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("owner of %q: %w", name, err)
		}
	}
	// Not even for a moment is what is right already set to anything else.
	if is.Kind != Symlink && (moves || is.Mode != like.Mode || !maps.Equal(is.Xattrs, like.Xattrs)) {
		if err := applyMode(fd, name, is, like); err != nil {
			return err
		}
	}
	times := []unix.Timespec{timespec(like.Accessed), timespec(like.Modified)}
	if err := unix.UtimesNanoAt(fd, "", times, unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("times of %q: %w", name, err)
	}
	return nil
}

// applyMode gives mode, ACLs and extended attributes, once the owner is right:
// a change of owner takes setuid bits and capabilities away.
func applyMode(fd int, name string, is, like Info) error {
	for x := range is.Xattrs {
		// An ACL that a new file inherited would count once the mode is wider.
		if _, keep := like.Xattrs[x]; keep || isLabel(x) {
			continue
		}
		if err := removexattr(fd, x); err != nil && err != unix.ENODATA {
			return fmt.Errorf("remove attribute %q of %q: %w", x, name, err)
		}
	}
	mode := like.Mode
	if _, ok := like.Xattrs[accessACL]; ok {
		// With an ACL these bits are its mask, without they are the group's.
		mode &^= 0o070
	}
	if err := chmod(fd, mode); err != nil {
		return fmt.Errorf("mode of %q: %w", name, err)
	}
	names := make([]string, 0, len(like.Xattrs))
	for x := range like.Xattrs {
		if x != defaultACL || is.Kind == Dir {
			names = append(names, x)
		}
	}
	slices.Sort(names)
	for _, x := range names {
		err := setxattr(fd, x, like.Xattrs[x])
		if isLabel(x) && (err == unix.ENOTSUP || err == unix.EPERM) {
			continue
		}
		if err != nil {
			return fmt.Errorf("attribute %q of %q: %w", x, name, err)
		}
	}
	return nil
}

func timespec(t time.Time) unix.Timespec {
	if t.IsZero() {
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}
