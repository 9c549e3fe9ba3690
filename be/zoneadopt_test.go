package be_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

func TestZoneAdoptDirectory(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		machine(t, w)
		dataset, in := machinesIn(w)
		dir := filepath.Join(w.ZFS.Dir(dataset), in, "mail")
		require.NoError(t, os.Chmod(filepath.Join(dir, "srv"), 0o750|os.ModeSetgid))
		do(t, w, be.ZoneAdopt{Name: "mail"})
		const root = "rpool/zones/mail/ROOT/zbe"
		isZone(t, w, "mail", root, "debian")
		assert.Equal(t, "a letter\n", w.File(root, "srv/letter"))
		info, err := os.Stat(filepath.Join(w.ZFS.Dir(root), "srv"))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o750)|os.ModeDir|os.ModeSetgid, info.Mode())
		left, err := os.ReadDir(filepath.Dir(dir))
		require.NoError(t, err)
		require.Len(t, left, 1, "the mount point alone")
		inside, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, inside)
		assert.Equal(t, []string{"rpool/zones"}, status(t, w).ZonesIn)
		// It follows from now on.
		do(t, w, be.Create{Name: "new"})
		assert.Equal(t, "a letter\n", w.File("rpool/zones/mail/ROOT/zbe-1", "srv/letter"))
	})
}

func TestZoneAdoptDataset(t *testing.T) {
	w := onePool(t)
	machineDataset(t, w)
	do(t, w, be.ZoneAdopt{Name: "mail"})
	isZone(t, w, "mail", "rpool/zones/mail/ROOT/zbe", "debian")
	assert.False(t, exists(w, "rpool/machines/mail"))
	assert.Equal(t, "rpool/zones/mail/ROOT/zbe/srv", mountedAt(w, "/var/lib/machines/mail/srv"))
	assert.Equal(t, "noauto", props(t, w, "rpool/zones/mail/ROOT/zbe/srv", "canmount")["canmount"].Value, "or it would mount over the host's /srv")
	assert.Equal(t, "a letter\n", w.File("rpool/zones/mail/ROOT/zbe/srv", "letter"))
}

func TestZoneAdoptRefuses(t *testing.T) {
	const what = `adopt the machine "mail": `
	for name, c := range map[string]struct {
		arrange func(t *testing.T, w *betest.World)
		request be.ZoneAdopt
		want    refusal
	}{
		"none": {func(*testing.T, *betest.World) {}, be.ZoneAdopt{}, refusal{be.NotFound, what + "there is no /var/lib/machines/mail", "machinectl list-images shows those that there are"}},
		"it runs": {func(t *testing.T, w *betest.World) {
			machine(t, w)
			w.Zones.Machines = []zones.Machine{{Name: "mail", State: zones.Running}}
		}, be.ZoneAdopt{}, refusal{be.Busy, what + "it is running", "machinectl poweroff mail"}},
		"a symlink": {func(t *testing.T, w *betest.World) {
			w.Put("rpool/ROOT/debian", "var/lib/machines/x", "")
			require.NoError(t, os.Symlink("/etc", filepath.Join(w.ZFS.Dir("rpool/ROOT/debian"), "var/lib/machines/mail")))
		}, be.ZoneAdopt{}, refusal{be.Failed, what + "/var/lib/machines/mail is a symlink", "put the machine itself there"}},
		"a zone": {func(t *testing.T, w *betest.World) { w.AddZone("rpool/zones", "mail") }, be.ZoneAdopt{},
			refusal{be.Exists, what + "it is a zone already", "snapbe zone list shows it"}},
		"the place is taken": {func(t *testing.T, w *betest.World) {
			machine(t, w)
			create(t, w, "rpool/zones", nil)
			create(t, w, "rpool/zones/mail", nil)
		}, be.ZoneAdopt{}, refusal{be.Exists, what + "the dataset rpool/zones/mail exists", "zfs rename it, or zfs destroy it if nothing needs it"}},
		"in a boot environment": {machine, be.ZoneAdopt{Container: "rpool/ROOT/debian/zones"},
			refusal{be.Invalid, what[:len(what)-2] + " in rpool/ROOT/debian/zones: zones cannot lie there", "name a dataset such as rpool/zones"}},
		"a mount point": {func(t *testing.T, w *betest.World) {
			machine(t, w)
			w.Put("rpool/ROOT/debian", "etc/fstab", "rpool/mail /var/lib/machines/mail zfs defaults 0 0\n")
		}, be.ZoneAdopt{}, refusal{be.Failed, what + "something is to be mounted at /var/lib/machines/mail by /etc/fstab or a mount unit",
			"take it out of /etc/fstab, or disable the mount unit, in each boot environment that is to boot again"}},
		"nowhere": {machine, be.ZoneAdopt{Container: "rpool/a/b"},
			refusal{be.NotFound, what[:len(what)-2] + " in rpool/a/b: there is no dataset rpool/a", "zfs create rpool/a makes it"}},
		"something is mounted in it": {func(t *testing.T, w *betest.World) {
			machine(t, w)
			create(t, w, "rpool/x", zfs.Props{"mountpoint": "/var/lib/machines/mail/srv"})
			w.Host.Boot(w.Host.Running)
		}, be.ZoneAdopt{}, refusal{be.Busy, what + "rpool/x is mounted at /var/lib/machines/mail/srv", "umount /var/lib/machines/mail/srv"}},
		"mount points of its own": {func(t *testing.T, w *betest.World) {
			machineDataset(t, w)
			set(t, w, "rpool/machines/mail/srv", zfs.Props{"mountpoint": "/var/lib/machines/mail/srv"})
		}, be.ZoneAdopt{}, refusal{be.Failed, what + "rpool/machines/mail/srv below it has the mount point /var/lib/machines/mail/srv of its own, and would be elsewhere in the zone",
			"zfs inherit mountpoint rpool/machines/mail/srv"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := onePool(t)
			c.arrange(t, w)
			c.request.Name = "mail"
			refused(t, w, c.request, c.want)
		})
	}
}

