package be_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
)

// goesBack is a host that has just been started to fail back with its share, which
// has changed since.
func goesBack(t *testing.T) *betest.World {
	t.Helper()
	w := onePool(t)
	shared(t, w)
	do(t, w, be.Create{Name: "be-2"})
	w.Put("rpool/VARSHARE", "mail/bob", "bob's\n")
	do(t, w, be.ShareSnapshot{Name: "mine"})
	into(t, w, "be-2")
	w.Put("rpool/VARSHARE", "mail/ann", "eaten\n")
	w.Put("rpool/VARSHARE", "mail/bob", "eaten\n")
	do(t, w, be.Failback{Share: "mine"})
	require.NoError(t, w.Start())
	return w
}

// mail is what the two mailboxes hold.
func mail(w *betest.World) string {
	return w.File("rpool/VARSHARE", "mail/ann") + w.File("rpool/VARSHARE", "mail/bob")
}

const (
	mailThen  = "a letter\nbob's\n"
	mailEaten = "eaten\neaten\n"
)

// early does what the early units do, and returns the notes and the last error.
func early(t *testing.T, w *betest.World) (notes []string, err error) {
	t.Helper()
	for _, r := range []be.Request{be.ShareMount{}, be.Handover{Boot: true}, be.Recover{}} {
		res, e := try(t, w, r)
		notes = append(notes, res.Notes...)
		notes = append(notes, res.Plan.Notes...)
		if e != nil {
			err = e
		}
	}
	return notes, err
}

// TestShareGoesBackOrNotAtAll: with a power cut anywhere in it, and the other BE
// picked in the menu then, no service meets a share that is half of each.
func TestShareGoesBackOrNotAtAll(t *testing.T) {
	for n := 1; ; n++ {
		w := goesBack(t)
		if !cut(t, w, be.Handover{Boot: true}, n) {
			require.Greater(t, n, 10)
			break
		}
		w.Host.Boot("rpool/ROOT/be-2")
		_, err := early(t, w)
		require.NoError(t, err, "cut before change %d", n)
		assert.Contains(t, []string{mailThen, mailEaten}, mail(w), "cut before change %d", n)
	}
}

// TestShareBackIsGivenUp where another BE is picked in the menu: what its services
// write is not taken back later.
func TestShareBackIsGivenUp(t *testing.T) {
	w := goesBack(t)
	w.Host.Boot("rpool/ROOT/be-2")
	notes, err := early(t, w)
	require.NoError(t, err)
	assert.Contains(t, notes, `"debian" was to boot next, with the share as in mine; since this one runs, the share stays as it is: snapbe share restore mine brings it back`)
	w.Put("rpool/VARSHARE", "mail/carl", "a week of mail\n")
	require.NoError(t, w.Reboot())
	assert.Equal(t, "rpool/ROOT/debian", w.Host.Running)
	assert.Equal(t, "a week of mail\n", w.File("rpool/VARSHARE", "mail/carl"))
	assert.Equal(t, mailEaten, mail(w))
}

// failing makes every change of bob's mailbox fail, as a bad disk does.
func failing(w *betest.World) {
	w.Stop = func(what string, _ int) error {
		if strings.HasPrefix(what, "file:") && strings.Contains(what, "bob") {
			return errors.New("I/O error")
		}
		return nil
	}
}

// TestShareBackFails: the boot says so by an error that names the snapshot, also
// where a power cut came before; and the rest is done.
func TestShareBackFails(t *testing.T) {
	for n := range 7 {
		w := goesBack(t)
		if n > 0 {
			require.True(t, cut(t, w, be.Handover{Boot: true}, n))
			w.Host.Boot("rpool/ROOT/debian")
		}
		failing(w)
		_, err := early(t, w)
		w.Reset()
		require.ErrorContains(t, err, "I/O error", "cut before change %d", n)
		assert.ErrorContains(t, err, "what it was is in @20")
		assert.Equal(t, "-", props(t, w, "rpool/ROOT", "org.snapbe:handover")["org.snapbe:handover"].Value+"-")
	}
}

