package zones

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"snapbe/internal/command"
)

// Where systemd-nspawn(1) and machinectl(1) keep machines, below the host's /.
const (
	machinesDir = "var/lib/machines"
	settingsDir = "etc/systemd/nspawn"
	wantsDir    = "etc/systemd/system/machines.target.wants"

	settingsExt = ".nspawn"
	unitPrefix  = "systemd-nspawn@"
	unitSuffix  = ".service"
)

// Nspawn is zones on Linux: machines of systemd-nspawn(1) that start as
// systemd-nspawn@NAME.service, as machinectl(1) starts them.
type Nspawn struct {
	run  command.Runner
	tree func() (*os.Root, error)
	// poll is the time between two looks at what runs, settle how long a
	// machine may still be listed after its end, and patience how long it may
	// take to power off.
	poll, settle, patience time.Duration
}

var _ Platform = (*Nspawn)(nil)

// NewNspawn makes the platform of a Linux host; tree opens the host's file
// tree, from /. No file is reached through a symlink that leads out of it, or
// that is absolute (os.Root).
func NewNspawn(run command.Runner, tree func() (*os.Root, error)) *Nspawn {
	// 90 seconds are what systemd gives a service to stop
	// (systemd-system.conf(5), DefaultTimeoutStopSec).
	return &Nspawn{run: run, tree: tree,
		poll: 200 * time.Millisecond, settle: 5 * time.Second, patience: 90 * time.Second}
}

// RootDir is a directory below /var/lib/machines (machinectl(1)).
func (n *Nspawn) RootDir(name string) string { return path.Join("/", machinesDir, name) }

// maxName is the longest name of a machine, in bytes: HOST_NAME_MAX.
const maxName = 64

// hostnameForm is systemd's hostname_is_valid, without a dot at the end. All such
// names can stand in a dataset's name, a unit's and a file's as they are.
var hostnameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

// CheckName takes host names (machinectl(1), "Machine and image names"), but
// for those that would be read as the name of a disk image.
func (n *Nspawn) CheckName(name string) error {
	switch {
	case len(name) > maxName: // told apart, since it looks right
		return fmt.Errorf("%q is longer than %d bytes", name, maxName)
	case !hostnameForm.MatchString(name):
		return fmt.Errorf("%q is not a host name: letters, digits and hyphens, in parts between dots", name)
	case strings.HasSuffix(name, ".raw"):
		return fmt.Errorf("%q is the name of a disk image", name)
	}
	return nil
}

// List finds the directories of /var/lib/machines, the settings in
// /etc/systemd/nspawn, the units that start with the host, and the containers
// that run: a machine is known by any of these. Where systemd-container is not
// installed nothing runs.
func (n *Nspawn) List(ctx context.Context) ([]Machine, error) {
	machines, err := n.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	return machines, nil
}

func (n *Nspawn) list(ctx context.Context) ([]Machine, error) {
	root, err := n.tree()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	dirs, errDirs := n.names(root, machinesDir, fs.DirEntry.IsDir, func(s string) string { return s })
	set, errSet := n.names(root, settingsDir, func(e fs.DirEntry) bool { return !e.IsDir() }, settingsName)
	wanted, errWanted := n.names(root, wantsDir, func(e fs.DirEntry) bool { return e.Type()&fs.ModeSymlink != 0 }, unitMachine)
	up, errUp := n.running(ctx)
	if err := errors.Join(errDirs, errSet, errWanted, errUp); err != nil {
		return nil, err
	}
	found := map[string]Machine{}
	put := func(names []string, change func(*Machine)) {
		for _, name := range names {
			m := found[name]
			m.Name, m.Root, m.Brand = name, n.RootDir(name), brandNspawn
			m.State = cmp.Or(m.State, Configured)
			change(&m)
			found[name] = m
		}
	}
	put(set, func(*Machine) {})
	put(wanted, func(m *Machine) { m.Autoboot = true })
	put(dirs, func(m *Machine) { m.State = Installed })
	put(slices.Collect(maps.Keys(up)), func(m *Machine) { m.State = Running })
	return slices.SortedFunc(maps.Values(found), func(a, b Machine) int { return cmp.Compare(a.Name, b.Name) }), nil
}

// names are those of a directory's entries that stand for a machine; no
// directory has none.
func (n *Nspawn) names(root *os.Root, dir string, is func(fs.DirEntry) bool, machine func(string) string) ([]string, error) {
	entries, err := fs.ReadDir(root.FS(), dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name := machine(e.Name()); is(e) && n.CheckName(name) == nil {
			names = append(names, name)
		}
	}
	return names, nil
}

// settingsName is the machine that a file of settings is for (systemd.nspawn(5));
// "" where it is none.
func settingsName(file string) string {
	if name, ok := strings.CutSuffix(file, settingsExt); ok {
		return name
	}
	return ""
}

func settingsFile(name string) string { return path.Join(settingsDir, name+settingsExt) }

// nspawnUnit is the service that runs a machine. The name is not escaped: the
// unit hands its instance on as it stands (--machine=%i), as machinectl(1) start
// and enable have it.
func nspawnUnit(name string) string { return unitPrefix + name + unitSuffix }

// unitMachine is the machine that a service runs; "" where it runs none. An
// instance that was escaped, as systemd-escape(1) does, is taken for the machine
// that was meant.
func unitMachine(unit string) string {
	instance, isNspawn := strings.CutPrefix(unit, unitPrefix)
	instance, isService := strings.CutSuffix(instance, unitSuffix)
	if !isNspawn || !isService {
		return ""
	}
	return escaped.ReplaceAllStringFunc(instance, func(s string) string {
		code, _ := strconv.ParseUint(s[len(`\x`):], 16, 8)
		return string([]byte{byte(code)})
	})
}

// escaped is a byte of a unit's name that could not stand there
// (systemd.unit(5), "String escaping for inclusion in unit names").
var escaped = regexp.MustCompile(`\\x[0-9a-fA-F]{2}`)
