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
