package be_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/bootloader"
)

// trying is a host whose disks have FAT partitions, with a second BE.
func trying(t *testing.T) *betest.World {
	t.Helper()
	w := onePool(t)
	w.Boot.FAT = true
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.BootUpdate{}) // with the disks' partitions
	return w
}

// comesUp starts the machine and does what snapbe's units do.
func comesUp(t *testing.T, w *betest.World) be.Result {
	t.Helper()
	require.NoError(t, w.Start())
	return early2(t, w)
}

func early2(t *testing.T, w *betest.World) be.Result {
	t.Helper()
	_, err := early(t, w)
	require.NoError(t, err)
	return do(t, w, be.TrialEnd{})
}

// refusedWith carries out a request that must be refused with a hint, before any
// change.
func refusedWith(t *testing.T, w *betest.World, r be.Request, code be.Code, hint string) {
	t.Helper()
	w.Reset()
	_, err := try(t, w, r)
	var e *be.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, code, e.Code)
	assert.Contains(t, e.Hint, hint)
	assert.Zero(t, w.Changes())
}

func runs(w *betest.World) string { return w.Host.Running[len("rpool/ROOT/"):] }

// asks tells which disks ask for a trial.
func asks(w *betest.World) (disks []string) {
	for _, d := range []string{"vda", "vdb"} {
		if w.Boot.Envs[d].Trial != "" {
			disks = append(disks, d)
		}
	}
	return disks
}

// TestTrial: it boots once, is confirmed, and then boots by itself.
func TestTrial(t *testing.T) {
	w := trying(t)
	setAnn(w, "debian", lockA)
	res := do(t, w, be.Activate{Name: "be-2", Trial: true})
	assert.Contains(t, res.Plan.Notes, `it boots once, at the next start; what boots by itself stays "debian", until it is confirmed`)
	assert.Equal(t, []string{"vda", "vdb"}, asks(w))
	assert.True(t, named(t, w, "debian").Default)
	assert.True(t, named(t, w, "be-2").Trial)
	assert.Equal(t, "-", bootfs(t, w))
	assert.Contains(t, status(t, w).Waits, `the next start is one of "be-2", on trial; the one after it is of "debian", unless that is confirmed`)

	comesUp(t, w)
	require.Equal(t, "be-2", runs(w))
	assert.Equal(t, lockA, annOf(w, "be-2"))
	assert.Empty(t, asks(w), "the start after this one is not of it")
	assert.Contains(t, status(t, w).Waits, `"be-2" is on trial; unless it is confirmed, the next start is one of "debian"`)
	setAnn(w, "be-2", pwA)
	for _, r := range []be.Request{be.Activate{Name: "debian"}, be.Failback{}} {
		refusedWith(t, w, r, be.Failed, "snapbe confirm first; or snapbe reject --reboot")
	}
	do(t, w, be.Confirm{Auto: true})
	b := named(t, w, "be-2")
	assert.True(t, b.Default)
	assert.False(t, b.Trial)
	assert.False(t, b.Booted.IsZero())
	assert.True(t, named(t, w, "debian").Previous)
	assert.Equal(t, "rpool/ROOT/be-2", bootfs(t, w))
	assert.Empty(t, status(t, w).Waits)
	assert.Contains(t, do(t, w, be.Confirm{}).Notes, `"be-2" is the one that boots already`)
	comesUp(t, w)
	assert.Equal(t, "be-2", runs(w))
	do(t, w, be.Failback{})
	comesUp(t, w)
	assert.Equal(t, "debian", runs(w), "a failback is not on trial")
	assert.Equal(t, pwA, annOf(w, "debian"))
}

