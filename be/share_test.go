package be_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

// withMail is a host with a mailbox, and a share after the next boot.
func withMail(t *testing.T, w *betest.World) {
	t.Helper()
	w.Put(varOf(w, "debian"), "mail/ann", "a letter\n")
	w.Put(varOf(w, "debian"), "spool/queue/1", "a job\n")
	do(t, w, be.ShareInit{Dirs: []string{"mail", "spool"}})
}

// varOf is where a BE's /var is, as its dataset's directory has it: with a
// nested dataset it is that one.
func varOf(w *betest.World, name string) string {
	if exists(w, "rpool/ROOT/"+name+"/var") {
		return "rpool/ROOT/" + name + "/var"
	}
	return "rpool/ROOT/" + name
}

// shareHosts are hosts with a /var of their own and without.
func eachVar(t *testing.T, f func(t *testing.T, w *betest.World)) {
	t.Helper()
	t.Run("nested var", func(t *testing.T) { f(t, onePool(t, "var")) })
}

func link(t *testing.T, w *betest.World, dataset, name string) string {
	t.Helper()
	to, err := os.Readlink(filepath.Join(w.ZFS.Dir(dataset), name))
	require.NoError(t, err)
	return to
}

// The share takes effect at the next boot, in every BE, and each directory is
// then a relative link.
func TestShareInit(t *testing.T) {
	eachVar(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "older"})
		withMail(t, w)
		assert.Equal(t, "a letter\n", w.File(varOf(w, "debian"), "mail/ann"), "nothing moves before a boot")
		require.NoError(t, w.Reboot())
		assert.Equal(t, "share/mail", link(t, w, varOf(w, "debian"), "mail"))
		assert.Equal(t, "a letter\n", w.File("rpool/VARSHARE", "mail/ann"))
		assert.Equal(t, "a job\n", w.File("rpool/VARSHARE", "spool/queue/1"))
		assert.Equal(t, "/var/share", w.ZFS.Locals("rpool/VARSHARE")["mountpoint"])
		st := status(t, w)
		assert.Equal(t, "rpool/VARSHARE", st.Share)
		assert.Equal(t, []string{"mail", "spool"}, st.ShareDirs)

		// A BE that was made before has directories of its own.
		w.Put(varOf(w, "older"), "mail/ann", "an old letter\n")
		do(t, w, be.Activate{Name: "older"})
		require.NoError(t, w.Reboot())
		assert.Equal(t, "share/mail", link(t, w, varOf(w, "older"), "mail"))
		assert.Equal(t, "a letter\n", w.File("rpool/VARSHARE", "mail/ann"), "what the share has stays")
		assert.Equal(t, "an old letter\n", w.File(varOf(w, "older"), ".before-share/mail/ann"), "and what the BE had is kept")

		assert.Empty(t, do(t, w, be.ShareInit{}).Plan.Steps, "the second time there is nothing to do")
		do(t, w, be.ShareInit{Dirs: []string{"games"}})
		assert.Equal(t, []string{"mail", "spool", "games"}, status(t, w).ShareDirs)
	})
}

func TestShareRefused(t *testing.T) {
	w := onePool(t, "var")
	refused(t, w, be.ShareSnapshot{}, refusal{be.NotFound, "snapshot the share: there is no share", "snapbe share init makes it"})
	for _, dir := range []string{"lib", "cache", "../etc", "", "share", "run"} {
		_, err := try(t, w, be.ShareInit{Dirs: []string{dir}})
		require.ErrorContains(t, err, "make the share: ", "%q", dir)
	}
	create(t, w, "rpool/VARSHARE", zfs.Props{"canmount": "noauto"})
	refused(t, w, be.ShareInit{Dirs: []string{"mail"}}, refusal{be.Exists, "make the share: the dataset rpool/VARSHARE, where it would be, exists",
		"zfs rename it, or destroy it if nothing needs it"})
	require.NoError(t, w.ZFS.Destroy(t.Context(), zfs.Removal{Datasets: []string{"rpool/VARSHARE"}}))
	withMail(t, w)
	require.NoError(t, w.Reboot())
	refused(t, w, be.ShareRestore{Snap: "none"}, refusal{be.NotFound, `restore the share from "none": the share has no snapshot "none"`, "snapbe share list shows them"})
	refused(t, w, be.Failback{Share: "none"}, refusal{be.NotFound, "fail back: no previous boot environment is known", "snapbe activate NAME chooses any other"})
	do(t, w, be.ShareSnapshot{Name: "mine"})
	refused(t, w, be.ShareSnapshot{Name: "mine"}, refusal{be.Exists, `snapshot the share: it has a snapshot "mine"`, "take another name, or snapbe share destroy mine"})
	for _, path := range []string{"/etc/passwd", "../x", "/var/lib/x", "other", "/var/share", "mail/../../x"} {
		_, err := try(t, w, be.ShareRestore{Snap: "mine", Paths: []string{path}})
		require.ErrorContains(t, err, "is not below one of the shared directories", path)
	}
	_, err := try(t, w, be.ShareRestore{Snap: "mine", Paths: []string{"mail/nobody"}})
	require.ErrorContains(t, err, "mail/nobody")
}

