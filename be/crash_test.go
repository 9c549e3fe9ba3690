package be_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

// crashCase is an operation, and what is there before it.
type crashCase struct {
	name    string
	arrange func(t *testing.T, w *betest.World)
	request be.Request
	// forward is one that writes to what runs, or keeps a snapshot to go back to:
	// where it fails, nothing is taken back, and doing it again ends it.
	forward bool
}

// crashCases are every operation that is journaled.
var crashCases = []crashCase{
	{"create", nil, be.Create{Name: "new", Description: "x"}, false},
	{"create from snapshot", func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "debian@mine"})
	}, be.Create{Name: "new", From: "debian@mine"}, false},
	{"create beside a snapshot of the user's", func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "debian@mine"})
	}, be.Create{Name: "new"}, false},
	{"create below a container that mounts", func(t *testing.T, w *betest.World) {
		set(t, w, "rpool/ROOT", zfs.Props{"mountpoint": "/ROOT"})
		if exists(w, "bpool/BOOT/debian") {
			create(t, w, "bpool/BOOT/debian/x", zfs.Props{"canmount": "noauto"})
		}
	}, be.Create{Name: "new"}, false},
	{"snapshot", nil, be.Create{Name: "debian@mine"}, false},
	{"activate", func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
	}, be.Activate{Name: "be-2"}, false},
	{"activate one of another tool", func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		require.NoError(t, w.ZFS.Set(t.Context(), foreign("rpool/ROOT/be-2")))
		set(t, w, "rpool/ROOT/be-2/opt", zfs.Props{"canmount": "on"})
		do(t, w, be.BootUpdate{})
	}, be.Activate{Name: "be-2"}, false},
	{"activate a twin", func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		set(t, w, "rpool/ROOT/be-2", zfs.Props{"org.opensolaris.libbe:uuid": named(t, w, "debian").UUID})
		do(t, w, be.BootUpdate{})
	}, be.Activate{Name: "be-2"}, false},
	{"failback", func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Activate{Name: "be-2"})
		require.NoError(t, w.Reboot())
	}, be.Failback{}, false},
	{"rename", func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
	}, be.Rename{From: "be-2", To: "new"}, false},
	{"destroy", func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "be-2@mine"})
	}, be.Destroy{Name: "be-2", Snapshots: true}, false},
	{"destroy an origin", func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Activate{Name: "be-2"})
		require.NoError(t, w.Reboot())
	}, be.Destroy{Name: "debian"}, false},
	{"destroy an unfinished one", func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		set(t, w, "rpool/ROOT/be-2", zfs.Props{"org.snapbe:op": "lost"})
		do(t, w, be.BootUpdate{})
	}, be.Destroy{Name: "be-2"}, false},
	{"destroy a snapshot", func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "debian@mine"})
	}, be.Destroy{Name: "debian@mine"}, false},
	{"rollback", func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "be-2@mine"})
		w.Put("rpool/ROOT/be-2", "etc/motd", "later")
		do(t, w, be.Create{Name: "be-2@newer"})
	}, be.Rollback{Name: "be-2@mine", Newer: true}, false},
	{"init", nil, be.Init{}, false},
	{"sync", synced, be.Sync{Name: "be-2"}, false},
	{"activate with a sync", synced, be.Activate{Name: "be-2"}, false},
	{"activate again after a change", func(t *testing.T, w *betest.World) {
		synced(t, w)
		do(t, w, be.Activate{Name: "be-2"})
		w.Put("rpool/ROOT/debian", "etc/adjtime", "late\n")
	}, be.Activate{Name: "be-2"}, false},
	{"handover", func(t *testing.T, w *betest.World) {
		synced(t, w)
		do(t, w, be.Activate{Name: "be-2"})
		w.Put("rpool/ROOT/debian", "etc/adjtime", "late\n")
		require.NoError(t, w.Start())
	}, be.Handover{}, true},
	{"failback with a sync", func(t *testing.T, w *betest.World) {
		synced(t, w)
		do(t, w, be.Activate{Name: "be-2"})
		require.NoError(t, w.Reboot())
		w.Put("rpool/ROOT/be-2", "etc/adjtime", "three\n")
	}, be.Failback{}, false},
	{"share", func(t *testing.T, w *betest.World) {
		putVar(w, "debian", "mail/ann", "a letter\n")
	}, be.ShareInit{Dirs: []string{"mail"}}, false},
	{"share more", func(t *testing.T, w *betest.World) {
		putVar(w, "debian", "mail/ann", "a letter\n")
		putVar(w, "debian", "spool/x", "x")
		do(t, w, be.ShareInit{Dirs: []string{"mail"}})
	}, be.ShareInit{Dirs: []string{"spool"}}, false},
	{"activate with a share", func(t *testing.T, w *betest.World) {
		shared(t, w)
		do(t, w, be.Create{Name: "be-2"})
	}, be.Activate{Name: "be-2"}, false},
	{"share restore", func(t *testing.T, w *betest.World) {
		shared(t, w)
		do(t, w, be.ShareSnapshot{Name: "mine"})
		w.Put("rpool/VARSHARE", "mail/ann", "eaten")

	}, be.ShareRestore{Snap: "mine", Paths: []string{"mail/ann"}}, true},
	{"create with zones", zoned, be.Create{Name: "new"}, false},
	{"create with zones that have a history", func(t *testing.T, w *betest.World) {
		syncedZones(t, w)
		do(t, w, be.Activate{Name: "be-2"})
		require.NoError(t, w.Reboot())
	}, be.Create{Name: "new"}, false},
	{"activate with zones", func(t *testing.T, w *betest.World) {
		zoned(t, w)
		do(t, w, be.Create{Name: "be-2"})
	}, be.Activate{Name: "be-2"}, false},
	{"sync with zones", syncedZones, be.Sync{Name: "be-2"}, false},
	{"activate with zones that changed", func(t *testing.T, w *betest.World) {
		syncedZones(t, w)
		zoneShares(t, w)
	}, be.Activate{Name: "be-2"}, false},
	{"activate with zones and a share", func(t *testing.T, w *betest.World) {
		syncedZones(t, w)
		zoneShares(t, w)
		shared(t, w)
		do(t, w, be.ZoneMount{})
	}, be.Activate{Name: "be-2"}, false},
	{"handover with zones", func(t *testing.T, w *betest.World) {
		syncedZones(t, w)
		zoneShares(t, w)
		do(t, w, be.Activate{Name: "be-2"})
		w.Put(webRoot+"zbe", "etc/motd", "late\n")
		w.Put(farZones(w)+"/far/ROOT/zbe", "etc/shadow", locked)
		require.NoError(t, w.Start())
	}, be.Handover{}, true},
	{"handover of zones that were not there", func(t *testing.T, w *betest.World) {
		syncedZones(t, w)
		do(t, w, be.Activate{Name: "be-2"})
		w.Put(farZones(w)+"/far/ROOT/zbe", "etc/shadow", locked)
		withoutFar(t, w, func() { require.NoError(t, w.Reboot()) })
	}, be.Handover{}, true},
	{"failback with zones", func(t *testing.T, w *betest.World) {
		syncedZones(t, w)
		zoneShares(t, w)
		do(t, w, be.Activate{Name: "be-2"})
		require.NoError(t, w.Reboot())
		w.Put(webRoot+"zbe-1", "etc/motd", "three\n")
		w.Put(farZones(w)+"/far/ROOT/zbe-1", "etc/motd", "three\n")
	}, be.Failback{}, false},
	{"share restore in a zone", func(t *testing.T, w *betest.World) {
		syncedZones(t, w)
		zoneShares(t, w)
		do(t, w, be.ShareSnapshot{Name: "mine", Zone: "web"})
		w.Put(webShare, "mail/ann", "eaten")
	}, be.ShareRestore{Snap: "mine", Zone: "web", Paths: []string{"mail/ann"}}, true},
	{"share of a zone", func(t *testing.T, w *betest.World) {
		syncedZones(t, w)
		w.Put(webRoot+"zbe", "var/mail/ann", "a letter\n")
		w.Put(webRoot+"zbe-1", "var/mail/ann", "an older one\n")
	}, be.ShareInit{Zone: "web", Dirs: []string{"mail"}}, false},
	{"snapshot with zones", syncedZones, be.Create{Name: "debian@mine"}, false},
	{"destroy a snapshot with zones", func(t *testing.T, w *betest.World) {
		syncedZones(t, w)
		do(t, w, be.Create{Name: "debian@mine"})
	}, be.Destroy{Name: "debian@mine"}, false},
	{"rollback with zones", rolledZones, be.Rollback{Name: "be-2@mine", Newer: true}, false},
	{"destroy one with zones and their shares' snapshots", func(t *testing.T, w *betest.World) {
		syncedZones(t, w)
		zoneShares(t, w)
		do(t, w, be.Activate{Name: "be-2"})
		do(t, w, be.Activate{Name: "debian"})
	}, be.Destroy{Name: "be-2"}, false},
	{"destroy one with zones", func(t *testing.T, w *betest.World) {
		zoned(t, w)
		do(t, w, be.Create{Name: "be-2"})
	}, be.Destroy{Name: "be-2"}, false},
	{"zone adopt a directory", machine, be.ZoneAdopt{Name: "mail"}, false},
	{"zone adopt one more", func(t *testing.T, w *betest.World) {
		zoned(t, w)
		machine(t, w)
	}, be.ZoneAdopt{Name: "mail"}, false},
	{"zone adopt a dataset", machineDataset, be.ZoneAdopt{Name: "mail"}, false},
	{"zone attach an orphan", func(t *testing.T, w *betest.World) {
		zoned(t, w)
		orphaned(t, w, "rpool/zones/web/ROOT/zbe")
		w.Host.Boot("rpool/ROOT/debian")
		set(t, w, "rpool/zones/web/ROOT/zbe/srv", zfs.Props{"canmount": "on"})
	}, be.ZoneAttach{Name: "web"}, false},
	{"zone attach by a clone", func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "new"})
		zoned(t, w)
		w.Host.Boot("rpool/ROOT/new")
	}, be.ZoneAttach{Name: "web"}, false},
	{"zone attach one that was received", received, be.ZoneAttach{Name: "web"}, false},
	{"zone attach another one", moved, be.ZoneAttach{Name: "web", ZBE: "zbe-1"}, false},
	{"zone attach to one that does not run", func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "new"})
		zoned(t, w)
	}, be.ZoneAttach{Name: "web", BE: "new"}, false},
	{"zone failback", upgraded, be.ZoneFailback{Name: "web"}, false},
	{"zone clone", zoned, be.ZoneClone{From: "web", Name: "web2"}, false},
	{"zone destroy orphans", manyOrphans, be.ZoneDestroyOrphans{Snapshots: true}, false},
	{"zone destroy", func(t *testing.T, w *betest.World) {
		syncedZones(t, w)
		zoneShares(t, w)
		w.Host.Boot(w.Host.Running)
		do(t, w, be.ZoneMount{})
		do(t, w, be.ShareSnapshot{Name: "mine", Zone: "web"})
		do(t, w, be.ZoneClone{From: "web", Name: "web2"})
		w.Zones.Settings = map[string]string{"web": "mine"}
	}, be.ZoneDestroy{Name: "web", Snapshots: true}, false},
	{"destroy one with snapshots of the share", func(t *testing.T, w *betest.World) {
		shared(t, w)
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Activate{Name: "be-2"})
		do(t, w, be.Activate{Name: "debian"})
	}, be.Destroy{Name: "be-2"}, false},
}