// TestTrialThatFails: the next start is one of the old BE, which knows why.
func TestTrialThatFails(t *testing.T) {
	w := trying(t)
	do(t, w, be.Activate{Name: "be-2", Trial: true})
	setAnn(w, "debian", lockA)
	require.NoError(t, w.Start())
	require.Equal(t, "be-2", runs(w)) // and panics
	res := comesUp(t, w)
	require.Equal(t, "debian", runs(w))
	assert.Contains(t, res.Plan.Notes, `the trial of "be-2" was no good: it was started on trial, and the machine came back with the old one`)
	b := named(t, w, "be-2")
	assert.False(t, b.Trial)
	require.NotNil(t, b.Failed)
	assert.Regexp(t, `the trial of "be-2" on .* was no good`, status(t, w).Problems)
	refusedWith(t, w, be.Activate{Name: "be-2"}, be.Failed, "snapbe activate --force be-2")
	comesUp(t, w)
	assert.Equal(t, "debian", runs(w), "it is not tried twice")

	do(t, w, be.Activate{Name: "be-2", Trial: true, Force: true})
	comesUp(t, w)
	require.Equal(t, "be-2", runs(w))
	assert.Equal(t, lockA, annOf(w, "be-2"), "what was locked meanwhile")
	do(t, w, be.Confirm{})
	assert.Nil(t, named(t, w, "be-2").Failed)
}

// TestReject: by hand or by a check, with the reason.
func TestReject(t *testing.T) {
	w := trying(t)
	refusedWith(t, w, be.Reject{}, be.Failed, "snapbe failback")
	do(t, w, be.Activate{Name: "be-2", Trial: true})
	refusedWith(t, w, be.Confirm{}, be.Failed, "snapbe reject")
	do(t, w, be.Reject{})
	assert.Empty(t, asks(w), "armed, and taken back")
	assert.Nil(t, named(t, w, "be-2").Failed)
	comesUp(t, w)
	require.Equal(t, "debian", runs(w))

	do(t, w, be.Activate{Name: "be-2", Trial: true})
	comesUp(t, w)
	require.Equal(t, "be-2", runs(w))
	do(t, w, be.Reject{Why: "the check \x1b[31mmail\n failed", Reboot: true})
	assert.True(t, w.Host.Rebooted)
	assert.Equal(t, "the check [31mmail failed", named(t, w, "be-2").Failed.Why)
	comesUp(t, w)
	assert.Equal(t, "debian", runs(w))
}

// TestOnce: it is not confirmed by itself, and then it is done with; by hand it is.
func TestOnce(t *testing.T) {
	for _, confirmed := range []bool{false, true} {
		w := trying(t)
		do(t, w, be.Activate{Name: "be-2", Once: true})
		comesUp(t, w)
		require.Equal(t, "be-2", runs(w))
		assert.Contains(t, do(t, w, be.Confirm{Auto: true}).Notes, `"be-2" was to boot once, and is not confirmed by itself`)
		if confirmed {
			do(t, w, be.Confirm{})
		}
		comesUp(t, w)
		assert.Equal(t, map[bool]string{false: "debian", true: "be-2"}[confirmed], runs(w))
		assert.False(t, named(t, w, "be-2").Trial)
		assert.Nil(t, named(t, w, "be-2").Failed)
	}
}

// TestNoTrial: what a trial needs is named before anything is changed.
func TestNoTrial(t *testing.T) {
	w := trying(t)
	w.Boot.FAT = false
	before := w.Capture()
	refusedWith(t, w, be.Activate{Name: "be-2", Trial: true}, be.Failed, "--no-trial")
	same(t, before, w.Capture())
	do(t, w, be.Activate{Name: "be-2"})
	comesUp(t, w)
	assert.Equal(t, "be-2", runs(w))
}

// TestTrialReplaced: who chooses another one disarms it.
func TestTrialReplaced(t *testing.T) {
	for _, r := range []be.Request{be.Activate{Name: "be-3"}, be.Activate{Name: "debian"}, be.Activate{Name: "be-3", Trial: true}} {
		w := trying(t)
		do(t, w, be.Create{Name: "be-3"})
		do(t, w, be.Activate{Name: "be-2", Trial: true})
		do(t, w, r)
		comesUp(t, w)
		assert.Equal(t, r.(be.Activate).Name, runs(w))
		assert.False(t, named(t, w, "be-2").Trial)
		comesUp(t, w)
		assert.NotEqual(t, "be-2", runs(w))
	}
}

