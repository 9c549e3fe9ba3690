package betest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"snapbe/internal/zfs"
)

// Capture is all that a user could tell apart: datasets, where they come from
// and what is set on them, their files, mounts, the menu and the boot disks.
// The journal is left out, and what only tells when something was made.
func (w *World) Capture() []string {
	var out []string
	for _, name := range w.ZFS.Names() {
		ds, err := w.ZFS.Get(ctx, zfs.Query{Roots: []string{name}, Props: []string{"origin"},
			Kinds: []zfs.Kind{zfs.Filesystem, zfs.Volume, zfs.Snapshot}})
		if err != nil {
			panic(err)
		}
		out = append(out, name+" origin="+ds[0].Value("origin"))
		for p, v := range w.ZFS.Locals(name) {
			if p == "org.snapbe:had" {
				v = w.byName(v)
			}
			if p != "org.snapbe:journal" && p != "org.snapbe:booted" {
				out = append(out, fmt.Sprintf("%s %s=%q", name, p, v))
			}
		}
		if !strings.Contains(name, "@") {
			out = append(out, w.files(name)...)
		}
	}
	for _, pool := range []string{"rpool", "bpool"} {
		if p, err := w.ZFS.PoolGet(ctx, pool, []string{"bootfs"}); err == nil {
			out = append(out, pool+" bootfs="+p["bootfs"].Value)
		}
	}
	for _, m := range w.Host.Mounted {
		out = append(out, "mounted "+m.Dataset+" at "+m.Dir)
	}
	for zone, of := range w.Zones.Settings {
		out = append(out, "settings of "+zone+" are those of "+of)
	}
	for disk, path := range w.Boot.On {
		out = append(out, disk+" reads "+path)
	}
	slices.Sort(out)
	return out
}

// byName are the snapshots with these GUIDs, which are others each time.
func (w *World) byName(guids string) string {
	all, err := w.ZFS.Get(ctx, zfs.Query{Depth: -1, Kinds: []zfs.Kind{zfs.Snapshot}, Props: []string{"guid"}})
	if err != nil {
		panic(err)
	}
	var names []string
	for _, guid := range strings.Split(guids, ",") {
		for _, s := range all {
			if s.Value("guid") == guid {
				names = append(names, s.Name)
			}
		}
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

func (w *World) files(dataset string) (out []string) {
	root := w.ZFS.Dir(dataset)
	err := filepath.Walk(root, func(p string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		text, err := os.ReadFile(p)
		out = append(out, fmt.Sprintf("%s/%s: %s", dataset, strings.TrimPrefix(p, root), text))
		return err
	})
	if err != nil {
		panic(err)
	}
	return out
}

// Boots tells what the machine would boot if it were started now, by the menu
// of the disks, and whether that BE is there with its kernel and initrd.
func (w *World) Boots() (dataset string, err error) {
	m, err := w.Boot.Read()
	if err != nil {
		return "", err
	}
	for _, e := range m.Entries {
		if e.UUID != m.Default {
			continue
		}
		files, dir, _ := strings.Cut(e.Path, "@")
		files = "rpool" + files
		if strings.HasPrefix(e.Path, "/BOOT/") {
			files = "bpool" + strings.TrimPrefix(files, "rpool")
		}
		for _, name := range []string{e.Kernel, e.Initrd} {
			if w.File(files, filepath.Join(dir, name)) == "" {
				return "", fmt.Errorf("%s has no %s", files, name)
			}
		}
		return e.Dataset, nil
	}
	return "", fmt.Errorf("the default %q is no entry", m.Default)
}
