// Package zfsfake is ZFS in memory: the verbs of package zfs, held to the same
// suite (zfstest) as the real ones. Each filesystem and snapshot has a
// directory with its files, so that what works on content can be tested too,
// and a Hook stops it before any change. Loaded from a file, it writes itself
// back at every commit: separate processes see one pool.
package zfsfake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"snapbe/internal/zfs"
)

// Fake is a set of pools in memory. It is safe for concurrent use.
type Fake struct {
	// Hook, where set, is called before every change: once for a verb that
	// is all or none, before each single clone and before each dataset of
	// a Set that is not. n counts those calls from 1 on. An error stops the
	// verb there and is returned as it is; a panic leaves the fake usable,
	// as a pool is after a crash.
	Hook func(verb string, n int) error
	// Split makes Clone and Create two changes each, the dataset and then
	// its properties, as they are in OpenZFS 2.1 to 2.4 (zfs_ioc_clone,
	// zfs_ioc_create): the hook then hears of "clone" and of "clone
	// properties", and a crash between them leaves the bare dataset.
	Split bool
	// Clock gives the time of creation; nil is the clock of the host.
	Clock func() time.Time

	mu    sync.Mutex
	st    *state
	path  string // where each commit is saved, "" for nowhere
	root  string // the directory of the datasets' directories
	own   bool   // root was made by New
	steps int
}

var _ zfs.ZFS = (*Fake)(nil)

// state is all that lasts.
type state struct {
	TXG      uint64              `json:"txg"`
	Dirs     int                 `json:"dirs"`
	Pools    map[string]*pool    `json:"pools"`
	Datasets map[string]*dataset `json:"datasets"`
}

type pool struct {
	Props  map[string]string `json:"props"`
	Leaves []zfs.Leaf        `json:"leaves"`
}

type dataset struct {
	Kind     zfs.Kind          `json:"kind"`
	Local    map[string]string `json:"local,omitempty"`
	Received map[string]string `json:"received,omitempty"`
	Numbers  map[string]int64  `json:"numbers,omitempty"`
	GUID     uint64            `json:"guid"`
	TXG      uint64            `json:"txg"`
	Creation int64             `json:"creation"`
	Origin   string            `json:"origin,omitempty"`
	Mounted  bool              `json:"mounted,omitempty"`
	Holds    int               `json:"holds,omitempty"`
	// Dir is the name of the dataset's directory, which no rename and no
	// promotion moves.
	Dir string `json:"dir"`
}

// New makes a fake with empty pools, each a mirror of two disks. Its
// directories lie in a temporary one, which Close removes.
func New(pools ...string) *Fake {
	root, err := os.MkdirTemp("", "zfsfake-")
	if err != nil {
		panic(err)
	}
	f := NewIn(root, pools...)
	f.own = true
	return f
}

// NewIn is New with the datasets' directories in the directory given.
func NewIn(dir string, pools ...string) *Fake {
	f := &Fake{root: dir, st: &state{Pools: map[string]*pool{}, Datasets: map[string]*dataset{}}}
	for _, name := range pools {
		f.st.Pools[name] = &pool{
			Props: map[string]string{},
			Leaves: []zfs.Leaf{
				{Path: "/dev/vda3", State: "ONLINE", Mirror: "mirror-0"},
				{Path: "/dev/vdb3", State: "ONLINE", Mirror: "mirror-0"},
			},
		}
		f.st.add(name, &dataset{Kind: zfs.Filesystem}, f.now())
		if err := f.makeDir(f.st.Datasets[name].Dir); err != nil {
			panic(err)
		}
	}
	return f
}

// Load reads what Save wrote. From then on every commit is saved to that file,
// and the directories lie beside it, in path + ".d".
func Load(path string) (*Fake, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	st := &state{}
	if err := json.Unmarshal(b, st); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Fake{st: st, path: path, root: path + ".d"}, nil
}