// shared is a host with a mailbox on the share.
func shared(t *testing.T, w *betest.World) {
	t.Helper()
	putVar(w, "debian", "mail/ann", "a letter\n")
	do(t, w, be.ShareInit{Dirs: []string{"mail"}})
	require.NoError(t, w.Reboot())
}

// prepare makes the case's world once; each run begins with a copy of it.
func (c crashCase) prepare(t *testing.T, l betest.Layout) func() *betest.World {
	dir := t.TempDir()
	l.Plain = c.name == "init"
	w := betest.New(dir, l)
	if c.arrange != nil {
		c.arrange(t, w)
	}
	w.Reset()
	require.NoError(t, w.Save())
	return func() *betest.World {
		w, err := betest.LoadCopy(dir, t.TempDir())
		require.NoError(t, err)
		// As on a real pool: what is made may be met without its properties.
		w.ZFS.Split = true
		return w
	}
}

// cut carries the request out with the power cut before change number n; it
// tells whether there was such a change.
func cut(t *testing.T, w *betest.World, r be.Request, n int) (wasCut bool) {
	w.Reset()
	defer w.Reset()
	w.Stop = func(what string, i int) error {
		if i == n {
			panic(powerCut(what))
		}
		return nil
	}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case powerCut:
			wasCut = true
		default:
			panic(p)
		}
	}()
	_, err := be.New(w.System()).Do(t.Context(), r, be.Options{})
	require.NoError(t, err)
	return false
}

