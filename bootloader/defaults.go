package bootloader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// defaultsLimit bounds how many files in /etc/default/grub.d are read.
const defaultsLimit = 256

// ours are the kernel parameters that the menu itself gives, or that would
// contradict it: which root, and mounted how.
var ours = []string{"root", "bootfs", "zfs", "ro", "rw", "initrd", "BOOT_IMAGE"}

// readCmdline reads the kernel parameters that grub-mkconfig would give this
// BE: GRUB_CMDLINE_LINUX, then GRUB_CMDLINE_LINUX_DEFAULT, without ours. What
// cannot be understood is left out and told in an error of kind ErrCmdline.
func readCmdline(root *os.Root) ([]string, error) {
	a := newAssignments()
	errs := []error{a.readFile(root, "etc/default/grub")}
	names, err := defaultsFiles(root)
	errs = append(errs, err)
	for _, name := range names {
		errs = append(errs, a.readFile(root, name))
	}
	words := []string{}
	for _, name := range []string{"GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"} {
		some, err := a.parameters(name)
		errs = append(errs, err)
		words = append(words, some...)
	}
	if err := errors.Join(errs...); err != nil {
		return words, fmt.Errorf("%w: %w", ErrCmdline, err)
	}
	return words, nil
}

// defaultsFiles lists etc/default/grub.d/*.cfg in the shell's order.
func defaultsFiles(root *os.Root) ([]string, error) {
	const dir = "etc/default/grub.d"
	entries, err := fs.ReadDir(root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".cfg") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, dir+"/"+e.Name())
		}
	}
	if len(names) > defaultsLimit {
		return nil, fmt.Errorf("/%s holds more than %d files", dir, defaultsLimit)
	}
	return names, nil
}

// readFile takes a file in; one that is missing says nothing.
func (a *assignments) readFile(root *os.Root, name string) error {
	text, err := readText(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	a.read("/"+name, text)
	return nil
}

// parameters are the kernel parameters that the variable holds, without ours.
func (a *assignments) parameters(name string) ([]string, error) {
	text, err := a.value(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	words, err := splitWords(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	words = slices.DeleteFunc(words, func(word string) bool {
		key, _, _ := strings.Cut(word, "=")
		return word == "" || slices.Contains(ours, key)
	})
	for _, word := range words {
		if !isClean(word) {
			return nil, fmt.Errorf("%s: a control character in %q", name, word)
		}
	}
	return words, nil
}
