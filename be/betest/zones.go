package betest

import (
	"context"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"snapbe/internal/zfs"
	"snapbe/zones"
)

// Zones is a platform whose zones are what was set up; what runs is what the
// test says.
type Zones struct {
	w *World
	zonesState
}

// zonesState is what lasts of Zones in a saved world.
type zonesState struct {
	// Machines are those that there are beside the datasets.
	Machines []zones.Machine
	// Known are the zones that each BE knows of, by its dataset and by name, with
	// their zonepath datasets; Placed those whose root is in place in this boot.
	Known  map[string]map[string]string
	Placed []string
	// Settings tells whose settings a new zone was given.
	Settings map[string]string
}

// List is zones.Platform's.
func (z *Zones) List(context.Context) ([]zones.Machine, error) { return slices.Clone(z.Machines), nil }

// RootDir is zones.Platform's.
func (z *Zones) RootDir(name string) string { return "/var/lib/machines/" + name }

// CheckName is zones.Platform's.
func (z *Zones) CheckName(name string) error { return nil }

// Halt is zones.Platform's.
func (z *Zones) Halt(_ context.Context, name string) error { return z.state(name, zones.Installed) }

// Boot is zones.Platform's.
func (z *Zones) Boot(_ context.Context, name string) error { return z.state(name, zones.Running) }

func (z *Zones) state(name string, s zones.State) error {
	if err := z.w.change("zone " + string(s)); err != nil {
		return err
	}
	for i := range z.Machines {
		if z.Machines[i].Name == name {
			z.Machines[i].State = s
		}
	}
	return nil
}

// CopySettings is zones.Platform's.
func (z *Zones) CopySettings(_ context.Context, src, dst string) error {
	if err := z.w.change("copy settings"); err != nil {
		return err
	}
	if z.Settings[dst] != "" {
		return fs.ErrExist
	}
	if z.Settings == nil {
		z.Settings = map[string]string{}
	}
	z.Settings[dst] = src
	return nil
}

// RemoveSettings is zones.Platform's.
func (z *Zones) RemoveSettings(_ context.Context, name string) error {
	delete(z.Settings, name)
	return nil
}

// Withhold is zones.Platform's.
func (z *Zones) Withhold(_ context.Context, of []zones.Placement, absent []string) error {
	was, now := z.Known[z.w.Host.Running], map[string]string{}
	for name, dataset := range was {
		if slices.ContainsFunc(absent, func(in string) bool { return strings.HasPrefix(dataset, in+"/") }) {
			now[name] = dataset
		}
	}
	z.Placed = nil
	for _, x := range of {
		now[x.Name] = x.Dataset
		if x.Placed {
			z.Placed = append(z.Placed, x.Name)
		}
	}
	if z.Known == nil {
		z.Known = map[string]map[string]string{}
	}
	z.Known[z.w.Host.Running] = now
	return nil
}

// Withheld are the zones that do not start in the running BE.
func (z *Zones) Withheld() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(z.Known[z.w.Host.Running])), func(name string) bool { return slices.Contains(z.Placed, name) })
}

// AddZone makes a zone with one zone BE, the active one of the running boot
// environment, in container.
func (w *World) AddZone(container, name string) {
	if _, err := w.ZFS.Get(ctx, zfs.Query{Roots: []string{container}}); err != nil {
		w.create(container, zfs.Props{"canmount": "off", "mountpoint": "none"})
	}
	root := w.Host.Running
	ds, err := w.ZFS.Get(ctx, zfs.Query{Roots: []string{root}, Props: []string{"org.opensolaris.libbe:uuid"}})
	if err != nil {
		panic(err)
	}
	zone := container + "/" + name
	w.create(zone, zfs.Props{"canmount": "off", "mountpoint": "none"})
	w.create(zone+"/ROOT", zfs.Props{"canmount": "off", "mountpoint": "none"})
	w.create(zone+"/ROOT/zbe", zfs.Props{"canmount": "noauto", "mountpoint": "/",
		zones.PropParent: ds[0].Local("org.opensolaris.libbe:uuid"), zones.PropActive: "on"})
	w.Put(zone+"/ROOT/zbe", "etc/os-release", "ID=debian\n")
	w.Put(zone+"/ROOT/zbe", "etc/machine-id", "00000000000000000000000000000000\n")
	w.Put(zone+"/ROOT/zbe", "version", name+" 1\n")
	w.Put(zone+"/ROOT/zbe", "var/lib/dpkg/status", "\n")
	ds, err = w.ZFS.Get(ctx, zfs.Query{Roots: []string{path.Dir(root)}, Props: []string{"org.snapbe:zones"}})
	if err != nil {
		panic(err)
	}
	list := strings.FieldsFunc(ds[0].Local("org.snapbe:zones"), func(r rune) bool { return r == ',' })
	if slices.Contains(list, container) {
		return
	}
	if err := w.ZFS.Set(ctx, []zfs.Change{{Dataset: path.Dir(root), Set: zfs.Props{"org.snapbe:zones": strings.Join(append(list, container), ",")}}}); err != nil {
		panic(err)
	}
}