// Save writes the fake with all its directories to a file for Load.
func (f *Fake) Save(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir := path + ".d"
	if dir != f.root {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := CopyTree(f.root, dir); err != nil {
			return err
		}
	}
	return write(path, f.st)
}

// Close removes the directories of a fake that New made.
func (f *Fake) Close() error {
	if !f.own {
		return nil
	}
	return os.RemoveAll(f.root)
}

// write replaces the file in one step, so that a reader in another process
// never sees half of it.
func write(path string, st *state) error {
	b, err := json.MarshalIndent(st, "", "\t")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(b, '\n'))
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// hook announces a change, outside of the lock so that the hook may look at
// the fake.
func (f *Fake) hook(ctx context.Context, verb string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	f.steps++
	n := f.steps
	f.mu.Unlock()
	if f.Hook == nil {
		return nil
	}
	return f.Hook(verb, n)
}

// tx is a change in the making: a copy of the state, and what is to be done
// to directories once everything has been found good.
type tx struct {
	*state
	now     int64
	content []func() error
}

// change runs one transaction group: all that do did to its copy, or nothing.
func (f *Fake) change(ctx context.Context, verb string, do func(*tx) error) error {
	if err := f.hook(ctx, verb); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.commit(do)
}

func (f *Fake) commit(do func(*tx) error) error {
	t := &tx{state: f.st.copy(), now: f.now()}
	t.TXG++
	if err := do(t); err != nil {
		return err
	}
	for _, step := range t.content {
		if err := step(); err != nil {
			return err
		}
	}
	f.st = t.state
	if f.path == "" {
		return nil
	}
	return write(f.path, f.st)
}

func (f *Fake) now() int64 {
	if f.Clock != nil {
		return f.Clock().Unix()
	}
	return time.Now().Unix()
}

func (s *state) copy() *state {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	c := &state{}
	if err := json.Unmarshal(b, c); err != nil {
		panic(err)
	}
	return c
}

// add gives a new dataset its identity.
func (s *state) add(name string, d *dataset, now int64) {
	s.Dirs++
	d.Dir = fmt.Sprintf("d%d", s.Dirs)
	d.TXG, d.Creation = s.TXG, now
	// Any odd multiplier spreads the numbers as real GUIDs are spread.
	d.GUID = uint64(s.Dirs) * 0x9E3779B97F4A7C15
	if d.Local == nil {
		d.Local = map[string]string{}
	}
	s.Datasets[name] = d
}

// names lists the datasets in ZFS's order: by name, a dataset's snapshots
// behind it by creation.
func (s *state) names() []string {
	var all []string
	for name := range s.Datasets {
		all = append(all, name)
	}
	slices.SortFunc(all, func(a, b string) int {
		fsA, snapA, _ := strings.Cut(a, "@")
		fsB, snapB, _ := strings.Cut(b, "@")
		if c := strings.Compare(fsA, fsB); c != 0 {
			return c
		}
		if snapA == "" || snapB == "" {
			return strings.Compare(snapA, snapB)
		}
		return int(s.Datasets[a].TXG) - int(s.Datasets[b].TXG)
	})
	return all
}

// below lists what lies below a dataset, snapshots included.
func (s *state) below(name string) []string {
	return slices.DeleteFunc(s.names(), func(n string) bool {
		return !strings.HasPrefix(n, name+"/") && !strings.HasPrefix(n, name+"@")
	})
}

// snapshots lists a dataset's own snapshots, oldest first.
func (s *state) snapshots(name string) []string {
	return slices.DeleteFunc(s.names(), func(n string) bool {
		return !strings.HasPrefix(n, name+"@")
	})
}

// clones lists the clones of a snapshot.
func (s *state) clones(snapshot string) []string {
	return slices.DeleteFunc(s.names(), func(n string) bool {
		return s.Datasets[n].Origin != snapshot
	})
}

// parent is the dataset that a filesystem or a snapshot lies below, "" for a
// pool's own.
func parent(name string) string {
	if i := strings.LastIndexAny(name, "@"); i >= 0 {
		return name[:i]
	}
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i]
	}
	return ""
}
