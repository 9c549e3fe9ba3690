// Package sharedvar has chosen directories of /var in common to all boot
// environments: each is a relative symlink into /var/share, which is a dataset
// outside of them all (/var/mail -> share/mail). So mail, spools and logs are
// neither lost nor taken back when another BE boots. The package puts a BE's
// directories there, tells what has changed since a snapshot of the share, and
// restores parts of it. It works on trees of files, and follows no symlink in
// them.
package sharedvar

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"

	"snapbe/internal/treecopy"
)

// Default is the directories of /var that are shared, for Debian. Not tmp, which
// Live Upgrade's successors share: anybody can put anything there, however much
// and deep, the boot would have to copy it, and systemd-tmpfiles(8) does not
// clean up behind a symlink.
func Default() []string {
	return []string{
		"log",   // what happened is to be read from any BE, most of all from the old one
		"mail",  // mail that was delivered stays delivered
		"spool", // queues (mail, print, cron, at) hold what is still to be done
		"crash", // dumps of a BE that crashed; few hosts have it
	}
}

// inBE is the directories that have to be as old as the BE, and why.
var inBE = map[string]string{
	"lib":     "it is the state of what is installed (dpkg, apt)",
	"db":      "it is the state of what is installed",
	"cache":   "it fits what is installed",
	"backups": "it is older states of the package database",
	"local":   "it belongs to /usr/local",
	"opt":     "it belongs to /opt",
	"run":     "it is /run",
	"lock":    "it is /run/lock",
	"share":   "it is the share itself",
}

// plain names need no quoting where they are kept and shown.
var plain = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]*$`)

// CheckDir tells why a directory of /var cannot be shared.
func CheckDir(dir string) error {
	if !plain.MatchString(dir) {
		return fmt.Errorf("%q is not the plain name of a directory right below /var", dir)
	}
	if why, ok := inBE[dir]; ok {
		return fmt.Errorf("/var/%s stays in the boot environment: %s", dir, why)
	}
	return nil
}

// look is Peek, with no kind for what is missing.
func look(t *treecopy.Tree, name string) (treecopy.Info, error) {
	info, err := t.Peek(name)
	if errors.Is(err, fs.ErrNotExist) {
		return treecopy.Info{}, nil
	}
	return info, err
}

// own is the attributes of a directory that belongs to root, who runs this.
func own(mode fs.FileMode) treecopy.Info {
	return treecopy.Info{Kind: treecopy.Dir, Mode: mode, UID: -1, GID: -1}
}

// MountError tells that a file system is mounted at, or is to be mounted at, a
// name.
type MountError struct{ Name string }

func (e *MountError) Error() string { return fmt.Sprintf("a file system is mounted at %q", e.Name) }

// ImmutableError tells that a name has the flag of chattr(1), +i or +a, which
// keeps it from being moved.
type ImmutableError struct{ Name string }

func (e *ImmutableError) Error() string {
	return fmt.Sprintf("%q is immutable or append-only (chattr(1))", e.Name)
}

// obstacle finds what keeps a directory from being moved, with all beneath it:
// a *MountError, or else an *ImmutableError.
func obstacle(t *treecopy.Tree, name string, mounted func(string) bool) error {
	top, err := t.Peek(name)
	if err != nil {
		return err
	}
	var immutable error
	err = walk(t, name, func(name string) error {
		info, err := t.Lstat(name)
		if err != nil {
			return err
		}
		if info.Mount != top.Mount || info.Device != top.Device || mounted != nil && mounted(name) {
			return &MountError{Name: name}
		}
		if info.Immutable && immutable == nil {
			immutable = &ImmutableError{Name: name}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return immutable
}

// walk calls f for a name and all beneath it, a directory before its content.
func walk(t *treecopy.Tree, name string, f func(name string) error) error {
	if err := f(name); err != nil {
		return err
	}
	info, err := t.Peek(name)
	if err != nil || info.Kind != treecopy.Dir {
		return err
	}
	names, err := t.Names(name)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := walk(t, treecopy.Join(name, n), f); err != nil {
			return err
		}
	}
	return nil
}