type powerCut string

// outcome tells whether a world is exactly before or exactly after.
func outcome(t *testing.T, w *betest.World, before, after []string, where string) {
	t.Helper()
	got := w.Capture()
	if assert.ObjectsAreEqual(before, got) || assert.ObjectsAreEqual(after, got) {
		return
	}
	t.Errorf("%s: neither before nor after", where)
	assert.Equal(t, before, got, "compared with before")
	assert.Equal(t, after, got, "compared with after")
	t.FailNow()
}

func TestPowerCutAnywhere(t *testing.T) {
	for layout, l := range layouts {
		for _, c := range crashCases {
			t.Run(layout+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				world := c.prepare(t, l)
				w := world()
				before := w.Capture()
				require.False(t, cut(t, w, c.request, -1))
				after := w.Capture()
				require.NotEqual(t, before, after, "the operation must do something")
				for n := 1; ; n++ {
					w := world()
					if !cut(t, w, c.request, n) {
						break
					}
					if c.name != "init" { // before it, snapbe's menu is not in charge
						_, err := w.Boots()
						require.NoError(t, err, "cut before change %d: the machine must boot", n)
					}
					refusedWhilePending(t, w)
					cutRecovery(t, w, before, after, n, false)
					// See TestActivateAgainCut; and another tool's mounts itself when the
					// machine starts, so that what it was synced stays, and is ended.
					if c.name != "init" && !strings.HasPrefix(c.name, "activate again") && c.name != "activate one of another tool" {
						cutRecovery(t, w, unmounted(before), unmounted(after), n, true)
					}
				}
			})
		}
	}
}

