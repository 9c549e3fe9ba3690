package be_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
)

// The new BE's fstab names its own datasets; all else in it stays.
func TestFstab(t *testing.T) {
	for _, c := range []struct{ name, old, want string }{
		{"below the root", "rpool/ROOT/debian/srv /srv zfs defaults 0 0\n", "rpool/ROOT/new/srv /srv zfs defaults 0 0\n"},
		{"the root", "rpool/ROOT/debian / zfs defaults 0 0\n", "rpool/ROOT/new / zfs defaults 0 0\n"},
		{"the boot dataset", "bpool/BOOT/debian /boot zfs nodev 0 0\n", "bpool/BOOT/new /boot zfs nodev 0 0\n"},
		{"tabs and an indent", "\t rpool/ROOT/debian\t/\tzfs\n", "\t rpool/ROOT/new\t/\tzfs\n"},
		{"no newline at the end", "rpool/ROOT/debian / zfs", "rpool/ROOT/new / zfs"},
		{"another BE's", "rpool/ROOT/debian-1 /x zfs\n", "rpool/ROOT/debian-1 /x zfs\n"},
		{"a comment", "# rpool/ROOT/debian / zfs\n", "# rpool/ROOT/debian / zfs\n"},
		{"not the first field", "/dev/sda rpool/ROOT/debian ext4\n", "/dev/sda rpool/ROOT/debian ext4\n"},
		{"odd lines", "\n\n  \nLABEL=x /x ext4\nrpool/ROOT/debian\n", "\n\n  \nLABEL=x /x ext4\nrpool/ROOT/new\n"},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := split(t)
			w.Put("rpool/ROOT/debian", "etc/fstab", c.old)
			do(t, w, be.Create{Name: "new"})
			assert.Equal(t, c.want, w.File("rpool/ROOT/new", "etc/fstab"))
			assert.Equal(t, c.old, w.File("rpool/ROOT/debian", "etc/fstab"))
		})
	}
}

func TestFstabMissing(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		file := filepath.Join(w.ZFS.Dir("rpool/ROOT/debian"), "etc/fstab")
		require.NoError(t, os.Remove(file))
		do(t, w, be.Create{Name: "bare"})
	})
}

// What is no file is not written to; the BE may come from anywhere.
func TestFstabHostile(t *testing.T) {
	w := onePool(t)
	dir := filepath.Join(w.ZFS.Dir("rpool/ROOT/debian"), "etc")
	require.NoError(t, os.Remove(filepath.Join(dir, "fstab")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "fstab"), 0o755))
	undone(t, w, be.Create{Name: "new"}, refusal{be.Failed,
		`create "new": its fstab: etc/fstab is not a regular file of at most 1048576 bytes`, ""})
}
