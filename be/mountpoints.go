package be

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"snapbe/internal/mount"
	"snapbe/internal/treecopy"
)

// mountPoints are the directories that a BE is told to mount something at, by
// its fstab(5) and its mount units. What is not mounted yet must not be taken
// for a directory: systemd mounts at no symlink, and fails the boot.
func mountPoints(root *treecopy.Tree) (dirs []string, err error) {
	f, err := root.OpenFile("etc/fstab")
	switch {
	case err == nil:
		text, err := io.ReadAll(io.LimitReader(f, maxFstab))
		f.Close()
		if err != nil {
			return nil, err
		}
		dirs = fstabDirs(string(text))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	names, err := root.Names("etc/systemd/system")
	if errors.Is(err, fs.ErrNotExist) {
		return dirs, nil
	}
	for _, n := range names {
		if ext := path.Ext(n); ext == ".mount" || ext == ".automount" {
			dirs = append(dirs, unitDir(strings.TrimSuffix(n, ext)))
		}
	}
	return dirs, err
}

// fstabDirs are the second fields of an fstab's lines.
func fstabDirs(text string) (dirs []string) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 1 && !strings.HasPrefix(f[0], "#") {
			dirs = append(dirs, path.Clean(mount.Unescape(f[1])))
		}
	}
	return dirs
}

// unitDir is the directory that a mount unit's name stands for
// (systemd-escape(1)).
func unitDir(name string) string {
	var b strings.Builder
	b.WriteByte('/')
	for i := 0; i < len(name); i++ {
		switch {
		case name[i] == '-':
			b.WriteByte('/')
		case strings.HasPrefix(name[i:], `\x`) && i+4 <= len(name):
			if n, err := strconv.ParseUint(name[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
			b.WriteByte(name[i])
		default:
			b.WriteByte(name[i])
		}
	}
	return b.String()
}
