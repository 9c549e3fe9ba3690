package be_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

func TestRename(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2", Description: "a text"})
		do(t, w, be.Create{Name: "be-2@mine"})
		was := named(t, w, "be-2")
		assert.Equal(t, "new", do(t, w, be.Rename{From: "be-2", To: "new"}).Name)
		assert.Equal(t, []string{"debian", "new"}, names(t, w))
		now := named(t, w, "new")
		assert.Equal(t, was.UUID, now.UUID)
		assert.Equal(t, "a text", now.Description)
		assert.Contains(t, w.File("rpool/ROOT/new", "etc/fstab"), "rpool/ROOT/new/srv /srv")
		assert.True(t, exists(w, "rpool/ROOT/new/opt@mine"))
		assert.Contains(t, w.Boot.Text(), "root=ZFS=rpool/ROOT/new ")
		assert.NotContains(t, w.Boot.Text(), "be-2")
		if was.BootDataset != "" {
			assert.Equal(t, "bpool/BOOT/new", now.BootDataset)
		}
		do(t, w, be.Activate{Name: "new"})
		require.NoError(t, w.Reboot())
	})
}

// What failback goes to may be renamed: it is known by its UUID.
func TestRenamePrevious(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Activate{Name: "be-2"})
		require.NoError(t, w.Reboot())
		do(t, w, be.Rename{From: "debian", To: "old"})
		do(t, w, be.Failback{})
		require.NoError(t, w.Reboot())
		assert.Equal(t, "rpool/ROOT/old", w.Host.Running)
	})
}

func TestRenameRefused(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		for _, n := range []string{"be-2", "next", "mounted", "foreign"} {
			do(t, w, be.Create{Name: n})
		}
		do(t, w, be.Activate{Name: "next"})
		dir := do(t, w, be.Mount{Name: "mounted"}).Dir
		require.NoError(t, w.ZFS.Set(t.Context(), foreign("rpool/ROOT/foreign")))
		create(t, w, "rpool/ROOT/be-2/"+strings.Repeat("d", 200), zfs.Props{"mountpoint": "none"})
		for _, c := range []struct {
			request be.Rename
			want    refusal
		}{
			{be.Rename{From: "debian", To: "new"}, refusal{be.Busy, `rename "debian": it is running`, "boot another boot environment first"}},
			{be.Rename{From: "next", To: "new"}, refusal{be.Busy, `rename "next": it is the one that boots next`,
				"snapbe activate another one first: a power cut between the new name and the new menu would find nothing to boot"}},
			{be.Rename{From: "mounted", To: "new"}, refusal{be.Busy, `rename "mounted": it is mounted at ` + dir, "snapbe unmount mounted"}},
			{be.Rename{From: "none", To: "new"}, refusal{be.NotFound, `rename "none": no boot environment has that name in rpool/ROOT`,
				"snapbe list shows those that there are"}},
			{be.Rename{From: "be-2", To: "debian"}, refusal{be.Exists, `rename "be-2" to "debian": the dataset rpool/ROOT/debian exists`,
				"take another name, or snapbe destroy debian first"}},
			{be.Rename{From: "be-2", To: "be-2"}, refusal{be.Exists, `rename "be-2" to "be-2": the dataset rpool/ROOT/be-2 exists`,
				"take another name, or snapbe destroy be-2 first"}},
			{be.Rename{From: "be-2", To: "a b"}, refusal{be.Invalid,
				`rename "be-2" to "a b": a name begins with a letter or digit and has only letters, digits, and _ . : -`, ""}},
			{be.Rename{From: "be-2", To: "x@y"}, refusal{be.Invalid,
				`rename "be-2" to "x@y": a name begins with a letter or digit and has only letters, digits, and _ . : -`, ""}},
			{be.Rename{From: "be-2", To: strings.Repeat("n", 64)}, refusal{be.Invalid,
				`rename "be-2": the name of rpool/ROOT/be-2/` + strings.Repeat("d", 200) + ` would be longer than the 255 bytes of ZFS`,
				"take a shorter name"}},
			{be.Rename{From: "foreign", To: "new"}, refusal{be.Failed, `rename "foreign": it has no UUID, by which an interrupted rename is told`,
				"zfs set org.opensolaris.libbe:uuid=$(uuidgen) rpool/ROOT/foreign gives it one"}},
		} {
			t.Run(c.want.text, func(t *testing.T) { refused(t, w, c.request, c.want) })
		}
	})
}
