package be_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/mount"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// TestZonesWaitForSnapbe: where the zones could not be looked at in a boot, none that
// this boot environment has met starts, until they can.
func TestZonesWaitForSnapbe(t *testing.T) {
	w := betest.New(t.TempDir(), betest.Layout{Pools: []string{"tank"}})
	zoned(t, w)
	w.AddZone("tank/zones", "far")
	w.Zones.Machines = []zones.Machine{{Name: "mine", State: zones.Installed}}
	do(t, w, be.ZoneMount{})
	assert.Empty(t, w.Zones.Withheld())

	w.Host.Boot("rpool/ROOT/debian") // and snapbe-zones.service fails
	assert.Equal(t, []string{"db", "far", "web"}, w.Zones.Withheld(), "no machine that is no zone")

	// The pool of one is not there, and another one was taken out of snapbe's hands.
	require.NoError(t, w.ZFS.Rename(t.Context(), "tank/zones", "tank/not-there"))
	require.NoError(t, w.ZFS.Rename(t.Context(), "rpool/zones/db", "rpool/db"))
	do(t, w, be.ZoneMount{})
	assert.Equal(t, []string{"far"}, w.Zones.Withheld())
	require.NoError(t, w.ZFS.Rename(t.Context(), "tank/not-there", "tank/zones"))
	do(t, w, be.ZoneMount{})
	assert.Empty(t, w.Zones.Withheld())
}

// TestMachinesOfAllBEs: where /var/lib is on a dataset that all boot environments
// have, a zone is mounted in its directory there, and nothing is made beneath it.
func TestMachinesOfAllBEs(t *testing.T) {
	for _, on := range []string{"/var/lib", "/var/lib/machines"} {
		t.Run(on, func(t *testing.T) {
			w := onePool(t)
			create(t, w, "rpool/all", zfs.Props{"mountpoint": on, "canmount": "on"})
			in := strings.TrimPrefix("/var/lib/machines", on)
			w.Put("rpool/all", in+"/mail/etc/hostname", "mail\n")
			w.Host.Boot("rpool/ROOT/debian")

			do(t, w, be.ZoneAdopt{Name: "mail"})
			isZone(t, w, "mail", "rpool/zones/mail/ROOT/zbe", "debian")
			assert.DirExists(t, filepath.Join(w.ZFS.Dir("rpool/all"), in, "mail"))
			assert.Empty(t, w.File("rpool/all", in+"/mail/etc/hostname"))
			do(t, w, be.ZoneClone{From: "mail", Name: "web"})
			assert.DirExists(t, filepath.Join(w.ZFS.Dir("rpool/all"), in, "web"))
			assert.NoDirExists(t, filepath.Join(w.ZFS.Dir("rpool/ROOT/debian"), "var/lib/machines"))

			do(t, w, be.Create{Name: "be-2"})
			into(t, w, "be-2")
			isZone(t, w, "mail", "rpool/zones/mail/ROOT/zbe-1", "be-2")
			w.AddZone("rpool/zones", "late")
			do(t, w, be.ZoneMount{})
			isZone(t, w, "late", "rpool/zones/late/ROOT/zbe", "be-2")
			w.Put("rpool/all", in+"/old/etc/hostname", "old\n")
			w.AddZone("rpool/zones", "old")
			_, err := try(t, w, be.ZoneMount{})
			require.ErrorContains(t, err, "mount at /var/lib/machines/old: the directory is not empty")
			assert.Equal(t, []string{"old"}, w.Zones.Withheld())
		})
	}
	t.Run("not on ZFS", func(t *testing.T) {
		w := onePool(t)
		w.AddZone("rpool/zones", "web")
		w.Host.Mounted = append(w.Host.Mounted, mount.Mounted{Dataset: "/dev/loop0", Root: "/", Dir: "/var/lib/machines", FSType: "btrfs"})
		_, err := try(t, w, be.ZoneMount{})
		require.ErrorContains(t, err, `the zone "web": look into /var/lib/machines/web: it is on /dev/loop0 at /var/lib/machines, which is no ZFS filesystem`)
		assert.Equal(t, []string{"web"}, w.Zones.Withheld())
	})
}

// TestAdoptRecoveredBeforeFstab: early at boot, where what /etc/fstab has above the
// zone's directory is not mounted yet, nothing is made beneath it: the zone is put in
// place with the others.
func TestAdoptRecoveredBeforeFstab(t *testing.T) {
	legacy := func(w *betest.World) {
		w.Host.Boot("rpool/ROOT/debian")
		w.Host.Mounted = append(w.Host.Mounted, mount.Mounted{Dataset: "rpool/all", Root: "/", Dir: "/var/lib", FSType: "zfs"})
	}
	w := onePool(t)
	create(t, w, "rpool/all", zfs.Props{"mountpoint": "legacy"})
	w.Put("rpool/ROOT/debian", "etc/fstab", "rpool/all /var/lib zfs defaults 0 0\n")
	w.Put("rpool/all", "machines/mail/etc/hostname", "mail\n")
	legacy(w)
	w.Reset()
	w.Stop = func(what string, _ int) error {
		if what == "attach" {
			panic(powerCut(what))
		}
		return nil
	}
	func() {
		defer func() { require.IsType(t, powerCut(""), recover()) }()
		_, _ = try(t, w, be.ZoneAdopt{Name: "mail"})
	}()
	w.Reset()
	w.Host.Boot("rpool/ROOT/debian")
	do(t, w, be.Recover{})
	assert.NoDirExists(t, filepath.Join(w.ZFS.Dir("rpool/ROOT/debian"), "var/lib"))
	assert.Equal(t, []string{"mail"}, w.Zones.Withheld())
	legacy(w)
	do(t, w, be.ZoneMount{})
	isZone(t, w, "mail", "rpool/zones/mail/ROOT/zbe", "debian")
}

// TestOtherRootInPlace: a zone does not start where the root that it has in another
// boot environment is mounted by hand, and the status says why.
func TestOtherRootInPlace(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	do(t, w, be.Create{Name: "new"})
	w.Host.Boot("rpool/ROOT/debian")
	require.NoError(t, w.Host.Attach(mount.Tree{{Dataset: webRoot + "zbe-1", Dir: "."}}, "/var/lib/machines/web"))
	_, err := try(t, w, be.ZoneMount{})
	require.ErrorContains(t, err, `the zone "web": `+webRoot+`zbe-1 is mounted at /var/lib/machines/web already`)
	assert.Equal(t, []string{"web"}, w.Zones.Withheld())
	assert.Equal(t, []string{`the zone "web" does not start: ` + webRoot + `zbe-1 is mounted at /var/lib/machines/web, and not ` + webRoot +
		`zbe, its root in "debian": umount /var/lib/machines/web, and systemctl restart snapbe-zones.service`}, status(t, w).Problems)
	require.NoError(t, w.Host.Detach("/var/lib/machines/web", false))
	do(t, w, be.ZoneMount{})
	assert.Empty(t, w.Zones.Withheld())
	assert.Empty(t, status(t, w).Problems)
}
