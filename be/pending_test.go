package be_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

// The second one is told who is at work.
func TestLock(t *testing.T) {
	w := onePool(t)
	var second error
	asked := false
	_, err := be.New(w.System()).Do(t.Context(), be.Create{Name: "x"}, be.Options{Step: func(be.StepDone) {
		if !asked {
			asked = true
			assert.Contains(t, status(t, w).Busy, fmt.Sprintf("pid %d", os.Getpid()))
			_, second = be.New(w.System()).Do(t.Context(), be.Create{Name: "y"}, be.Options{})
		}
	}})
	require.NoError(t, err)
	var e *be.Error
	require.ErrorAs(t, second, &e)
	assert.Equal(t, be.Busy, e.Code)
	assert.Regexp(t, fmt.Sprintf(`^begin: snapbe is at work already: pid %d, "snapbe", since \d\d:\d\d:\d\d$`, os.Getpid()), e.Error())
	assert.Equal(t, "wait until it has ended", e.Hint)
	assert.Empty(t, status(t, w).Busy)

	// One that was killed has left its name, and not its lock.
	require.NoError(t, os.WriteFile(filepath.Join(w.Directory(), "run", "lock.holder"), []byte("pid 4194999, \"snapbe\", since 12:00:00\n"), 0o600))
	assert.Empty(t, status(t, w).Busy)
	do(t, w, be.Create{Name: "z"})
}

// A short wait is better than an error: commands that run at boot and after
// apt's are soon over.
func TestLockIsWaitedFor(t *testing.T) {
	w := onePool(t)
	var waiting sync.WaitGroup
	var told string
	var second error
	asked := false
	_, err := be.New(w.System()).Do(t.Context(), be.Create{Name: "x"}, be.Options{Step: func(be.StepDone) {
		if asked {
			return
		}
		asked = true
		blocked := make(chan struct{})
		waiting.Go(func() {
			_, second = be.New(w.System()).Do(t.Context(), be.Create{Name: "y"}, be.Options{Patience: time.Minute,
				Waiting: func(holder string) { told = holder; close(blocked) }})
		})
		<-blocked
	}})
	require.NoError(t, err)
	waiting.Wait()
	require.NoError(t, second)
	assert.Contains(t, told, fmt.Sprintf("pid %d", os.Getpid()))
	assert.Subset(t, names(t, w), []string{"x", "y"})
}

func TestDeclined(t *testing.T) {
	w := onePool(t)
	before := w.Capture()
	_, err := be.New(w.System()).Do(t.Context(), be.Create{Name: "x"}, be.Options{Confirm: func(be.Plan) bool { return false }})
	require.ErrorIs(t, err, be.ErrDeclined)
	same(t, before, w.Capture())
}

// Who is asked keeps nobody else from working; and what is done is what was
// agreed to.
func TestAskedWithoutTheLock(t *testing.T) {
	w := onePool(t)
	do(t, w, be.Create{Name: "x"})
	ask := func(meanwhile func()) error {
		_, err := be.New(w.System()).Do(t.Context(), be.Destroy{Name: "x", Snapshots: true},
			be.Options{Confirm: func(be.Plan) bool { meanwhile(); return true }})
		return err
	}
	assertRefusal(t, refusal{be.Busy, `destroy "x": something has changed since you were asked`, "run it again to see what it would do now"},
		ask(func() { do(t, w, be.Create{Name: "x@mine"}) }))
	assert.True(t, exists(w, "rpool/ROOT/x@mine"))
	assertRefusal(t, refusal{be.Busy, `destroy "x": it is the one that boots next`, "snapbe activate another one first"},
		ask(func() { do(t, w, be.Activate{Name: "x"}) }))
	do(t, w, be.Activate{Name: "debian"})
	require.NoError(t, ask(func() { do(t, w, be.BootUpdate{}) }))
	assert.False(t, exists(w, "rpool/ROOT/x"))
}

