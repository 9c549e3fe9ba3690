package be_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

// chosen is what boots next, by the pool, its bootfs, the menu and the disks.
func chosen(t *testing.T, w *betest.World) (def, previous string) {
	t.Helper()
	s := status(t, w)
	boots, err := w.Boots()
	require.NoError(t, err)
	assert.Equal(t, "rpool/ROOT/"+s.Default, boots, "the menu follows the pool")
	m, err := w.Boot.Read()
	require.NoError(t, err)
	if s.Previous == "" {
		assert.Empty(t, m.Previous)
	} else {
		assert.Equal(t, named(t, w, s.Previous).UUID, m.Previous)
	}
	return s.Default, s.Previous
}

func bootfs(t *testing.T, w *betest.World) string {
	t.Helper()
	p, err := w.ZFS.PoolGet(t.Context(), "rpool", []string{"bootfs"})
	require.NoError(t, err)
	return p["bootfs"].Value
}

// Each line is a thing that an administrator does, and what then boots next
// and is gone back to.
func TestActivateAndFailback(t *testing.T) {
	type step struct {
		request       be.Request // nil is a reboot
		def, previous string
	}
	activate := func(name string) be.Request { return be.Activate{Name: name} }
	for name, steps := range map[string][]step{
		"there and back": {{activate("a"), "a", "debian"}, {nil, "a", "debian"}, {be.Failback{}, "debian", "a"}, {nil, "debian", "a"},
			{be.Failback{}, "a", "debian"}, {nil, "a", "debian"}},
		"the running one cancels": {{activate("a"), "a", "debian"}, {activate("debian"), "debian", "a"}, {nil, "debian", "a"}},
		"another before the reboot": {{activate("a"), "a", "debian"}, {activate("b"), "b", "debian"}, {nil, "b", "debian"},
			{be.Failback{}, "debian", "b"}},
		"failback and once more, without a reboot": {{activate("a"), "a", "debian"}, {nil, "a", "debian"}, {be.Failback{}, "debian", "a"},
			{be.Failback{}, "a", "debian"}, {be.Failback{}, "debian", "a"}, {nil, "debian", "a"}},
		"on and on":      {{activate("a"), "a", "debian"}, {nil, "a", "debian"}, {activate("b"), "b", "a"}, {nil, "b", "a"}, {be.Failback{}, "a", "b"}},
		"twice the same": {{activate("a"), "a", "debian"}, {activate("a"), "a", "debian"}},
		"the running one is the default already": {{activate("debian"), "debian", ""}, {activate("a"), "a", "debian"}, {nil, "a", "debian"},
			{activate("a"), "a", "debian"}},
	} {
		t.Run(name, func(t *testing.T) {
			eachLayout(t, func(t *testing.T, w *betest.World) {
				do(t, w, be.Create{Name: "a"})
				do(t, w, be.Create{Name: "b"})
				for i, s := range steps {
					if s.request == nil {
						require.NoError(t, w.Reboot())
						assert.Equal(t, "rpool/ROOT/"+s.def, w.Host.Running)
					} else {
						do(t, w, s.request)
						assert.Equal(t, "rpool/ROOT/"+s.def, bootfs(t, w))
					}
					def, previous := chosen(t, w)
					assert.Equal(t, s.def+" "+s.previous, def+" "+previous, "after step %d", i+1)
				}
			})
		})
	}
}

func TestActivateRefused(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		refused(t, w, be.Activate{Name: "none"}, refusal{be.NotFound, `activate "none": no boot environment has that name in rpool/ROOT`,
			"snapbe list shows those that there are"})
		refused(t, w, be.Failback{}, refusal{be.NotFound, "fail back: no previous boot environment is known",
			"snapbe activate NAME chooses any other"})
		do(t, w, be.Create{Name: "a"})
		removeKernel(t, w, "a", "initrd.img-6.12.1-amd64")
		refused(t, w, be.Activate{Name: "a"}, refusal{be.Failed,
			`activate "a": no initrd for vmlinuz-6.12.1-amd64 in /boot: initrd.img-6.12.1-amd64 is missing, empty or no regular file`,
			"snapbe exec a -- apt-get install --reinstall linux-image-amd64 puts a kernel and initrd there"})
		removeKernel(t, w, "a", "vmlinuz-6.12.1-amd64")
		refused(t, w, be.Activate{Name: "a"}, refusal{be.Failed, `activate "a": no kernel in /boot`,
			"snapbe exec a -- apt-get install --reinstall linux-image-amd64 puts a kernel and initrd there"})
	})
}

// A BE of another tool has no UUID and mounts by itself, with all below it.
func TestActivateForeign(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "a"})
		require.NoError(t, w.ZFS.Set(t.Context(), foreign("rpool/ROOT/a")))
		set(t, w, "rpool/ROOT/a/opt", zfs.Props{"canmount": "on"})
		create(t, w, "rpool/ROOT/a/none", zfs.Props{"mountpoint": "none"})
		do(t, w, be.Activate{Name: "a"})
		assert.NotEmpty(t, named(t, w, "a").UUID)
		for _, d := range []string{"rpool/ROOT/a", "rpool/ROOT/a/opt"} {
			assert.Equal(t, "noauto", w.ZFS.Locals(d)["canmount"], d)
		}
		require.NoError(t, w.Reboot())
		assert.Equal(t, "rpool/ROOT/a", w.Host.Running)
	})
}

