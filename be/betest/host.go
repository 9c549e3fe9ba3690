package betest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"snapbe/internal/mount"
	"snapbe/internal/zfs"
	"snapbe/internal/zfs/zfsfake"
)

var ctx = context.Background()

// hostState is what lasts of a Host in a saved world.
type hostState struct {
	Running string
	Mounted []mount.Mounted
	Enabled bool
	Config  bool
	// User makes the caller one without privileges, NoGRUB takes GRUB away.
	User, NoGRUB bool
	Rebooted     bool
	// Quiet is true while the host is in rescue.target.
	Quiet bool
}

// Host is the operating system.
type Host struct {
	hostState
	w   *World
	tmp string
	// Command stands for what Exec runs in the tree; nil does nothing. Of a
	// tree, what its file "says" has is written to the command's stdout first.
	// Commands in several trees run at once.
	Command func(root *os.Root, argv []string) int
	// Gaps is what its kernel does not keep zones from.
	Gaps []string
}

// Boot makes a BE the running one, with the datasets that it mounts.
func (h *Host) Boot(dataset string) {
	for _, m := range h.Mounted {
		h.w.ZFS.SetMounted(m.Dataset, false)
	}
	h.Running, h.Mounted, h.Quiet = dataset, nil, false
	h.w.Zones.Placed = nil
	h.mountAt(dataset, "/")
	base := filepath.Base(dataset)
	ds, err := h.w.ZFS.Get(ctx, zfs.Query{Depth: -1, Kinds: []zfs.Kind{zfs.Filesystem}, Props: []string{"mountpoint", "canmount"}})
	if err != nil {
		panic(err)
	}
	for _, d := range ds {
		mp := d.Value("mountpoint")
		nested := strings.HasPrefix(d.Name, dataset+"/")
		boot := d.Name == "bpool/BOOT/"+base
		if d.Name != dataset && mp != "/" && strings.HasPrefix(mp, "/") && (d.Value("canmount") == "on" || nested || boot) {
			h.makeDir(mp)
			h.mountAt(d.Name, mp)
		}
	}
}

// makeDir makes a mount point where there is none, as zfs mount does.
func (h *Host) makeDir(dir string) {
	if err := os.MkdirAll(h.below(dir), 0o755); err != nil {
		panic(err)
	}
}

// below is where a directory lies, in the topmost dataset that shows it.
func (h *Host) below(dir string) string {
	at := mount.Mounted{}
	for _, m := range h.Mounted {
		if (m.Dir == "/" || dir == m.Dir || strings.HasPrefix(dir, m.Dir+"/")) && len(m.Dir) >= len(at.Dir) {
			at = m
		}
	}
	return filepath.Join(h.w.ZFS.Dir(at.Dataset), strings.TrimPrefix(dir, at.Dir))
}

func (h *Host) mountAt(dataset, dir string) {
	h.Mounted = append(h.Mounted, mount.Mounted{Dataset: dataset, Root: "/", Dir: dir, FSType: "zfs"})
	h.w.ZFS.SetMounted(dataset, true)
}

// Root is be.Host's.
func (h *Host) Root() (string, error) { return h.Running, nil }

// Privileged is be.Host's.
func (h *Host) Privileged() bool { return !h.User }

// Mounts is be.Host's.
func (h *Host) Mounts() ([]mount.Mounted, error) { return slices.Clone(h.Mounted), nil }

// Tree is a copy of the running system's files.
func (h *Host) Tree() (*os.Root, error) {
	t := mount.Tree{}
	for _, m := range h.Mounted {
		if m.FSType == "zfs" && !strings.Contains(m.Dir, "/mnt/") {
			t = append(t, mount.Entry{Dataset: m.Dataset, Dir: filepath.Join(".", m.Dir)})
		}
	}
	dir, err := h.assemble(t)
	if err != nil {
		return nil, err
	}
	return os.OpenRoot(dir)
}