// killedAdopting is a host on which snapbe was killed when the zone counted and the
// machine's directory was still in its place.
func killedAdopting(t *testing.T, w *betest.World) {
	t.Helper()
	machine(t, w)
	w.Stop = func(what string, _ int) error {
		const root = "rpool/zones/mail/ROOT/zbe"
		if what == "view" && exists(w, root) && props(t, w, root, "org.snapbe:op")["org.snapbe:op"].Value == "" {
			panic("killed")
		}
		return nil
	}
	assert.PanicsWithValue(t, "killed", func() { _, _ = try(t, w, be.ZoneAdopt{Name: "mail"}) })
	w.Reset()
	assert.Equal(t, "a letter\n", w.File("rpool/zones/mail/ROOT/zbe", "srv/letter"))
}

// TestAdoptedMachineRan: what a machine has written since it was copied is not
// removed with its directory.
func TestAdoptedMachineRan(t *testing.T) {
	t.Run("before the recovery", func(t *testing.T) {
		w := onePool(t)
		killedAdopting(t, w)
		dataset, in := machinesIn(w)
		w.Put(dataset, in+"/mail/srv/letter", "a newer letter\n")
		w.Zones.Machines = []zones.Machine{{Name: "mail", State: zones.Running}}
		_, err := try(t, w, be.Recover{})
		require.ErrorContains(t, err, `adopt the machine "mail": it is running`)
		assert.Equal(t, "a newer letter\n", w.File(dataset, in+"/mail/srv/letter"))

		w.Zones.Machines = nil
		res := do(t, w, be.Recover{})
		assert.Contains(t, res.Notes, "the machine has run since it was copied: the zone has it as it was before, and all of it is left for you, as /"+in+"/.mail.newer-than-zone on "+dataset)
		assert.Equal(t, "a newer letter\n", w.File(dataset, in+"/.mail.newer-than-zone/srv/letter"))
		isZone(t, w, "mail", "rpool/zones/mail/ROOT/zbe", "debian")
	})
	t.Run("not since", func(t *testing.T) {
		w := onePool(t)
		killedAdopting(t, w)
		do(t, w, be.Recover{})
		dataset, in := machinesIn(w)
		left, err := os.ReadDir(filepath.Join(w.ZFS.Dir(dataset), in))
		require.NoError(t, err)
		require.Len(t, left, 1, "the mount point alone")
		isZone(t, w, "mail", "rpool/zones/mail/ROOT/zbe", "debian")
	})
	t.Run("while it was copied", func(t *testing.T) {
		w := onePool(t)
		machine(t, w)
		dataset, in := machinesIn(w)
		w.Stop = func(what string, _ int) error {
			if what == "zfs set" && exists(w, "rpool/zones/mail/ROOT/zbe") && w.File("rpool/zones/mail/ROOT/zbe", "srv/letter") != "" && w.File(dataset, in+"/mail/srv/other") == "" {
				w.Put(dataset, in+"/mail/srv/other", "a second letter\n")
			}
			return nil
		}
		_, err := try(t, w, be.ZoneAdopt{Name: "mail"})
		assertRefusal(t, refusal{be.Busy, `adopt the machine "mail": /var/lib/machines/mail has changed since it was copied`, "let it be, and adopt it again"}, err)
		assert.Equal(t, "a second letter\n", w.File(dataset, in+"/mail/srv/other"))
		assert.False(t, exists(w, "rpool/zones/mail/ROOT/zbe"))
	})
}
