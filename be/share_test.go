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
	putVar(w, "debian", "mail/ann", "a letter\n")
	putVar(w, "debian", "spool/queue/1", "a job\n")
	do(t, w, be.ShareInit{Dirs: []string{"mail", "spool"}})
}

// inVar is the dataset that a file of a BE's /var is in, and its name there.
func inVar(w *betest.World, name, file string) (dataset, at string) {
	if exists(w, "rpool/ROOT/"+name+"/var") {
		return "rpool/ROOT/" + name + "/var", file
	}
	return "rpool/ROOT/" + name, "var/" + file
}

func putVar(w *betest.World, name, file, text string) {
	dataset, at := inVar(w, name, file)
	w.Put(dataset, at, text)
}

func fileVar(w *betest.World, name, file string) string { return w.File(inVar(w, name, file)) }

// eachVar runs a test on a host with a dataset for /var, and on one without.
func eachVar(t *testing.T, f func(t *testing.T, w *betest.World)) {
	t.Helper()
	t.Run("nested var", func(t *testing.T) { f(t, onePool(t, "var")) })
	t.Run("one dataset", func(t *testing.T) { f(t, onePool(t)) })
}

// link is where a link in a BE's /var leads.
func link(t *testing.T, w *betest.World, name, file string) string {
	t.Helper()
	dataset, at := inVar(w, name, file)
	to, err := os.Readlink(filepath.Join(w.ZFS.Dir(dataset), at))
	require.NoError(t, err)
	return to
}

// The share takes effect at the next boot, in every BE, and each directory is
// then a relative link.
func TestShareInit(t *testing.T) {
	eachVar(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "older"})
		withMail(t, w)
		assert.Equal(t, "a letter\n", fileVar(w, "debian", "mail/ann"), "nothing moves before a boot")
		require.NoError(t, w.Reboot())
		assert.Equal(t, "share/mail", link(t, w, "debian", "mail"))
		assert.Equal(t, "a letter\n", w.File("rpool/VARSHARE", "mail/ann"))
		assert.Equal(t, "a job\n", w.File("rpool/VARSHARE", "spool/queue/1"))
		assert.Equal(t, "/var/share", w.ZFS.Locals("rpool/VARSHARE")["mountpoint"])
		st := status(t, w)
		assert.Equal(t, "rpool/VARSHARE", st.Share)
		assert.Equal(t, []string{"mail", "spool"}, st.ShareDirs)

		// A BE that was made before has directories of its own.
		putVar(w, "older", "mail/ann", "an old letter\n")
		do(t, w, be.Activate{Name: "older"})
		require.NoError(t, w.Reboot())
		assert.Equal(t, "share/mail", link(t, w, "older", "mail"))
		assert.Equal(t, "a letter\n", w.File("rpool/VARSHARE", "mail/ann"), "what the share has stays")
		assert.Equal(t, "an old letter\n", fileVar(w, "older", ".before-share/mail/ann"), "and what the BE had is kept")

		assert.Empty(t, do(t, w, be.ShareInit{}).Plan.Steps, "the second time there is nothing to do")
		_, err := try(t, w, be.ShareInit{Dirs: []string{"games"}})
		require.ErrorContains(t, err, "make the share: there is no /var/games")
		putVar(w, "older", "games/score", "1")
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
	putVar(w, "debian", "mail/ann", "a letter\n")
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

	snap, changes, err := be.New(w.System()).ShareDiff(t.Context(), "", "")
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
	s, err := be.New(w.System()).Share(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, s.Snapshots, 2)
	assert.Equal(t, []string{"mine", "be-3"}, []string{s.Snapshots[0].Name, s.Snapshots[1].For})

	// One that was in use when its BE went goes with the next command.
	w.ZFS.SetHolds("rpool/VARSHARE@"+s.Snapshots[1].Name, 1)
	do(t, w, be.Activate{Name: "debian"})
	do(t, w, be.Destroy{Name: "be-3"})
	require.Len(t, snapshots(t, w, "rpool/VARSHARE"), 2, "it is held")
	w.ZFS.SetHolds("rpool/VARSHARE@"+s.Snapshots[1].Name, 0)
	do(t, w, be.Create{Name: "be-3"})
	do(t, w, be.Activate{Name: "be-3"})
	require.Len(t, snapshots(t, w, "rpool/VARSHARE"), 2)

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
	putVar(w, "clone", "mail/ann", "an old letter\n")
	withMail(t, w)
	dry, err := be.New(w.System()).Do(t.Context(), be.Activate{Name: "clone"}, be.Options{DryRun: true})
	require.NoError(t, err)
	assert.Contains(t, dry.Plan.Notes, `/var/mail, /var/spool of "debian" has not gone to the share yet: reboot into "debian" first, or "clone" has its own, older one`)
	w.Host.Boot("rpool/ROOT/clone") // by hand
	do(t, w, be.ShareMount{})
	assert.Equal(t, "an old letter\n", fileVar(w, "clone", "mail/ann"), "it is left alone")
	require.NoError(t, w.Reboot())
	assert.Equal(t, "a letter\n", w.File("rpool/VARSHARE", "mail/ann"))
	do(t, w, be.Activate{Name: "clone"})
	require.NoError(t, w.Reboot())
	assert.Equal(t, "share/mail", link(t, w, "clone", "mail"))
	assert.Equal(t, "a letter\n", w.File("rpool/VARSHARE", "mail/ann"))

	putVar(w, "clone", "games/score", "1")
	do(t, w, be.ShareInit{Dirs: []string{"games"}})
	assert.Contains(t, do(t, w, be.Failback{}).Plan.Notes[0], `/var/games of "clone" has not gone to the share yet`, "the way back is open")
}

