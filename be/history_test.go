package be_test

import (
	"fmt"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

const (
	passwdBob = "bob:x:1001:1001::/home/bob:/bin/bash\n"
	shadowBob = "bob:$y$hash-of-bob:20000:0:99999:7:::\n"
)

// putAccounts writes both files of the accounts into a BE.
func putAccounts(w *betest.World, name, passwd, shadow string) {
	w.Put("rpool/ROOT/"+name, "etc/passwd", passwd)
	w.Put("rpool/ROOT/"+name, "etc/shadow", shadow)
}

// into boots another BE with all that goes along.
func into(t *testing.T, w *betest.World, name string) {
	t.Helper()
	do(t, w, be.Activate{Name: name})
	require.NoError(t, w.Reboot())
	require.Equal(t, "rpool/ROOT/"+name, w.Host.Running)
}

// TestRemovedAccountStaysRemoved goes ways on which a BE has the account by other
// than by a sync from the one where it was removed.
func TestRemovedAccountStaysRemoved(t *testing.T) {
	for _, c := range []struct {
		name string
		// way leads from debian, where bob has just been added, to where he is
		// removed; to is the BE that is activated then.
		way func(t *testing.T, w *betest.World)
		to  string
	}{
		{"a clone of the one it came to", func(t *testing.T, w *betest.World) {
			into(t, w, "be-2")
			do(t, w, be.Create{Name: "be-3"})
			into(t, w, "debian")
		}, "be-3"},
		{"a clone of a clone", func(t *testing.T, w *betest.World) {
			into(t, w, "be-2")
			do(t, w, be.Create{Name: "be-3"})
			do(t, w, be.Create{Name: "be-4", From: "be-3"})
			into(t, w, "debian")
		}, "be-4"},
		{"through a third one", func(t *testing.T, w *betest.World) {
			do(t, w, be.Create{Name: "be-3", From: "be-2"})
			into(t, w, "be-2")
			into(t, w, "be-3")
		}, "debian"},
		{"through a third one that has gone", func(t *testing.T, w *betest.World) {
			do(t, w, be.Create{Name: "be-3", From: "be-2"})
			into(t, w, "be-2")
			into(t, w, "be-3")
			do(t, w, be.Destroy{Name: "be-2"})
		}, "debian"},
		{"a sync without an activation", func(t *testing.T, w *betest.World) {
			do(t, w, be.Sync{Name: "be-2"})
			w.Host.Boot("rpool/ROOT/be-2") // picked in the menu
		}, "debian"},
		{"a rollback to when it was there", func(t *testing.T, w *betest.World) {
			into(t, w, "be-2")
			do(t, w, be.Create{Name: "be-2@good"})
			into(t, w, "debian")
			do(t, w, be.Rollback{Name: "be-2@good", Newer: true})
		}, "be-2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := onePool(t)
			accounts(w)
			do(t, w, be.Create{Name: "be-2"})
			putAccounts(w, "debian", passwd+passwdBob, shadow+shadowBob)
			c.way(t, w)
			ran := strings.TrimPrefix(w.Host.Running, "rpool/ROOT/")
			require.Contains(t, w.File("rpool/ROOT/"+ran, "etc/shadow"), "bob:")
			putAccounts(w, ran, passwd, shadow)
			into(t, w, c.to)
			assert.Equal(t, passwd, w.File("rpool/ROOT/"+c.to, "etc/passwd"))
			assert.Equal(t, shadow, w.File("rpool/ROOT/"+c.to, "etc/shadow"))
		})
	}
}

// TestLockAfterUnlock: a lock that brings back the very text of the origin is a
// change all the same.
func TestLockAfterUnlock(t *testing.T) {
	w := onePool(t)
	accounts(w)
	putAccounts(w, "debian", passwd, locked)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", passwd, shadow)
	into(t, w, "be-2")
	do(t, w, be.Create{Name: "be-3"})
	into(t, w, "debian")
	putAccounts(w, "debian", passwd, locked)
	into(t, w, "be-3")
	assert.Equal(t, locked, w.File("rpool/ROOT/be-3", "etc/shadow"))
}

