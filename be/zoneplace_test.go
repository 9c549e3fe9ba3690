package be_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/zones"
)

// linked tells whether a root of the zone "web" has its mail on the share.
func linked(w *betest.World, root string) bool {
	to, _ := os.Readlink(filepath.Join(w.ZFS.Dir(root), "var/mail"))
	return to == "share/mail"
}

// mailed is a host whose zone "web" has mail, and a snapshot of it from before that
// went to a share.
func mailed(t *testing.T, w *betest.World) {
	t.Helper()
	zoned(t, w)
	w.Put(webRoot+"zbe", "var/mail/ann", "a letter\n")
	w.Zones.Machines = []zones.Machine{{Name: "web", State: zones.Installed}}
}

// TestZoneShareIsPlaced in roots that are from before the share: at the start of the
// host, and when one is attached.
func TestZoneShareIsPlaced(t *testing.T) {
	t.Run("a rollback to before it", func(t *testing.T) {
		w := onePool(t)
		mailed(t, w)
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "be-2@mine"})
		do(t, w, be.ShareInit{Zone: "web", Dirs: []string{"mail"}})
		require.True(t, linked(w, webRoot+"zbe-1"))
		do(t, w, be.Rollback{Name: "be-2@mine", Newer: true})
		require.False(t, linked(w, webRoot+"zbe-1"))
		do(t, w, be.Activate{Name: "be-2"})
		require.NoError(t, w.Start())
		res := do(t, w, be.ZoneMount{})
		assert.True(t, linked(w, webRoot+"zbe-1"))
		assert.Equal(t, "a letter\n", w.File(webShare, "mail/ann"))
		assert.Contains(t, strings.Join(res.Notes, "\n"), webRoot+"zbe-1, /var/mail: ")
		assert.Equal(t, webShare, mountedAt(w, "/var/lib/machines/web/var/share"))
		assert.Empty(t, do(t, w, be.ZoneMount{}).Notes, "once")
	})
	t.Run("an orphan", func(t *testing.T) {
		w := onePool(t)
		mailed(t, w)
		snapshot(t, w, webRoot+"zbe@old", webRoot+"zbe/srv@old")
		clone(t, w, webRoot+"zbe@old", webRoot+"zbe-9")
		do(t, w, be.ShareInit{Zone: "web", Dirs: []string{"mail"}})
		do(t, w, be.ZoneAttach{Name: "web", ZBE: "zbe-9"})
		assert.True(t, linked(w, webRoot+"zbe-9"))
		assert.Equal(t, "a letter\n", w.File(webShare, "mail/ann"))
	})
	t.Run("what cannot be placed", func(t *testing.T) {
		w := onePool(t)
		mailed(t, w)
		do(t, w, be.ShareInit{Zone: "web", Dirs: []string{"mail"}})
		require.NoError(t, os.Remove(filepath.Join(w.ZFS.Dir(webRoot+"zbe"), "var/mail")))
		w.Put(webRoot+"zbe", "var/mail/ann", "another letter\n")
		w.Host.Boot("rpool/ROOT/debian")
		w.Stop = func(what string, _ int) error {
			if strings.HasPrefix(what, "file: ") {
				return errors.New("no space left on device")
			}
			return nil
		}
		_, err := try(t, w, be.ZoneMount{})
		w.Reset()
		require.ErrorContains(t, err, `place what is on the share of the zone "web": share /var/mail: no space left on device`)
		assert.Equal(t, "another letter\n", w.File(webRoot+"zbe", "var/mail/ann"))
		assert.Equal(t, webRoot+"zbe", zoneRoot(w, "web"), "the zone starts all the same")
		assert.Empty(t, w.Zones.Withheld())
	})
}

// TestShareOfARunningZoneRecovered: a zone that was started after a share init was cut
// off keeps nothing waiting; the share is in it at the next start of the host.
func TestShareOfARunningZoneRecovered(t *testing.T) {
	told := 0
	for n := 1; ; n++ {
		w := onePool(t)
		mailed(t, w)
		if !cut(t, w, be.ShareInit{Zone: "web", Dirs: []string{"mail"}}, n) {
			break
		}
		if mountedAt(w, "/var/lib/machines/web") != "" { // or it cannot run
			w.Zones.Machines[0].State = zones.Running
		}
		_, err := try(t, w, be.Recover{})
		if err != nil {
			told++
			assertRefusal(t, refusal{be.Busy, `make the share of the zone "web": the zone runs, and goes on without it until the next start of the host`,
				"machinectl poweroff web; snapbe share init --zone web does it now"}, err)
		}
		require.Empty(t, status(t, w).Pending, "cut before change %d", n)
		if !exists(w, webShare) {
			continue // undone
		}
		hidden := mountedAt(w, "/var/lib/machines/web") != "" && mountedAt(w, "/var/lib/machines/web/var/share") == ""
		assert.Equal(t, hidden, strings.Contains(strings.Join(status(t, w).Problems, "\n"), `the zone "web" is without its share`))

		require.NoError(t, w.Save())
		for how, next := range map[string]func(*betest.World){
			"at once":                       func(w *betest.World) { do(t, w, be.ShareInit{Zone: "web"}) },
			"at the next start of the host": func(w *betest.World) { require.NoError(t, w.Reboot()) },
		} {
			w, err := betest.LoadCopy(w.Directory(), t.TempDir())
			require.NoError(t, err)
			w.Zones.Machines[0].State = zones.Installed
			next(w)
			assert.True(t, linked(w, webRoot+"zbe"), "%s, cut before change %d", how, n)
			assert.Equal(t, "a letter\n", w.File(webShare, "mail/ann"))
			assert.Equal(t, webShare, mountedAt(w, "/var/lib/machines/web/var/share"))
			assert.Empty(t, status(t, w).Problems)
		}
	}
	assert.Positive(t, told)
}

// TestZonesDoNotWait for a zone whose root has put much where the share is to be: it
// starts without its share, and the others with theirs.
func TestZonesDoNotWait(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	for _, name := range []string{"db", "web"} {
		w.Put("rpool/zones/"+name+"/ROOT/zbe", "var/mail/ann", "a letter\n")
		do(t, w, be.ShareInit{Zone: name, Dirs: []string{"mail"}})
	}
	require.NoError(t, os.Remove(filepath.Join(w.ZFS.Dir("rpool/zones/db/ROOT/zbe"), "var/mail")))
	require.NoError(t, os.RemoveAll(filepath.Join(w.ZFS.Dir("rpool/zones/db/VARSHARE"), "mail")))
	for i := range 50 {
		w.Put("rpool/zones/db/ROOT/zbe", fmt.Sprintf("var/mail/%d", i), "much\n")
	}
	w.Host.Boot("rpool/ROOT/debian")
	sys := w.System()
	sys.ZoneTime = 200 * time.Millisecond
	sys.BeforeFile = func(string) error { time.Sleep(20 * time.Millisecond); return nil }
	_, err := be.New(sys).Do(t.Context(), be.ZoneMount{}, be.Options{})
	require.ErrorContains(t, err, `place what is on the share of the zone "db"`)
	assert.NotContains(t, err.Error(), "web")
	assert.Empty(t, w.Zones.Withheld())
	assert.Equal(t, "much\n", w.File("rpool/zones/db/ROOT/zbe", "var/mail/49"), "nothing is lost")
	assert.Equal(t, "rpool/zones/web/VARSHARE", mountedAt(w, "/var/lib/machines/web/var/share"))
}
