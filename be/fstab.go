package be

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxFstab bounds what is read of an fstab, in bytes.
const maxFstab = 1 << 20

// renameInFstab writes new names of datasets into a BE's fstab(5), where it
// mounts datasets by name; a line may name the dataset or one below it. The
// BE is not trusted: its etc may hold links.
func renameInFstab(root *os.Root, renames map[string]string) error {
	old, info, err := readSmall(root, "etc/fstab", maxFstab)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("its fstab: %w", err)
	}
	text := fstabWith(string(old), renames)
	if text == string(old) {
		return nil
	}
	if err := replaceFile(root, "etc/fstab", []byte(text), info); err != nil {
		return fmt.Errorf("its fstab: %w", err)
	}
	return nil
}

// fstabWith renames the first field of each line; all else stays as it is.
func fstabWith(text string, renames map[string]string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		body := strings.TrimLeft(line, " \t")
		indent := line[:len(line)-len(body)]
		end := strings.IndexAny(body, " \t\n")
		if end <= 0 || body[0] == '#' {
			continue
		}
		for from, to := range renames {
			if within(body[:end], from) {
				lines[i] = indent + to + body[len(from):]
				break
			}
		}
	}
	return strings.Join(lines, "")
}

// readSmall reads a regular file of a BE; anything else there is refused.
func readSmall(root *os.Root, name string, limit int64) ([]byte, fs.FileInfo, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, nil, fmt.Errorf("%s is not a regular file of at most %d bytes", name, limit)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	return b, info, err
}

// replaceFile puts a new content in a file's place, whole or not at all, with
// mode and owner as they were.
func replaceFile(root *os.Root, name string, content []byte, was fs.FileInfo) error {
	tmp := name + ".snapbe-new"
	if err := root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, was.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(content))
	err = errors.Join(err, chownLike(f, was), f.Chmod(was.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		_ = root.Remove(tmp)
		return err
	}
	dir, err := root.Open("etc")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