// The new mailer eats a mailbox at its first start.
func TestShareDiffAndRestore(t *testing.T) {
	w := onePool(t, "var")
	withMail(t, w)
	require.NoError(t, w.Reboot())
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.ShareSnapshot{Name: "mine"})
	do(t, w, be.Activate{Name: "be-2"})
	w.Put("rpool/VARSHARE", "mail/ann", "a letter\nand one that came late\n")
	require.NoError(t, w.Reboot())
	w.Put("rpool/VARSHARE", "mail/ann", "")

	snap, changes, err := be.New(w.System()).ShareDiff(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, changes, 1)
	assert.Equal(t, "mail/ann", changes[0].Path)
	res := do(t, w, be.ShareRestore{Snap: snap, Paths: []string{"/var/mail/ann"}})
	assert.Equal(t, "a letter\nand one that came late\n", w.File("rpool/VARSHARE", "mail/ann"), "as at the first boot, before any service")
	assert.Equal(t, "", w.File("rpool/VARSHARE@"+res.Name, "mail/ann"), "what was there is kept")
	assert.Equal(t, "a job\n", w.File("rpool/VARSHARE", "spool/queue/1"))

	// Back, and the share with it.
	w.Put("rpool/VARSHARE", "mail/ann", "eaten again\n")
	w.Put("rpool/VARSHARE", "spool/new", "x")
	do(t, w, be.Failback{Share: "mine"})
	assert.Equal(t, "eaten again\n", w.File("rpool/VARSHARE", "mail/ann"), "not while services run")
	refused(t, w, be.ShareDestroy{Snap: "mine"}, refusal{be.Busy, `destroy the share's snapshot "mine": the share goes back to it at the next boot`, ""})
	require.NoError(t, w.Reboot())
	assert.Equal(t, "a letter\n", w.File("rpool/VARSHARE", "mail/ann"))
	assert.Empty(t, w.File("rpool/VARSHARE", "spool/new"))
	last := snapshots(t, w, "rpool/VARSHARE")
	assert.Equal(t, "eaten again\n", w.File("rpool/VARSHARE@"+last[len(last)-1], "mail/ann"), "what was there is kept")
	do(t, w, be.ShareDestroy{Snap: "mine"})
}

// Snapshots that snapbe made go with their BE, and when they are too many; the
// user's own never do.
func TestShareRetention(t *testing.T) {
	w := onePool(t, "var")
	withMail(t, w)
	require.NoError(t, w.Reboot())
	do(t, w, be.ShareSnapshot{Name: "mine"})
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Create{Name: "be-3"})
	do(t, w, be.Activate{Name: "be-2"})
	do(t, w, be.Activate{Name: "be-3"})
	require.Len(t, snapshots(t, w, "rpool/VARSHARE"), 3)
	do(t, w, be.Destroy{Name: "be-2"})
	s, err := be.New(w.System()).Share(t.Context())
	require.NoError(t, err)
	require.Len(t, s.Snapshots, 2)
	assert.Equal(t, []string{"mine", "be-3"}, []string{s.Snapshots[0].Name, s.Snapshots[1].For})

	sys := w.System()
	sys.ShareSnapshots = 2
	for range 4 {
		_, err := be.New(sys).Do(t.Context(), be.Activate{Name: "be-3"}, be.Options{})
		require.NoError(t, err)
	}
	names := snapshots(t, w, "rpool/VARSHARE")
	assert.Len(t, names, 3)
	assert.Equal(t, "mine", names[0])
}

