package be_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

// Destroy BE@SNAP takes the list away that another tool's snapshot goes by.
func TestDestroySnapWithAList(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	do(t, w, be.Sync{Name: "be-2"}) // A
	do(t, w, be.Create{Name: "be-2@good"})
	snapshot(t, w, "rpool/ROOT/be-2@hourly")
	w.Put("rpool/ROOT/debian", "etc/adjtime", "x\n")
	do(t, w, be.Sync{Name: "be-2"}) // B
	t.Log(w.ZFS.Names())
	do(t, w, be.Destroy{Name: "be-2@good"})
	do(t, w, be.Create{Name: "be-3", From: "be-2@hourly"})
	putAccounts(w, "debian", passwd, shadow)
	do(t, w, be.Activate{Name: "be-3"})
	noBob(t, w, "be-3")
}

// Sanoid prunes the first of its snapshots after a sync.
func TestFirstOfTheOthersPruned(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	do(t, w, be.Sync{Name: "be-2"}) // A
	snapshot(t, w, "rpool/ROOT/be-2@hourly1")
	snapshot(t, w, "rpool/ROOT/be-2@hourly2")
	do(t, w, be.Create{Name: "be-2@good"}) // keeps A
	do(t, w, be.Sync{Name: "be-2"})        // B
	t.Log(w.ZFS.Names())
	if exists(w, "rpool/ROOT/be-2@hourly1") {
		require.NoError(t, w.ZFS.Destroy(t.Context(), zfs.Removal{Datasets: []string{"rpool/ROOT/be-2@hourly1"}}))
	}
	do(t, w, be.Create{Name: "be-3", From: "be-2@hourly2"})
	putAccounts(w, "debian", passwd, shadow)
	do(t, w, be.Activate{Name: "be-3"})
	noBob(t, w, "be-3")
}

// version is what a BE has of each field: a value, and the changes that it knows of.
type version struct {
	val   string
	knows map[int]bool
}

type model map[string]version

func (m model) clone() model {
	c := model{}
	for k, v := range m {
		c[k] = version{v.val, maps.Clone(v.knows)}
	}
	return c
}

func sub(a, b map[int]bool) bool {
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return true
}

type vv struct {
	t     *testing.T
	w     *betest.World
	r     *rand.Rand
	bes   map[string]model
	snaps map[string]map[string]model
	order map[string][]string
	from  string
	to    string
	n     int
	trace []string
	exec  bool
	// told are the fields that the last sync told to be in conflict, parted that
	// one was.
	told   map[string]bool
	parted bool
}

func (v *vv) say(f string, a ...any) { v.trace = append(v.trace, fmt.Sprintf(f, a...)) }

func (v *vv) run() string { return strings.TrimPrefix(v.w.Host.Running, "rpool/ROOT/") }