// TestUnarmedTrial: GRUB may have had other disks to ask.
func TestUnarmedTrial(t *testing.T) {
	w := trying(t)
	do(t, w, be.Activate{Name: "be-2", Trial: true})
	w.Boot.Envs = map[string]bootloader.Env{}
	res := comesUp(t, w)
	require.Equal(t, "debian", runs(w))
	assert.Contains(t, res.Plan.Notes, `the trial of "be-2" was not begun: the boot disks remember nothing of it; snapbe activate be-2 arms it again`)
	assert.False(t, named(t, w, "be-2").Trial)
	assert.Nil(t, named(t, w, "be-2").Failed)
}

// TestTrialCut takes the power away at each change of a trial's life: the machine
// comes up by itself in a good BE, is recovered, and tries nothing twice.
func TestTrialCut(t *testing.T) {
	for _, c := range []struct {
		name    string
		arrange func(t *testing.T, w *betest.World)
		request be.Request
	}{
		{"activate", func(*testing.T, *betest.World) {}, be.Activate{Name: "be-2", Trial: true}},
		{"activate again", func(t *testing.T, w *betest.World) {
			do(t, w, be.Activate{Name: "be-2", Trial: true})
		}, be.Activate{Name: "be-2", Trial: true}},
		{"activate one that failed", func(t *testing.T, w *betest.World) {
			do(t, w, be.Activate{Name: "be-2", Trial: true})
			require.NoError(t, w.Start())
			comesUp(t, w)
		}, be.Activate{Name: "be-2", Trial: true, Force: true}},
		{"another one", func(t *testing.T, w *betest.World) {
			do(t, w, be.Activate{Name: "be-2", Trial: true})
		}, be.Activate{Name: "debian"}},
		{"confirm", func(t *testing.T, w *betest.World) {
			do(t, w, be.Activate{Name: "be-2", Trial: true})
			comesUp(t, w)
		}, be.Confirm{}},
		{"reject", func(t *testing.T, w *betest.World) {
			do(t, w, be.Activate{Name: "be-2", Trial: true})
			comesUp(t, w)
		}, be.Reject{Why: "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n := 1; ; n++ {
				w := trying(t)
				c.arrange(t, w)
				tries := 0
				if !cut(t, w, c.request, n) {
					require.Greater(t, n, 3)
					break
				}
				for range 3 {
					comesUp(t, w)
					if runs(w) == "be-2" && !named(t, w, "be-2").Default {
						tries++
					}
					assert.NotEqual(t, "", runs(w))
				}
				assert.LessOrEqual(t, tries, 1, "cut at %d", n)
				assert.Empty(t, asks(w), "cut at %d", n)
				assert.Empty(t, status(t, w).Pending, "cut at %d", n)
				if b := named(t, w, "be-2"); !b.Default {
					assert.Equal(t, "debian", runs(w), "cut at %d", n)
				}
				switch c.request.(type) {
				case be.Confirm:
					if b := named(t, w, "be-2"); !b.Default {
						assert.NotNil(t, b.Failed, "cut at %d", n)
					}
				case be.Reject:
					assert.NotNil(t, named(t, w, "be-2").Failed, "cut at %d", n)
				}
			}
		})
	}
}

// TestTrialFailsToArm: a disk that cannot be written to undoes it all.
func TestTrialFailsToArm(t *testing.T) {
	w := trying(t)
	before := w.Capture()
	w.Reset()
	w.Stop = func(what string, _ int) error {
		if what == "write what vdb remembers" {
			return errors.New("read-only")
		}
		return nil
	}
	_, err := try(t, w, be.Activate{Name: "be-2", Trial: true})
	require.Error(t, err)
	w.Reset()
	same(t, before, slices.DeleteFunc(w.Capture(), func(line string) bool { return strings.Contains(line, "snapbe-trial.cpio") }))
	assert.Empty(t, asks(w), "vda was armed")
	comesUp(t, w)
	assert.Equal(t, "debian", runs(w))
}