// assemble copies the datasets of a tree into a new directory.
func (h *Host) assemble(t mount.Tree) (string, error) {
	if err := os.MkdirAll(h.tmp, 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(h.tmp, "tree-")
	if err != nil {
		return "", err
	}
	for _, e := range t {
		// What is mounted hides what lies below.
		at := filepath.Join(dir, e.Dir)
		if e.Dir != "." {
			if err := os.RemoveAll(at); err != nil {
				return "", err
			}
		}
		if err := os.MkdirAll(at, 0o755); err != nil {
			return "", err
		}
		if err := zfsfake.CopyTree(h.w.ZFS.Dir(e.Dataset), at); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// View is be.Host's; what f changes goes back into the datasets.
func (h *Host) View(t mount.Tree, readOnly bool, f func(*os.Root) error) (err error) {
	if !readOnly {
		if err := h.w.change("view"); err != nil {
			return err
		}
	}
	dir, err := h.assemble(t)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if !readOnly { // also what a power cut in f leaves
		defer func() { err = errors.Join(err, h.giveBack(t, dir)) }()
	}
	return f(root)
}

// giveBack puts changed files into their datasets, those below first.
func (h *Host) giveBack(t mount.Tree, dir string) error {
	for _, e := range slices.Backward(t) {
		at, to := filepath.Join(dir, e.Dir), h.w.ZFS.Dir(e.Dataset)
		if err := replaceContent(at, to); err != nil {
			return err
		}
		if e.Dir != "." {
			if err := os.RemoveAll(at); err != nil {
				return err
			}
		}
	}
	return nil
}

func replaceContent(from, to string) error {
	old, err := os.ReadDir(to)
	if err != nil {
		return err
	}
	for _, e := range old {
		if err := os.RemoveAll(filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return zfsfake.CopyTree(from, to)
}

// Attach is be.Host's; as the real one it wants the directory to be there.
func (h *Host) Attach(t mount.Tree, dir string) error {
	if err := h.checkDir(dir); err != nil {
		return err
	}
	if err := h.w.change("attach"); err != nil {
		return err
	}
	for _, e := range t {
		h.mountAt(e.Dataset, filepath.Join(dir, e.Dir))
	}
	return nil
}

// checkDir wants a directory in the topmost dataset that shows it. One where a BE
// is mounted aside lies beside the world's datasets, and the machine has it.
func (h *Host) checkDir(dir string) error {
	if strings.HasPrefix(dir, filepath.Dir(h.w.dir)+"/") {
		return nil
	}
	info, err := os.Stat(h.below(dir))
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return fmt.Errorf("attach at %s: %w", dir, err)
	}
	return nil
}

// Detach is be.Host's.
func (h *Host) Detach(dir string, _ bool) error {
	if err := h.w.change("detach"); err != nil {
		return err
	}
	found := false
	h.Mounted = slices.DeleteFunc(h.Mounted, func(m mount.Mounted) bool {
		gone := m.Dir == dir || strings.HasPrefix(m.Dir, strings.TrimSuffix(dir, "/")+"/")
		if gone {
			found = true
			h.w.ZFS.SetMounted(m.Dataset, false)
		}
		return gone
	})
	if !found {
		return fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	}
	return nil
}

// Exec is be.Host's.
func (h *Host) Exec(_ context.Context, t mount.Tree, x mount.ExecSpec) (code int, err error) {
	err = h.View(append(slices.Clone(t), x.Extra...), false, func(root *os.Root) error {
		if says, err := root.ReadFile("says"); err == nil && x.Stdout != nil {
			if _, err := x.Stdout.Write(says); err != nil {
				return err
			}
		}
		if h.Command != nil {
			code = h.Command(root, x.Argv)
		}
		return nil
	})
	return code, err
}

// ConfinementGaps is be.Host's.
func (h *Host) ConfinementGaps() []string { return h.Gaps }

// Units is be.Host's.
func (h *Host) Units(context.Context) ([]string, error) {
	if h.Enabled {
		return nil, nil
	}
	return []string{"snapbe-recover.service"}, nil
}

// EnableUnits is be.Host's.
func (h *Host) EnableUnits(context.Context, []string) error {
	if err := h.w.change("enable units"); err != nil {
		return err
	}
	h.Enabled = true
	return nil
}

// ConfigMissing is be.Host's.
func (h *Host) ConfigMissing() bool { return !h.Config }

// WriteConfig is be.Host's.
func (h *Host) WriteConfig() error {
	if err := h.w.change("write configuration"); err != nil {
		return err
	}
	h.Config = true
	return nil
}

// HasGRUB is be.Host's.
func (h *Host) HasGRUB() bool { return !h.NoGRUB }

// Reboot is be.Host's; World.Reboot does it.
func (h *Host) Reboot(context.Context) error {
	h.Rebooted = true
	return nil
}

// Quiesce is be.Host's.
func (h *Host) Quiesce(context.Context) error {
	if err := h.w.change("quiesce"); err != nil {
		return err
	}
	h.Quiet = true
	return nil
}

// Resume is be.Host's.
func (h *Host) Resume(context.Context) error {
	h.Quiet = false
	return nil
}

var errNoGRUB = errors.New("GRUB's directory is nowhere")