// What is to be mounted there is no directory to be shared, though nothing is
// mounted yet.
func TestShareLeavesMountPointsAlone(t *testing.T) {
	w := onePool(t)
	for _, d := range []string{"mail", "spool", "log", "crash"} {
		w.Put("rpool/ROOT/debian", "var/"+d+"/x", "x")
	}
	w.Put("rpool/ROOT/debian", "etc/fstab", "# \nnas:/mail /var/mail nfs defaults 0 0\n/dev/vdc1 /var/spool/big\\040one ext4 nofail 0 2\n")
	w.Put("rpool/ROOT/debian", `etc/systemd/system/var-log-a\x2db.mount`, "[Mount]\n")
	do(t, w, be.ShareInit{})
	require.NoError(t, w.Start())
	res := do(t, w, be.ShareMount{})
	assert.Equal(t, []string{"/var/log: is a mount", "/var/mail: is a mount", "/var/spool: is a mount", "/var/crash: moved"}, stems(res.Notes))
}

// stems are notes without their details.
func stems(notes []string) (out []string) {
	for _, n := range notes {
		for _, p := range []string{"is a mount", "moved"} {
			if before, _, ok := strings.Cut(n, p); ok {
				n = before + p
			}
		}
		out = append(out, n)
	}
	return out
}

// A share that goes back does so once, before any service, whatever else fails:
// what was delivered since is never taken.
func TestShareGoesBackOnce(t *testing.T) {
	ready := func(t *testing.T) *betest.World {
		w := onePool(t)
		withMail(t, w)
		require.NoError(t, w.Reboot())
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.ShareSnapshot{Name: "mine"})
		do(t, w, be.Activate{Name: "be-2"})
		require.NoError(t, w.Reboot())
		w.Put("rpool/VARSHARE", "mail/ann", "eaten\n")
		do(t, w, be.Failback{Share: "mine"})
		return w
	}
	t.Run("the sync fails", func(t *testing.T) {
		w := ready(t)
		w.Put("rpool/ROOT/be-2", "etc/snapbe/synclist", "what\n")
		require.NoError(t, w.Start())
		_, err := try(t, w, be.Handover{Boot: true})
		require.ErrorContains(t, err, `line 1, "what"`)
		assert.Equal(t, "a letter\n", w.File("rpool/VARSHARE", "mail/ann"))
		w.Put("rpool/VARSHARE", "mail/ann", "a letter\ndelivered since\n")
		_, err = try(t, w, be.Handover{Boot: true})
		require.Error(t, err)
		w.Put("rpool/ROOT/be-2", "etc/snapbe/synclist", "/etc/adjtime\n")
		do(t, w, be.Handover{})
		assert.Equal(t, "a letter\ndelivered since\n", w.File("rpool/VARSHARE", "mail/ann"))
	})
	t.Run("by hand", func(t *testing.T) {
		w := ready(t)
		require.NoError(t, w.Start())
		res := do(t, w, be.Handover{})
		assert.Contains(t, strings.Join(res.Notes, "\n"), "services run already; snapbe share restore mine does it")
		assert.Equal(t, "eaten\n", w.File("rpool/VARSHARE", "mail/ann"))
		assert.Empty(t, status(t, w).Problems)
	})
	t.Run("recovered late", func(t *testing.T) {
		for n := 1; ; n++ {
			w := ready(t)
			require.NoError(t, w.Start())
			if !cut(t, w, be.Handover{Boot: true}, n) {
				break
			}
			w.Put("rpool/VARSHARE", "mail/ann", "delivered since\n") // the boot went on
			do(t, w, be.Recover{})
			do(t, w, be.Handover{})
			assert.Equal(t, "delivered since\n", w.File("rpool/VARSHARE", "mail/ann"), "cut before change %d", n)
			assert.Empty(t, status(t, w).Problems)
		}
	})
	t.Run("recovered at the next boot", func(t *testing.T) {
		for n := 1; ; n++ {
			w := ready(t)
			require.NoError(t, w.Start())
			if !cut(t, w, be.Handover{Boot: true}, n) {
				break
			}
			require.NoError(t, w.Reboot())
			assert.Equal(t, "a letter\n", w.File("rpool/VARSHARE", "mail/ann"), "cut before change %d", n)
			do(t, w, be.Recover{})
			assert.Empty(t, status(t, w).Problems)
		}
	})
}