func TestInterrupted(t *testing.T) {
	w := onePool(t)
	before := w.Capture()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := be.New(w.System()).Do(ctx, be.Create{Name: "x"}, be.Options{Step: func(be.StepDone) { cancel() }})
	assertRefusal(t, refusal{be.Failed, `create "x": interrupted, and undone`, ""}, err)
	same(t, before, w.Capture())
}

func TestRecoverNothing(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		before := w.Capture()
		assert.Equal(t, []string{"no operation was interrupted"}, do(t, w, be.Recover{}).Notes)
		same(t, before, w.Capture())
	})
}

// A record that cannot be read stops all changes, and says the way out.
func TestRecordThatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct{ text, recover string }{
		"garbage":      {"not json", "tell what was interrupted: record \"not json\": invalid character 'o' in literal null (expecting 'u')"},
		"no operation": {"{}", "tell what was interrupted: record without id or kind"},
		"of another version": {`{"id":"x","op":"upgrade","args":{},"at":0}`,
			`recover from "upgrade" (begun 1970-01-01T00:00:00Z): this version does not know "upgrade"`},
		"other arguments": {`{"id":"x","op":"create","args":[],"at":0}`,
			`recover from "create" (begun 1970-01-01T00:00:00Z): its record: json: cannot unmarshal array into Go value of type be.createArgs`},
	} {
		t.Run(name, func(t *testing.T) {
			eachLayout(t, func(t *testing.T, w *betest.World) {
				set(t, w, "rpool/ROOT", zfs.Props{"org.snapbe:journal": c.text})
				assert.Equal(t, []string{"debian"}, names(t, w), "reading goes on")
				assert.NotEmpty(t, status(t, w).Pending)
				_, err := try(t, w, be.Create{Name: "x"})
				var e *be.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, be.Pending, e.Code)
				_, err = try(t, w, be.Recover{})
				assertRefusal(t, refusal{be.Pending, c.recover,
					"the snapbe that began it can end it; or zfs inherit org.snapbe:journal rpool/ROOT drops the record, and snapbe list shows with ! what is unfinished"}, err)
				require.NoError(t, w.ZFS.Set(t.Context(), []zfs.Change{{Dataset: "rpool/ROOT", Inherit: []string{"org.snapbe:journal"}}}))
				do(t, w, be.Create{Name: "x"})
			})
		})
	}
}

// A BE that is marked, with no record that tells why, is not used, but can be
// destroyed or declared whole.
func TestUnfinishedWithoutRecord(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "be-2@mine"})
		set(t, w, "rpool/ROOT/be-2", zfs.Props{"org.snapbe:op": "lost"})
		assert.Equal(t, "lost", named(t, w, "be-2").Unfinished)
		const hint = "snapbe destroy be-2 takes it away"
		assert.Equal(t, []string{`"be-2" is unfinished: ` + hint}, status(t, w).Problems)
		for text, r := range map[string]be.Request{
			`activate "be-2"`:          be.Activate{Name: "be-2"},
			`create "x" from "be-2"`:   be.Create{Name: "x", From: "be-2"},
			`create "be-2@x"`:          be.Create{Name: "be-2@x"},
			`rename "be-2"`:            be.Rename{From: "be-2", To: "x"},
			`roll back to "be-2@mine"`: be.Rollback{Name: "be-2@mine"},
			`mount "be-2"`:             be.Mount{Name: "be-2"},
		} {
			refused(t, w, r, refusal{be.Failed, text + ": it is unfinished, and no record tells of what", hint})
		}
		// One that fails on its way leaves the mark.
		do(t, w, be.BootUpdate{})
		before := w.Capture()
		w.Reset()
		w.Stop = func(what string, _ int) error {
			if what == "zfs destroy" {
				return fmt.Errorf("input/output error")
			}
			return nil
		}
		_, err := try(t, w, be.Destroy{Name: "be-2", Snapshots: true})
		require.ErrorContains(t, err, "input/output error")
		w.Reset()
		same(t, before, w.Capture())
		do(t, w, be.Destroy{Name: "be-2", Snapshots: true})
		assert.Equal(t, []string{"debian"}, names(t, w))
	})
}