// What lies on the share is in every BE already.
func TestSyncLeavesTheShareOut(t *testing.T) {
	w := onePool(t, "var")
	withMail(t, w)
	require.NoError(t, w.Reboot())
	w.Put("rpool/ROOT/debian", "etc/snapbe/synclist", "/var/mail\n/home/x\n/var/spool/queue\n")
	do(t, w, be.Create{Name: "be-2"})
	res := do(t, w, be.Sync{Name: "be-2"})
	assert.Zero(t, res.Sync.Written)
	text := res.Sync.String()
	assert.Equal(t, 3, strings.Count(text, ": shared ("), text)
	assert.Contains(t, text, "rpool/home")
	assert.Contains(t, text, "/var/share")
}

// What goes to the share is what the BE has that it was made in: a clone's is as
// old as the clone.
func TestShareIsTakenFromTheOneThatRan(t *testing.T) {
	w := onePool(t, "var")
	do(t, w, be.Create{Name: "clone"})
	w.Put(varOf(w, "clone"), "mail/ann", "an old letter\n")
	withMail(t, w)
	refused(t, w, be.Activate{Name: "clone"}, refusal{be.Failed, `activate "clone": /var/mail, /var/spool of "debian" is still to go to the share, when that boots`,
		`reboot into "debian" first; where that did not help, systemctl status snapbe-share.service says why`})
	w.Host.Boot("rpool/ROOT/clone") // by hand
	do(t, w, be.ShareMount{})
	assert.Equal(t, "an old letter\n", w.File(varOf(w, "clone"), "mail/ann"), "it is left alone")
	require.NoError(t, w.Reboot())
	assert.Equal(t, "a letter\n", w.File("rpool/VARSHARE", "mail/ann"))
	do(t, w, be.Activate{Name: "clone"})
	require.NoError(t, w.Reboot())
	assert.Equal(t, "share/mail", link(t, w, varOf(w, "clone"), "mail"))
	assert.Equal(t, "a letter\n", w.File("rpool/VARSHARE", "mail/ann"))

	do(t, w, be.ShareInit{Dirs: []string{"games"}})
	_, err := try(t, w, be.Failback{})
	require.ErrorContains(t, err, `/var/games of "clone" is still to go to the share`)
	require.NoError(t, w.Reboot())
	do(t, w, be.Failback{})
}

// A directory that came to the share later stays when all goes back.
func TestFailbackWithTheShareKeepsLaterOnes(t *testing.T) {
	w := onePool(t, "var")
	withMail(t, w)
	require.NoError(t, w.Reboot())
	do(t, w, be.ShareSnapshot{Name: "mine"})
	w.Put(varOf(w, "debian"), "games/score", "1\n")
	do(t, w, be.ShareInit{Dirs: []string{"games"}})
	require.NoError(t, w.Reboot())
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Activate{Name: "be-2"})
	_, err := try(t, w, be.Failback{Share: "mine"})
	require.ErrorContains(t, err, `fail back to "debian" and the share to "mine": it runs already`)
	require.NoError(t, w.Reboot())
	w.Put("rpool/VARSHARE", "mail/ann", "x")
	do(t, w, be.Failback{Share: "mine"})
	require.NoError(t, w.Reboot())
	assert.Equal(t, "a letter\n", w.File("rpool/VARSHARE", "mail/ann"))
	assert.Equal(t, "1\n", w.File("rpool/VARSHARE", "games/score"))
}

func TestShareInitTellsOfMounts(t *testing.T) {
	w := onePool(t, "var")
	w.Put(varOf(w, "debian"), "spool/x", "x")
	w.Put(varOf(w, "debian"), "log/x", "x")
	create(t, w, "rpool/log", zfs.Props{"mountpoint": "/var/log"})
	w.Host.Boot("rpool/ROOT/debian")
	res := do(t, w, be.ShareInit{})
	assert.Equal(t, []string{"/var/spool goes to rpool/VARSHARE at the next boot, before any service starts"}, res.Plan.Notes)
	res = do(t, w, be.ShareInit{Dirs: []string{"log"}})
	assert.Equal(t, []string{"/var/log stays as it is as long as rpool/log is mounted there"}, res.Plan.Notes)

	w = onePool(t, "var")
	refused(t, w, be.ShareInit{}, refusal{be.Failed, "make the share: /var has none of log, mail, spool, tmp, crash that is not a mount", "name others with --dir"})
}