// TestShareRestoreFailsAtBoot: a restore that a power cut stopped, and that cannot
// be ended, is told.
func TestShareRestoreFailsAtBoot(t *testing.T) {
	w := onePool(t)
	shared(t, w)
	w.Put("rpool/VARSHARE", "mail/bob", "bob's\n")
	do(t, w, be.ShareSnapshot{Name: "mine"})
	w.Put("rpool/VARSHARE", "mail/bob", "eaten\n")
	require.True(t, cut(t, w, be.ShareRestore{Snap: "mine", Paths: []string{"mail/bob"}}, 4))
	w.Host.Boot("rpool/ROOT/debian")
	failing(w)
	_, err := try(t, w, be.ShareMount{})
	w.Reset()
	require.ErrorContains(t, err, `restore the share from "mine": not all of it is back`)
	assert.ErrorContains(t, err, "what was there before is in 20")
	assert.Equal(t, "rpool/VARSHARE", mountedAt(w, "/var/share"), "and the share is there")
}

func mountedAt(w *betest.World, dir string) string {
	for _, mnt := range w.Host.Mounted {
		if mnt.Dir == dir {
			return mnt.Dataset
		}
	}
	return ""
}

// TestPlacingFails: until the directory of the BE that ran has moved, that of an
// older clone is not taken for the share's.
func TestPlacingFails(t *testing.T) {
	w := onePool(t)
	putVar(w, "debian", "mail/ann", "a letter\n")
	putVar(w, "debian", "spool/job", "a job\n")
	do(t, w, be.ShareInit{Dirs: []string{"mail", "spool"}})
	do(t, w, be.Create{Name: "be-2"})
	putVar(w, "debian", "mail/ann", "a letter\nand a new one\n")
	w.Host.Boot("rpool/ROOT/debian")
	w.Stop = func(what string, _ int) error {
		if strings.HasPrefix(what, "file:") && strings.Contains(what, "mail") {
			return errors.New("no space left on device")
		}
		return nil
	}
	_, err := try(t, w, be.ShareMount{})
	w.Reset()
	require.ErrorContains(t, err, "no space left")
	w.Host.Boot("rpool/ROOT/be-2")
	res := do(t, w, be.ShareMount{})
	assert.Contains(t, strings.Join(res.Plan.Notes, "\n"), `/var/mail stays as it is`)
	w.Host.Boot("rpool/ROOT/debian")
	do(t, w, be.ShareMount{})
	assert.Equal(t, "a letter\nand a new one\n", w.File("rpool/VARSHARE", "mail/ann"))
}

// TestHandoverRecoveredTells: conflicts are told although a power cut came between.
func TestHandoverRecoveredTells(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	do(t, w, be.Activate{Name: "be-2"})
	w.Put("rpool/ROOT/debian", "etc/passwd", passwd+"carl:x:999:999::/:/bin/sh\n")
	w.Put("rpool/ROOT/be-2", "etc/passwd", passwd+"pkg:x:999:999::/:/bin/false\n")
	require.NoError(t, w.Start())
	require.True(t, cut(t, w, be.Handover{Boot: true}, 3))
	w.Host.Boot("rpool/ROOT/be-2")
	res := do(t, w, be.Handover{Boot: true})
	assert.Contains(t, strings.Join(res.Notes, "\n"), `"carl": conflict`)
	require.NotNil(t, res.Sync)
}

// TestActivateTellsWhatIsGivenUp: what was left for a first boot that does not
// come.
func TestActivateTellsWhatIsGivenUp(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	do(t, w, be.Create{Name: "be-3"})
	do(t, w, be.Activate{Name: "be-2"})
	w.Host.Boot("rpool/ROOT/be-3") // picked in the menu
	assert.Contains(t, do(t, w, be.Activate{Name: "be-3"}).Plan.Notes,
		`gives up what changed last in "debian" and is not in "be-2" yet, such as locks of accounts`)

	w = goesBack(t)
	w.Host.Boot("rpool/ROOT/be-2")
	assert.Contains(t, do(t, w, be.Activate{Name: "be-2"}).Plan.Notes,
		"the share no longer goes back to mine at the next boot; snapbe share restore mine does it now")
}

// TestMalformedLineStopsNothing: it is told, and the accounts are merged.
func TestMalformedLineStopsNothing(t *testing.T) {
	w := onePool(t)
	synced(t, w)
	w.Put("rpool/ROOT/debian", "etc/passwd", w.File("rpool/ROOT/debian", "etc/passwd")+"bad:x:7\n+::::::\n")
	res := do(t, w, be.Activate{Name: "be-2"})
	assert.Contains(t, strings.Join(res.Plan.Notes, "\n"), "malformed: 3 fields, not 7")
}
