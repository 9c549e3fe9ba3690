package be

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"snapbe/bootloader"
	"snapbe/internal/mount"
	"snapbe/internal/zfs"
)

// treeProps decide where the datasets of a BE show, and what is allowed there;
// the kernel module leaves the latter to whoever mounts.
var treeProps = []string{"mountpoint", "canmount", "exec", "setuid", "devices"}

// tree is a BE as it shows when it runs: root, nested datasets, boot dataset.
func (m *Manager) tree(ctx context.Context, b BE) (mount.Tree, error) {
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: b.datasets(), Depth: -1, Kinds: []zfs.Kind{zfs.Filesystem}, Props: treeProps})
	if err != nil {
		return nil, err
	}
	return treeOf(b, ds), nil
}

// treeOf places the filesystems of a BE, parents first.
func treeOf(b BE, ds []zfs.Dataset) mount.Tree {
	t := mount.Tree{{Dataset: b.Dataset, Dir: "."}}
	for _, d := range ds {
		mp := d.Value("mountpoint")
		switch {
		case d.Kind != zfs.Filesystem || d.Name == b.Dataset:
		case d.Name == b.BootDataset:
			t = append(t, mount.Entry{Dataset: d.Name, Dir: "boot"})
		case d.Value("canmount") == "off" || !strings.HasPrefix(mp, "/") || mp == "/":
		default:
			t = append(t, mount.Entry{Dataset: d.Name, Dir: path.Clean(mp)[1:],
				NoExec: d.Value("exec") == "off", NoSetuid: d.Value("setuid") == "off", NoDevices: d.Value("devices") == "off"})
		}
	}
	slices.SortStableFunc(t[1:], func(a, c mount.Entry) int { return depth(a.Dir) - depth(c.Dir) })
	return t
}

// treeOfClones is the tree of a BE whose clones are still to be made: their
// mount points follow from what is set on them, as ZFS inherits it.
func treeOfClones(b BE, sources []zfs.Dataset, clones []zfs.Clone) mount.Tree {
	at := map[string]string{}
	ds := make([]zfs.Dataset, 0, len(clones))
	for i, c := range clones {
		mp, ok := c.Props["mountpoint"]
		if !ok {
			mp = at[path.Dir(c.Target)]
			if strings.HasPrefix(mp, "/") {
				mp = path.Join(mp, path.Base(c.Target))
			}
		}
		at[c.Target] = mp
		ds = append(ds, zfs.Dataset{Name: c.Target, Kind: sources[i].Kind, Props: map[string]zfs.Property{
			"mountpoint": {Value: mp}, "canmount": {Value: c.Props["canmount"]}}})
	}
	return treeOf(b, ds)
}

func depth(dir string) int { return strings.Count(dir, "/") }

// bootDirs are the directories that must show for a BE to be inspected.
var bootDirs = []string{"boot", "etc", "usr", "usr/lib"}

// bootTree is as much of a tree as booting is decided by: mounting a hundred
// nested datasets to read two files would be a waste.
func bootTree(t mount.Tree) mount.Tree {
	part := mount.Tree{}
	for _, e := range t {
		if e.Dir == "." || slices.Contains(bootDirs, e.Dir) {
			part = append(part, e)
		}
	}
	return part
}

// look shows f the files that booting a BE is decided by, read-only.
func (m *Manager) look(ctx context.Context, b BE, f func(*os.Root) error) error {
	asItRuns, err := m.showsWhole(b)
	if err != nil {
		return err
	}
	if asItRuns {
		root, err := m.sys.Host.Tree()
		if err != nil {
			return err
		}
		defer root.Close()
		return f(root)
	}
	t, err := m.tree(ctx, b)
	if err != nil {
		return err
	}
	return m.sys.Host.View(bootTree(t), true, f)
}

// showsWhole tells whether a BE is what shows at /, with its own boot dataset:
// where /boot is not mounted, or is another one's, its kernels are not there.
func (m *Manager) showsWhole(b BE) (bool, error) {
	if !b.Running || b.BootDataset == "" {
		return b.Running, nil
	}
	mounts, err := m.sys.Host.Mounts()
	return lastAt(mounts, "/boot").Dataset == b.BootDataset, err
}

// inspect reads from a BE how it boots. Kernel parameters that could not be
// understood are left out, and the note says so.
func (m *Manager) inspect(ctx context.Context, b BE) (boot bootloader.Boot, note string, err error) {
	err = m.look(ctx, b, func(root *os.Root) error {
		boot, note, err = readBoot(root)
		return err
	})
	if note != "" {
		note = fmt.Sprintf("%q: %s", b.Name, note)
	}
	return boot, note, err
}

func readBoot(root *os.Root) (boot bootloader.Boot, note string, err error) {
	boot, err = bootloader.Inspect(root, "boot")
	if errors.Is(err, bootloader.ErrCmdline) {
		return boot, err.Error(), nil
	}
	return boot, "", err
}

// bootable is inspect for an operation that needs the BE to boot.
func (m *Manager) bootable(ctx context.Context, b BE, what string) (bootloader.Boot, error) {
	boot, _, err := m.inspect(ctx, b)
	if noKernel(err) {
		return boot, &Error{Code: Failed, Text: what, Err: err, Hint: reinstallKernel(b)}
	}
	return boot, err
}

// noKernel tells whether inspecting a BE found nothing that could boot.
func noKernel(err error) bool {
	return errors.Is(err, bootloader.ErrNoKernel) || errors.Is(err, bootloader.ErrNoInitrd)
}

func reinstallKernel(b BE) string {
	const how = "apt-get install --reinstall linux-image-amd64"
	if b.Running {
		return how + " puts a kernel and initrd there"
	}
	return "snapbe exec " + b.Name + " -- " + how + " puts a kernel and initrd there"
}
