package be_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
)

// migrated is the pool after "zfs send -R | zfs receive" to new disks: GUIDs, creation times and
// properties are as they were, createtxg is by the order in which things were received: each
// dataset with all its snapshots, an origin's before its clones.
func migrated(t *testing.T, w *betest.World, order ...string) *betest.World {
	t.Helper()
	require.NoError(t, w.Save())
	to := t.TempDir()
	require.NoError(t, os.CopyFS(to, os.DirFS(w.Directory())))
	file := filepath.Join(to, "pool.json")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var st map[string]any
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	require.NoError(t, d.Decode(&st))
	ds := st["datasets"].(map[string]any)
	num := func(name string) int64 {
		n, _ := ds[name].(map[string]any)["txg"].(json.Number).Int64()
		return n
	}
	next := 100000
	for _, root := range order {
		var names []string
		for name := range ds {
			if name == root || strings.HasPrefix(name, root+"@") {
				names = append(names, name)
			}
		}
		slices.SortFunc(names, func(a, b string) int {
			if a == root || b == root {
				return len(a) - len(b)
			}
			return int(num(a) - num(b))
		})
		for _, name := range names {
			next++
			ds[name].(map[string]any)["txg"] = next
		}
	}
	for _, k := range []string{"txg"} {
		if _, ok := st[k]; ok {
			st[k] = next + 1
		}
	}
	b, err = json.Marshal(st)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, b, 0o644))
	again, err := betest.Load(to)
	require.NoError(t, err)
	return again
}

// After the pool moved to new disks, the age of snapshots of several BEs is not that of their
// transaction groups.
func TestMigrated(t *testing.T) {
	for _, move := range []bool{false, true} {
		w := onePool(t)
		accounts(w)
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "be-3"})
		into(t, w, "be-2")
		into(t, w, "debian")
		putAccounts(w, "debian", withBob, withBobS)
		do(t, w, be.Sync{Name: "be-3"})
		if move {
			running := w.Host.Running
			w = migrated(t, w, "rpool/ROOT/debian", "rpool/ROOT/be-2", "rpool/ROOT/be-3")
			require.Equal(t, running, w.Host.Running)
		}
		putAccounts(w, "debian", passwd, shadow)
		do(t, w, be.Activate{Name: "be-3"})
		noBob(t, w, "be-3")
	}
}