// A received copy has the UUID of its source. It neither stops the menu nor is
// taken for its source.
func TestTwin(t *testing.T) {
	twin := func(t *testing.T, w *betest.World) string {
		do(t, w, be.Create{Name: "copy"})
		uuid := named(t, w, "debian").UUID
		require.NoError(t, w.ZFS.Set(t.Context(), []zfs.Change{{Dataset: "rpool/ROOT/copy", Inherit: []string{"org.opensolaris.libbe:uuid"}}}))
		w.ZFS.SetReceived("rpool/ROOT/copy", "org.opensolaris.libbe:uuid", uuid)
		return uuid
	}
	t.Run("all goes on", func(t *testing.T) {
		eachLayout(t, func(t *testing.T, w *betest.World) {
			twin(t, w)
			do(t, w, be.Create{Name: "a"})
			do(t, w, be.BootUpdate{})
			do(t, w, be.Activate{Name: "debian"})
			def, _ := chosen(t, w)
			assert.Equal(t, "debian", def)
			assert.Contains(t, status(t, w).Problems,
				`"copy" has the UUID of "debian", as a received copy does, and is not in the boot menu: snapbe activate gives it one of its own`)
		})
	})
	t.Run("activated it has one of its own", func(t *testing.T) {
		eachLayout(t, func(t *testing.T, w *betest.World) {
			uuid := twin(t, w)
			do(t, w, be.Activate{Name: "copy"})
			assert.NotContains(t, []string{"", uuid}, named(t, w, "copy").UUID)
			def, previous := chosen(t, w)
			assert.Equal(t, "copy debian", def+" "+previous)
		})
	})
	t.Run("destroyed alone", func(t *testing.T) {
		eachLayout(t, func(t *testing.T, w *betest.World) {
			uuid := twin(t, w)
			do(t, w, be.Destroy{Name: "copy"})
			assert.Equal(t, uuid, named(t, w, "debian").UUID)
		})
	})
	t.Run("an older one that was sent is the copy", func(t *testing.T) {
		w := onePool(t)
		do(t, w, be.Create{Name: "a"})
		uuid := named(t, w, "debian").UUID
		set(t, w, "rpool/ROOT/a", zfs.Props{"org.opensolaris.libbe:uuid": uuid})
		require.NoError(t, w.ZFS.Set(t.Context(), []zfs.Change{{Dataset: "rpool/ROOT/debian", Inherit: []string{"org.opensolaris.libbe:uuid"}}}))
		w.ZFS.SetReceived("rpool/ROOT/debian", "org.opensolaris.libbe:uuid", uuid)
		assert.Equal(t, uuid, named(t, w, "a").UUID)
		assert.Empty(t, named(t, w, "debian").UUID)
		do(t, w, be.Init{})
		assert.NotEmpty(t, named(t, w, "debian").UUID)
		dry, err := be.New(w.System()).Do(t.Context(), be.Init{}, be.Options{DryRun: true})
		require.NoError(t, err)
		assert.Empty(t, dry.Plan.Steps)
	})
}

func TestActivateReboots(t *testing.T) {
	w := onePool(t)
	do(t, w, be.Create{Name: "a"})
	do(t, w, be.Activate{Name: "a"})
	assert.False(t, w.Host.Rebooted)
	do(t, w, be.Activate{Name: "a", Reboot: true})
	assert.True(t, w.Host.Rebooted)
	require.NoError(t, w.Reboot())
	w.Host.Rebooted = false
	do(t, w, be.Failback{Reboot: true})
	assert.True(t, w.Host.Rebooted)
}

// The default lost its kernel behind snapbe's back: other operations still
// work, and each says what is wrong.
func TestDefaultWithoutKernel(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "a"})
		do(t, w, be.Create{Name: "b"})
		do(t, w, be.Activate{Name: "a"})
		removeKernel(t, w, "a", "vmlinuz-6.12.1-amd64")
		res := do(t, w, be.BootUpdate{})
		assert.Equal(t, []string{`"a" is not in the menu: no kernel in /boot`,
			`what is to boot next is not in the menu, which boots "debian" instead: snapbe activate NAME chooses`}, res.Notes)
		boots, err := w.Boots()
		require.NoError(t, err)
		assert.Equal(t, "rpool/ROOT/debian", boots)
		do(t, w, be.Destroy{Name: "b"})
		do(t, w, be.Activate{Name: "debian"})
		s := status(t, w)
		assert.Equal(t, []string{"debian", "a"}, []string{s.Default, s.Previous}, "which may get its kernel back")
		boots, err = w.Boots()
		require.NoError(t, err)
		assert.Equal(t, "rpool/ROOT/debian", boots)
	})
}

// So it is with the one that failback goes to.
func TestPreviousWithoutKernel(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "a"})
		do(t, w, be.Activate{Name: "a"})
		require.NoError(t, w.Reboot())
		removeKernel(t, w, "debian", "vmlinuz-6.12.1-amd64")
		res := do(t, w, be.BootUpdate{})
		assert.Equal(t, []string{`"debian" is not in the menu: no kernel in /boot`}, res.Notes)
		do(t, w, be.Create{Name: "b"})
		_, err := try(t, w, be.Failback{})
		require.ErrorContains(t, err, `fail back to "debian": no kernel in /boot`)
	})
}
