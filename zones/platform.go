package zones

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"
)

// State is how far a zone is, in illumos' words (zones(7), zoneadm(8)). One
// that is not listed here is kept as the platform says it.
type State string

// The states. A zone on Linux is Configured, Installed or Running.
const (
	// Configured has settings and no root file system.
	Configured State = "configured"
	// Incomplete is being installed or uninstalled, or that broke off.
	Incomplete State = "incomplete"
	Installed  State = "installed"
	Ready      State = "ready"
	// Mounted is set up for maintenance, with no processes of its own.
	Mounted      State = "mounted"
	Running      State = "running"
	ShuttingDown State = "shutting_down"
	Down         State = "down"
)

// Up tells whether the platform has, or may have, the root file system in use.
// A state that is not known counts as such.
func (s State) Up() bool { return s != Configured && s != Incomplete && s != Installed }

// Machine is a zone as the platform knows it, whether or not it has a root
// file system.
type Machine struct {
	Name string
	// Root is the directory where the platform expects the root file system,
	// such as /var/lib/machines/web, or zonepath/root on illumos.
	Root  string
	State State
	// Autoboot tells that it starts with the host.
	Autoboot bool
	// Brand is illumos' (brands(7)), and "nspawn" on Linux.
	Brand string
	// UUID is illumos' (zoneadm(8)); "" on Linux, and before an installation.
	UUID string
}

// Placement is a zone as it stands after the start of the host.
type Placement struct {
	Name string
	// Dataset is its zonepath dataset.
	Dataset string
	// Placed tells that its root is where the platform expects it.
	Placed bool
}

// Platform is how an operating system keeps zones.
type Platform interface {
	// List reads all of them, sorted by name.
	List(ctx context.Context) ([]Machine, error)
	// RootDir is where a zone's root file system is expected; it need not
	// exist.
	RootDir(name string) string
	// CheckName refuses names that the platform cannot have.
	CheckName(name string) error
	// Halt powers a zone off and returns when it has ended, by force where it
	// does not end by itself. One that does not run is left alone.
	Halt(ctx context.Context, name string) error
	// Boot starts a zone, and returns when its init runs.
	Boot(ctx context.Context, name string) error
	// CopySettings gives dst, which has none, the settings of src, but for
	// what must be its own; the new zone does not start with the host. It
	// overwrites nothing: where dst has settings the error is fs.ErrExist and
	// nothing was changed. After another error RemoveSettings undoes what was
	// done.
	CopySettings(ctx context.Context, src, dst string) error
	// Withhold lets those zones start whose root is in place, until the next boot
	// of the host or the next call. Without a call all of these, but no other
	// machines, are kept from starting. Zones that an earlier call had below one
	// of the absent datasets are kept from it too.
	Withhold(ctx context.Context, of []Placement, absent []string) error
	// RemoveSettings removes a zone's settings, also where CopySettings broke
	// off. Where it has none it does nothing; illumos refuses it for a zone
	// that is installed.
	RemoveSettings(ctx context.Context, name string) error
}

// Brand of the machines on Linux.
const brandNspawn = "nspawn"

// maxSettings bounds what is read of a file with settings, in bytes.
const maxSettings = 1 << 20

// readSmall reads a small regular file, and does not wait on a FIFO.
func readSmall(root *os.Root, name string) ([]byte, os.FileInfo, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSettings+1))
	if err == nil && (!info.Mode().IsRegular() || len(text) > maxSettings) {
		err = fmt.Errorf("/%s is not a regular file of at most %d bytes", name, maxSettings)
	}
	return text, info, err
}