// TestSyncPointGone: what was destroyed by hand is told.
func TestSyncPointGone(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Sync{Name: "be-2"})
	point := points(t, w, "rpool/ROOT/debian")[0]
	require.NoError(t, w.ZFS.Destroy(t.Context(), zfs.Removal{Datasets: []string{"rpool/ROOT/debian@" + point}}))
	assert.Contains(t, do(t, w, be.Sync{Name: "be-2"}).Plan.Notes,
		fmt.Sprintf(`the snapshot %s, which "be-2" has taken over from "debian", has gone: judged by an older one, so that what was locked or removed since may not be seen`, point))
}

// living is a host whose users and rights change in the BE that runs, with what
// they should be.
type living struct {
	t      *testing.T
	w      *betest.World
	r      *rand.Rand
	shadow map[string]string
	sudo   map[string]string
	log    string
	trace  []string
	// zone is the one that they change in; "" is the host.
	zone string
}

// root is where they change now.
func (l *living) root() string {
	run := l.w.Host.Running
	if l.zone == "" {
		return run
	}
	uuid := props(l.t, l.w, run, "org.opensolaris.libbe:uuid")["org.opensolaris.libbe:uuid"].Value
	for _, name := range l.w.ZFS.Names() {
		if strings.HasPrefix(name, l.zone+"/ROOT/") && l.w.ZFS.Locals(name)[zones.PropParent] == uuid && l.w.ZFS.Locals(name)[zones.PropActive] == "on" {
			return name
		}
	}
	l.t.Fatalf("the zone has no root in %s\n%s", run, strings.Join(l.trace, "\n"))
	return ""
}

const livingList = "/etc/passwd MERGE\n/etc/shadow MERGE\n/etc/sudoers.d REMOVE\n/etc/log APPEND\n"

func (l *living) told(format string, a ...any) { l.trace = append(l.trace, fmt.Sprintf(format, a...)) }

// write brings the model into the BE that runs.
func (l *living) write() {
	run := l.root()
	p, s := l.files()
	l.w.Put(run, "etc/passwd", p)
	l.w.Put(run, "etc/shadow", s)
	l.w.Put(run, "etc/log", l.log)
	require.NoError(l.t, os.RemoveAll(filepath.Join(l.w.ZFS.Dir(run), "etc/sudoers.d")))
	l.w.Put(run, "etc/sudoers.d/README", "rights\n")
	for name, text := range l.sudo {
		l.w.Put(run, "etc/sudoers.d/"+name, text)
	}
}

func (l *living) files() (passwd, shadow string) {
	for _, name := range slices.Sorted(maps.Keys(l.shadow)) {
		id := 1000 + int(name[1]-'0')
		passwd += fmt.Sprintf("%s:x:%d:%d::/home/%s:/bin/sh\n", name, id, id, name)
		shadow += fmt.Sprintf("%s:%s:20000:0:99999:7:::\n", name, l.shadow[name])
	}
	return "root:x:0:0:root:/root:/bin/sh\n" + passwd, "root:$y$r:20000:0:99999:7:::\n" + shadow
}

// change is something that an administrator does.
func (l *living) change() {
	name := fmt.Sprintf("u%d", l.r.Intn(3))
	pw, there := l.shadow[name]
	switch k := l.r.Intn(6); {
	case !there:
		l.shadow[name] = "$y$" + string(rune('a'+l.r.Intn(2)))
	case k == 0:
		delete(l.shadow, name)
	case k < 4 && strings.HasPrefix(pw, "!"):
		l.shadow[name] = pw[1:]
	case k < 4:
		l.shadow[name] = "!" + pw
	case l.sudo[name] != "":
		delete(l.sudo, name)
	default:
		l.sudo[name] = fmt.Sprintln(l.r.Intn(2))
		l.log += fmt.Sprintf("%s was given rights, %d\n", name, len(l.log))
	}
	l.told("%s %q sudo %q", name, l.shadow[name], l.sudo[name])
	l.write()
}

// other is a BE that does not run.
func (l *living) other() string {
	bes := list(l.t, l.w, be.ListOptions{})
	bes = slices.DeleteFunc(bes, func(b be.BE) bool { return b.Running })
	return bes[l.r.Intn(len(bes))].Name
}

