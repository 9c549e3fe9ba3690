package bootloader

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

var (
	// ErrNoKernel is the error of a BE without a kernel.
	ErrNoKernel = errors.New("no kernel")
	// ErrNoInitrd is the error of a BE whose kernels all lack their initrd.
	ErrNoInitrd = errors.New("no initrd")
	// ErrCmdline is the error of a BE whose kernel parameters could not be
	// read without running a shell.
	ErrCmdline = errors.New("kernel parameters not understood")
)

// textLimit bounds the small files that are read from a BE, in bytes.
const textLimit = 256 << 10

// Inspect reads from a BE's tree how it boots: the newest kernel in bootDir
// that has its initrd, the system's name, the kernel parameters of the BE's
// own GRUB defaults. The tree is not trusted: nothing is run, no link leads
// out of root, and only regular files are read.
//
// Without a kernel the error is ErrNoKernel or ErrNoInitrd. With ErrCmdline
// the Boot is whole but for the parameters that were not understood; it is
// for the caller to say so and to go on.
func Inspect(root *os.Root, bootDir string) (Boot, error) {
	kernel, initrd, err := findKernel(root, strings.TrimPrefix(bootDir, "/"))
	if err != nil {
		return Boot{}, err
	}
	boot := Boot{Title: osTitle(root), Kernel: kernel, Initrd: initrd}
	boot.Cmdline, err = readCmdline(root)
	return boot, err
}

var (
	kernelForm = regexp.MustCompile(`^vmlinuz-([0-9][0-9A-Za-z.+~_-]*)$`)
	// leftover marks what package managers and administrators put aside.
	leftover = regexp.MustCompile(`(\.bak|\.old|\.new|\.orig|\.save|\.dpkg-[a-z]+|\.old-dkms|~)$`)
)

// initrdNames are the names that distributions give the initrd of a version,
// Debian's first.
func initrdNames(version string) []string {
	return []string{
		"initrd.img-" + version, "initramfs-" + version + ".img", "initrd-" + version,
	}
}

// findKernel returns the newest kernel that has its initrd, and that initrd.
func findKernel(root *os.Root, dir string) (kernel, initrd string, err error) {
	versions, err := kernelVersions(root, dir)
	if err != nil {
		return "", "", err
	}
	for _, version := range versions {
		kernel := "vmlinuz-" + version
		if checkLoadable(root, path.Join(dir, kernel)) != nil {
			continue
		}
		for _, initrd := range initrdNames(version) {
			if checkLoadable(root, path.Join(dir, initrd)) == nil {
				return kernel, initrd, nil
			}
		}
	}
	if len(versions) == 0 {
		return "", "", fmt.Errorf("%w in /%s", ErrNoKernel, dir)
	}
	newest := "vmlinuz-" + versions[0]
	if err := checkLoadable(root, path.Join(dir, newest)); err != nil {
		return "", "", fmt.Errorf("%w that can be loaded: %w", ErrNoKernel, err)
	}
	return "", "", fmt.Errorf("%w for %s in /%s: %s is missing, empty or no regular file",
		ErrNoInitrd, newest, dir, initrdNames(versions[0])[0])
}

// kernelVersions lists the versions of the kernels in dir, the newest first.
func kernelVersions(root *os.Root, dir string) ([]string, error) {
	d, err := root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no /%s", ErrNoKernel, dir)
	} else if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var versions []string
	for _, name := range names {
		if m := kernelForm.FindStringSubmatch(name); m != nil && !leftover.MatchString(name) {
			versions = append(versions, m[1])
		}
	}
	slices.SortFunc(versions, func(a, b string) int {
		if c := compareVersions(b, a); c != 0 {
			return c
		}
		return strings.Compare(b, a)
	})
	return versions, nil
}

// checkLoadable tells why GRUB could not load the file, or nil.
func checkLoadable(root *os.Root, name string) error {
	// Not through a link: GRUB would follow it by its own rules.
	if info, err := root.Lstat(name); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("/%s is no regular file", name)
	}
	f, err := openRegular(root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if n, err := io.ReadFull(f, make([]byte, 1)); n == 0 {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("/%s is empty", name)
		}
		return err
	}
	return nil
}

// openRegular opens a regular file for reading, and does not wait on others.
func openRegular(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("/%s is no regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// readText reads a small text file of a BE.
func readText(root *os.Root, name string) (string, error) {
	f, err := openRegular(root, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, textLimit+1))
	if err != nil {
		return "", err
	}
	if len(text) > textLimit {
		return "", fmt.Errorf("/%s is larger than %d bytes", name, textLimit)
	}
	return string(text), nil
}