// unmounted is a capture without its mounts.
func unmounted(capture []string) []string {
	return slices.DeleteFunc(slices.Clone(capture), func(l string) bool { return strings.HasPrefix(l, "mounted ") })
}

// cutRecovery recovers with the power cut once more, before some of the changes that
// recovering makes, and then to the end; or, once the machine has started in
// between, to the end at once.
func cutRecovery(t *testing.T, w *betest.World, before, after []string, n int, started bool) {
	t.Helper()
	require.NoError(t, w.Save())
	// Every fourth change of the recovery, beginning with another one for each n.
	for k := 1 + n%4; ; k += 4 {
		again, err := betest.LoadCopy(w.Directory(), t.TempDir())
		require.NoError(t, err)
		// The machine starts in between, and mounts what mounts by itself.
		if started {
			require.NoError(t, again.Start())
		}
		wasCut := !started && !testing.Short() && cut(t, again, be.Recover{}, k)
		do(t, again, be.Recover{})
		if started {
			again.Host.Mounted = nil // which is that of what was booted
		}
		outcome(t, again, before, after, fmt.Sprintf("cut before change %d, and before change %d of recovery", n, k))
		st, err := be.New(again.System()).Status(t.Context())
		require.NoError(t, err)
		assert.Empty(t, st.Pending)
		if !wasCut {
			return
		}
	}
}

// timeless is a capture without what differs between two runs: the times in
// names, and the operations' ids.
func timeless(capture []string) (out []string) {
	for _, l := range capture {
		if strings.Contains(l, "org.snapbe:op=") {
			continue
		}
		out = append(out, times.ReplaceAllString(l, "TIME"))
	}
	return out
}

// A BE that is activated once more boots by itself already, whatever becomes of
// that: what it has of the files then is old or new, and its handover ends it.
func TestActivateAgainCut(t *testing.T) {
	for layout, l := range layouts {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(crashCases, func(c crashCase) bool { return strings.HasPrefix(c.name, "activate again") })
			world := crashCases[i].prepare(t, l)
			for n := 1; ; n++ {
				w := world()
				if !cut(t, w, crashCases[i].request, n) {
					break
				}
				require.NoError(t, w.Reboot(), "with its handover")
				do(t, w, be.Recover{})
				assert.Equal(t, "rpool/ROOT/be-2", w.Host.Running)
				assert.Equal(t, "late\n", w.File("rpool/ROOT/be-2", "etc/adjtime"), "cut before change %d", n)
				assert.Empty(t, w.File("rpool/ROOT/be-2", "etc/.adjtime.snapbe-new"))
				assert.Empty(t, status(t, w).Problems)
			}
		})
	}
}

// refusedWhilePending: nothing else may begin where an operation waits.
func refusedWhilePending(t *testing.T, w *betest.World) {
	t.Helper()
	st, err := be.New(w.System()).Status(t.Context())
	require.NoError(t, err)
	if st.Pending == "" {
		return
	}
	_, err = be.New(w.System()).Do(t.Context(), be.Create{Name: "another"}, be.Options{})
	var e *be.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, be.Pending, e.Code)
	assert.Contains(t, e.Hint, "snapbe recover")
}

// A step that fails leaves everything as it was, or, past the point of no
// return, something that recover brings to its end.
func TestErrorAnywhere(t *testing.T) {
	boom := errors.New("input/output error")
	for layout, l := range layouts {
		for _, c := range crashCases {
			t.Run(layout+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				world := c.prepare(t, l)
				w := world()
				before := w.Capture()
				require.False(t, cut(t, w, c.request, -1))
				after := w.Capture()
				for n := 1; n <= 1000; n++ {
					w := world()
					failed := false
					w.Stop = func(_ string, i int) error {
						if i == n {
							failed = true
							return boom
						}
						return nil
					}
					_, err := be.New(w.System()).Do(t.Context(), c.request, be.Options{})
					w.Stop = nil
					if !failed {
						require.NoError(t, err)
						return
					}
					require.ErrorContains(t, err, boom.Error(), "change %d", n)
					var e *be.Error
					if errors.As(err, &e) && e.Code == be.Pending {
						do(t, w, be.Recover{})
					}
					if c.forward {
						do(t, w, be.Recover{}) // where the record itself could not be taken away
						do(t, w, c.request)
						same(t, timeless(after), timeless(w.Capture()))
						continue
					}
					outcome(t, w, before, after, fmt.Sprintf("change %d failed", n))
				}
			})
		}
	}
}