// operate does something with another BE.
func (l *living) operate() {
	other := l.other()
	switch l.r.Intn(6) {
	case 0:
		l.told("sync %s", other)
		do(l.t, l.w, be.Sync{Name: other})
	case 1:
		from := other
		if l.r.Intn(2) == 0 {
			from = strings.TrimPrefix(l.w.Host.Running, "rpool/ROOT/")
		}
		res := do(l.t, l.w, be.Create{From: from})
		l.told("create %s from %s", res.Name, from)
	case 2:
		if bes := list(l.t, l.w, be.ListOptions{}); len(bes) > 3 {
			_, err := try(l.t, l.w, be.Destroy{Name: other})
			l.told("destroy %s: %v", other, err)
		}
	case 3:
		if cut(l.t, l.w, be.Activate{Name: other}, 1+l.r.Intn(40)) {
			l.told("activate %s, and a power cut", other)
			l.w.Host.Boot(l.w.Host.Running)
			do(l.t, l.w, be.Recover{})
			return
		}
		l.told("activate %s", other)
	default:
		l.told("activate %s", other)
		do(l.t, l.w, be.Activate{Name: other})
	}
}

// reboot boots what is to boot, with power cuts in the handover, and compares.
func (l *living) reboot() (wrong string) {
	old := l.w.Host.Running
	require.NoError(l.t, l.w.Start())
	l.told("reboot into %s", l.w.Host.Running)
	for l.r.Intn(3) == 0 && cut(l.t, l.w, be.Handover{Boot: true}, 1+l.r.Intn(25)) {
		l.told("a power cut in the handover")
		l.w.Host.Boot(l.w.Host.Running)
	}
	do(l.t, l.w, be.Handover{Boot: true})
	do(l.t, l.w, be.Recover{})
	if l.w.Host.Running != old {
		run := l.root()
		p, s := l.files()
		for file, want := range map[string]string{"etc/passwd": p, "etc/shadow": s, "etc/log": l.log} {
			if got := l.w.File(run, file); byLine(got) != byLine(want) {
				wrong += fmt.Sprintf("%s: want\n%s\ngot\n%s\n", file, want, got)
			}
		}
		for i := range 3 {
			name := fmt.Sprintf("u%d", i)
			if got := l.w.File(run, "etc/sudoers.d/"+name); got != l.sudo[name] {
				wrong += fmt.Sprintf("rights of %s: want %q, got %q\n", name, l.sudo[name], got)
			}
		}
		l.write() // in the model's order
	}
	return wrong
}

func byLine(text string) string {
	lines := strings.SplitAfter(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// TestAnyHistory: whatever way a host went through its BEs, with clones of clones,
// syncs, destroyed ones and power cuts, users and rights are always those that
// were last set, and no log line is lost or doubled.
func TestAnyHistory(t *testing.T) { anyHistory(t, 40, "") }

// TestAnyHistoryOfAZone is the same in a zone, with the host's pool and with another
// one, where a power cut may fall between the two.
func TestAnyHistoryOfAZone(t *testing.T) {
	t.Run("the host's pool", func(t *testing.T) { anyHistory(t, 15, "rpool/zones") })
	t.Run("another pool", func(t *testing.T) { anyHistory(t, 15, "tank/zones") })
}

func anyHistory(t *testing.T, seeds int64, container string) {
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := betest.New(t.TempDir(), betest.Layout{Pools: []string{"tank"}})
			l := &living{t: t, w: w, r: rand.New(rand.NewSource(seed)), log: "begun\n",
				shadow: map[string]string{"u0": "$y$a", "u1": "!$y$b"}, sudo: map[string]string{"u0": "0\n"}}
			if container != "" {
				w.AddZone(container, "web")
				l.zone = container + "/web"
			}
			l.w.Put(l.root(), "etc/snapbe/synclist", livingList)
			l.write()
			do(t, l.w, be.Create{Name: "be-2"})
			for range 40 {
				switch k := l.r.Intn(10); {
				case k < 5:
					l.change()
				case k < 8:
					l.operate()
				default:
					if wrong := l.reboot(); wrong != "" {
						t.Fatalf("%s\n%s", wrong, strings.Join(l.trace, "\n"))
					}
				}
			}
		})
	}
}