// A restore that cannot be done ends, and nothing waits for it.
func TestShareRestoreFails(t *testing.T) {
	w := onePool(t)
	withMail(t, w)
	require.NoError(t, w.Reboot())
	do(t, w, be.ShareSnapshot{Name: "mine"})
	require.NoError(t, os.RemoveAll(filepath.Join(w.ZFS.Dir("rpool/VARSHARE"), "spool/queue")))
	require.NoError(t, os.Symlink("/etc", filepath.Join(w.ZFS.Dir("rpool/VARSHARE"), "spool/queue")))
	res, err := try(t, w, be.ShareRestore{Snap: "mine", Paths: []string{"spool/queue/1"}})
	require.ErrorContains(t, err, "which is not followed")
	assert.Contains(t, strings.Join(res.Notes, "\n"), "what was there before is in 20")
	assert.Empty(t, status(t, w).Pending)
	do(t, w, be.Create{Name: "be-2"})

	// After a power cut too.
	require.True(t, cut(t, w, be.ShareRestore{Snap: "mine", Paths: []string{"mail/ann", "spool/queue/1"}}, 3))
	require.NoError(t, w.Start())
	_, err = try(t, w, be.ShareMount{})
	require.ErrorContains(t, err, "which is not followed")
	assert.Empty(t, status(t, w).Pending)
}

// One that was destroyed by hand is told of, and can be made again.
func TestShareGone(t *testing.T) {
	w := onePool(t)
	withMail(t, w)
	require.NoError(t, w.Reboot())
	do(t, w, be.Create{Name: "be-2"})
	require.NoError(t, w.Host.Detach("/var/share", true))
	require.NoError(t, w.ZFS.Destroy(t.Context(), zfs.Removal{Datasets: []string{"rpool/VARSHARE"}}))
	assert.Contains(t, do(t, w, be.Activate{Name: "be-2"}).Plan.Notes, "the share rpool/VARSHARE has gone: snapbe share init makes it again")
	_, err := try(t, w, be.ShareMount{})
	require.ErrorContains(t, err, "the dataset rpool/VARSHARE has gone")
	do(t, w, be.ShareInit{})
	do(t, w, be.Activate{Name: "debian"})
	require.NoError(t, w.Reboot())
	assert.DirExists(t, filepath.Join(w.ZFS.Dir("rpool/VARSHARE"), "mail"))
	do(t, w, be.Destroy{Name: "be-2"})
}

// A directory that came to the share later stays when all goes back.
func TestFailbackWithTheShareKeepsLaterOnes(t *testing.T) {
	w := onePool(t, "var")
	withMail(t, w)
	require.NoError(t, w.Reboot())
	do(t, w, be.ShareSnapshot{Name: "mine"})
	putVar(w, "debian", "games/score", "1\n")
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
	putVar(w, "debian", "spool/x", "x")
	putVar(w, "debian", "log/x", "x")
	create(t, w, "rpool/log", zfs.Props{"mountpoint": "/var/log"})
	w.Host.Boot("rpool/ROOT/debian")
	res := do(t, w, be.ShareInit{})
	assert.Equal(t, []string{"/var/spool goes to rpool/VARSHARE at the next boot, before any service starts"}, res.Plan.Notes)
	res = do(t, w, be.ShareInit{Dirs: []string{"log"}})
	assert.Equal(t, []string{"/var/log stays as it is as long as rpool/log is mounted there"}, res.Plan.Notes)

	w = onePool(t, "var")
	refused(t, w, be.ShareInit{}, refusal{be.Failed, "make the share: /var has none of log, mail, spool, crash that is not a mount", "name others with --dir"})
}

// What waits for a boot is told, and a failback is not taken back by a slip.
func TestWaits(t *testing.T) {
	w := onePool(t)
	withMail(t, w)
	assert.Equal(t, []string{`the next boot of "debian" moves /var/mail, /var/spool to the share`}, status(t, w).Waits)
	require.NoError(t, w.Reboot())
	assert.Empty(t, status(t, w).Waits)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.ShareSnapshot{Name: "mine"})
	do(t, w, be.Activate{Name: "be-2"})
	require.NoError(t, w.Reboot())
	res := do(t, w, be.Failback{Share: "mine"})
	assert.Contains(t, res.Plan.Notes, "when it boots, all of /var/share becomes what it was in mine; what came since is then in a snapshot only")
	assert.Equal(t, []string{`the first boot of "debian" takes over what changes in "be-2" until then`,
		`the first boot of "debian" brings the share back to mine`}, status(t, w).Waits)
	refused(t, w, be.Failback{Reboot: true}, refusal{be.Failed, `fail back to "be-2": it runs, and another one is chosen already`,
		"systemctl reboot boots the one that is chosen; snapbe activate be-2 stays with this one"})
	do(t, w, be.Activate{Name: "be-2"})
	assert.Empty(t, status(t, w).Waits)
}