func (v *vv) write(name string) {
	b := v.bes[name]
	root := "rpool/ROOT/" + name
	v.w.Put(root, "etc/f", b["f"].val+"\n")
	v.w.Put(root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/"+b["shell"].val+"\n")
	v.w.Put(root, "etc/shadow", "root:$y$r:20000:0:99999:7:::\nann:$y$"+b["pw"].val+":20000:0:99999:7:::\n")
}

func (v *vv) read(name string) map[string]string {
	root := "rpool/ROOT/" + name
	got := map[string]string{"f": strings.TrimSpace(v.w.File(root, "etc/f"))}
	for line := range strings.Lines(v.w.File(root, "etc/passwd")) {
		if s, ok := strings.CutPrefix(strings.TrimSpace(line), "ann:x:1000:1000::/home/ann:/bin/"); ok {
			got["shell"] = s
		}
	}
	got["pw"] = strings.TrimPrefix(annOf(v.w, name), "$y$")
	return got
}

func (v *vv) change(name string) {
	k := []string{"f", "shell", "pw"}[v.r.Intn(3)]
	v.n++
	x := v.bes[name][k]
	x.knows = maps.Clone(x.knows)
	x.knows[v.n] = true
	x.val = fmt.Sprint("v", v.n)
	v.bes[name][k] = x
	v.say("change %s of %s to %s", k, name, x.val)
	v.write(name)
}

// synced is a sync in the model; conflict ends the history.
func (v *vv) synced(from, to string) (conflict bool) {
	s, t := v.bes[from], v.bes[to]
	for k := range s {
		switch {
		case sub(s[k].knows, t[k].knows):
		case sub(t[k].knows, s[k].knows):
			t[k] = version{s[k].val, maps.Clone(s[k].knows)}
		default:
			v.say("conflict in %s", k)
			conflict = true
		}
	}
	return conflict
}

// hear keeps what a sync tells to be in conflict.
func (v *vv) hear(res be.Result) {
	v.told = map[string]bool{}
	if res.Sync == nil {
		return
	}
	for _, i := range res.Sync.Conflicts() {
		v.told["f"] = v.told["f"] || i.Path == "/etc/f"
		for _, r := range i.Records {
			v.told["pw"] = v.told["pw"] || slices.Contains(r.Fields, "password")
			v.told["shell"] = v.told["shell"] || slices.Contains(r.Fields, "shell")
		}
	}
}

// wrong tells of fields that are not as they should be, and were not told to be in
// conflict: where a BE was destroyed that two others had something from, they are.
func (v *vv) wrong(name string) string {
	got, text := v.read(name), ""
	for k, x := range v.bes[name] {
		if got[k] != x.val {
			v.parted = true
		}
		if got[k] != x.val && !v.told[k] {
			text += fmt.Sprintf("%s of %s: want %s, got %s; ", k, name, x.val, got[k])
		}
	}
	return text
}

func (v *vv) step() (wrong string, over bool) {
	names := slices.Sorted(maps.Keys(v.bes))
	others := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == v.run() })
	other := others[v.r.Intn(len(others))]
	anyone := names[v.r.Intn(len(names))]
	pick := ""
	if o := v.order[anyone]; len(o) > 0 {
		pick = o[v.r.Intn(len(o))]
	}
	switch v.r.Intn(14) {
	case 0, 1, 2:
		v.change(v.run())
	case 3:
		if v.exec && v.r.Intn(2) == 0 {
			v.change(other)
		}
	case 4:
		v.say("sync %s", other)
		over = v.synced(v.run(), other)
		res := do(v.t, v.w, be.Sync{Name: other})
		v.hear(res)
		wrong = v.wrong(other)
	case 5, 6:
		v.say("activate %s", other)
		over = v.synced(v.run(), other)
		res := do(v.t, v.w, be.Activate{Name: other})
		v.from, v.to = v.run(), other
		v.hear(res)
		wrong = v.wrong(other)
	case 7, 8:
		require.NoError(v.t, v.w.Start())
		v.say("reboot into %s", v.run())
		cuts := 0
		for v.r.Intn(3) == 0 && cut(v.t, v.w, be.Handover{Boot: true}, 1+v.r.Intn(25)) {
			cuts++
			v.w.Host.Boot(v.w.Host.Running)
			v.say("cut")
		}
		if v.to == v.run() {
			over = v.synced(v.from, v.to)
			v.from, v.to = "", ""
		}
		res := do(v.t, v.w, be.Handover{Boot: true})
		do(v.t, v.w, be.Recover{})
		v.hear(res)
		wrong = v.wrong(v.run())
	case 9:
		picked(v.w, other)
		v.say("picked %s", other)
		if v.to == other {
			over = v.synced(v.from, v.to)
			v.from, v.to = "", ""
		}
		_, err := early(v.t, v.w)
		require.NoError(v.t, err)
		wrong = v.wrong(other)
	case 10:
		s := fmt.Sprintf("s%d", len(v.trace))
		if v.r.Intn(2) == 0 {
			s = "hourly" + s
			snapshot(v.t, v.w, "rpool/ROOT/"+anyone+"@"+s)
		} else {
			do(v.t, v.w, be.Create{Name: anyone + "@" + s})
		}
		v.say("snapshot %s@%s", anyone, s)
		v.snaps[anyone][s] = v.bes[anyone].clone()
		v.order[anyone] = append(v.order[anyone], s)
	case 11:
		if len(names) >= 5 {
			break
		}
		name, of, m := fmt.Sprintf("c%d", len(v.trace)), anyone, v.bes[anyone]
		if pick != "" && v.r.Intn(2) == 0 {
			of, m = anyone+"@"+pick, v.snaps[anyone][pick]
		}
		do(v.t, v.w, be.Create{Name: name, From: of})
		v.say("create %s from %s", name, of)
		v.bes[name], v.snaps[name] = m.clone(), map[string]model{}
	case 12:
		if pick == "" || anyone == v.run() {
			break
		}
		_, err := try(v.t, v.w, be.Rollback{Name: anyone + "@" + pick, Newer: true})
		v.say("rollback %s@%s: %v", anyone, pick, err)
		if err == nil {
			v.bes[anyone] = v.snaps[anyone][pick].clone()
			i := slices.Index(v.order[anyone], pick)
			v.order[anyone] = v.order[anyone][:i+1]
			wrong = v.wrong(anyone)
		}
	case 13:
		if len(names) < 3 {
			break
		}
		_, err := try(v.t, v.w, be.Destroy{Name: other, Snapshots: true})
		v.say("destroy %s: %v", other, err)
		if err == nil {
			delete(v.bes, other)
			delete(v.snaps, other)
			delete(v.order, other)
		}
	}
	return wrong, over
}

// versions goes through random histories of some BEs, by one step or another.
// SNAPBE_HISTORIES asks for more of them.
func versions(t *testing.T, exec bool, first int64, step func(*vv) (wrong string, over bool)) {
	many, _ := strconv.Atoi(cmp.Or(os.Getenv("SNAPBE_HISTORIES"), "12"))
	for seed := first; seed < first+int64(many); seed++ {
		w := onePool(t)
		v := &vv{t: t, w: w, r: rand.New(rand.NewSource(seed)), bes: map[string]model{"debian": {}},
			snaps: map[string]map[string]model{"debian": {}, "be-2": {}}, order: map[string][]string{}, exec: exec}
		for _, k := range []string{"f", "shell", "pw"} {
			v.bes["debian"][k] = version{"v0", map[int]bool{0: true}}
		}
		w.Put("rpool/ROOT/debian", "etc/snapbe/synclist", "/etc/passwd MERGE\n/etc/shadow MERGE\n/etc/f\n")
		v.write("debian")
		do(t, w, be.Create{Name: "be-2"})
		v.bes["be-2"] = v.bes["debian"].clone()
		for range 45 {
			wrong, over := step(v)
			if wrong != "" {
				t.Errorf("seed %d: %s\n%s", seed, wrong, strings.Join(v.trace, "\n"))
			}
			if wrong != "" || over || v.parted {
				break
			}
		}
	}
}

// TestAnyVersions: a BE ends up with the younger version of each field, or is told of
// the conflict.
func TestAnyVersions(t *testing.T) { versions(t, false, 80, (*vv).step) }

// TestAnyVersionsExec changes BEs that do not run as well.
func TestAnyVersionsExec(t *testing.T) { versions(t, true, 5000, (*vv).step) }
