//go:build linux

package health_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/health"
)

// script puts a check into the directory, or a file that is none.
func script(t *testing.T, dir, name string, mode os.FileMode, body string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o600))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

// directory is one that root alone may write to, whatever the umask is.
func directory(t *testing.T) string {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	return dir
}

// process reads the number that a check has written, when it has.
func process(t *testing.T, file string) int {
	t.Helper()
	var pid int
	require.Eventually(t, func() bool {
		text, _ := os.ReadFile(file)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid > 0
	}, 20*time.Second, 10*time.Millisecond)
	return pid
}

// gone waits until a process has ended; whose child it was may not have reaped it.
func gone(t *testing.T, pid int) {
	t.Helper()
	assert.Eventually(t, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, 20*time.Second, 10*time.Millisecond, "process %d is there still", pid)
}

func said(r health.Result) string {
	if r.Err == nil {
		return ""
	}
	return r.Err.Error()
}

// Each check is told by name, and what is no check is told too.
func TestRun(t *testing.T) {
	dir := directory(t)
	script(t, dir, "30-fails", 0o755, "echo one; echo two >&2; exit 3")
	script(t, dir, "10_passes", 0o700, `echo "$BE in $PWD"; cat`)
	script(t, dir, "20", 0o755, "kill -9 $$")
	script(t, dir, "40-ssh.sh", 0o755, "exit 1")
	script(t, dir, "README", 0o644, "exit 1")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "50-words"), []byte("no program\n"), 0o600))
	require.NoError(t, os.Chmod(filepath.Join(dir, "50-words"), 0o755))
	require.NoError(t, os.Symlink("30-fails", filepath.Join(dir, "60-link")))
	require.NoError(t, os.Symlink("gone", filepath.Join(dir, "70-stale")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "lib"), 0o755))

	r, err := health.Checks{Dir: dir, Env: []string{"BE=2026-11"}}.Run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"40-ssh.sh", "README", "lib"}, r.PassedOver)
	var lines []string
	for _, c := range r.Results {
		lines = append(lines, fmt.Sprintf("%s %d %q %q", c.Name, c.Code, said(c), c.Output))
		assert.False(t, c.TimedOut)
	}
	require.Len(t, lines, 6)
	assert.Equal(t, []string{
		`10_passes 0 "" "2026-11 in /\n"`,
		`20 -1 "signal: killed" ""`,
		`30-fails 3 "exit 3" "one\ntwo\n"`,
	}, lines[:3])
	assert.Contains(t, lines[3], "50-words -1 \"start it: ")
	assert.Equal(t, `60-link 3 "exit 3" "one\ntwo\n"`, lines[4])
	assert.Contains(t, lines[5], "70-stale -1 ")
	assert.Contains(t, lines[5], "no such file")

	var failed []string
	for _, c := range r.Failed() {
		failed = append(failed, c.Name)
	}
	assert.Equal(t, []string{"20", "30-fails", "50-words", "60-link", "70-stale"}, failed)
}

func TestNoDirectory(t *testing.T) {
	r, err := health.Checks{Dir: filepath.Join(t.TempDir(), "health.d")}.Run(t.Context())
	require.NoError(t, err)
	assert.Empty(t, r)
	assert.Empty(t, r.Failed())
}

// Checks that wait for each other end well only where they run side by side.
func TestSideBySide(t *testing.T) {
	dir, meet := directory(t), t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		script(t, dir, name, 0o755, fmt.Sprintf("touch %s/%s; until [ -e %[1]s/a ] && [ -e %[1]s/b ] && [ -e %[1]s/c ]; do sleep 0.05; done", meet, name))
	}
	r, err := health.Checks{Dir: dir, Limit: 30 * time.Second, Jobs: 3}.Run(t.Context())
	require.NoError(t, err)
	assert.Empty(t, r.Failed())
	for _, c := range r.Results {
		assert.Positive(t, c.Took)
	}
}

// With a bound of one, none meets another one.
func TestBound(t *testing.T) {
	dir, meet := directory(t), t.TempDir()
	for i := range 4 {
		script(t, dir, fmt.Sprint(i), 0o755, fmt.Sprintf("mkdir %s/here && sleep 0.1 && rmdir %[1]s/here", meet))
	}
	r, err := health.Checks{Dir: dir, Jobs: 1}.Run(t.Context())
	require.NoError(t, err)
	assert.Empty(t, r.Failed())
	assert.Len(t, r.Results, 4)
}

// One that is not done in time is ended with all that it has started, whether it
// heeds SIGTERM or not.
func TestLimit(t *testing.T) {
	dir, out := directory(t), t.TempDir()
	script(t, dir, "deaf", 0o755, fmt.Sprintf("trap '' TERM; sleep 600 & echo $! >%s/deaf; echo waiting; wait", out))
	script(t, dir, "heeds", 0o755, fmt.Sprintf("trap 'exit 0' TERM; sleep 600 & echo $! >%s/heeds; wait", out))
	script(t, dir, "quick", 0o755, "exit 0")
	r, err := health.Checks{Dir: dir, Limit: time.Second}.Run(t.Context())
	require.NoError(t, err)
	require.Len(t, r.Results, 3)
	deaf, heeds, quick := r.Results[0], r.Results[1], r.Results[2]

	assert.True(t, deaf.TimedOut)
	assert.Equal(t, -1, deaf.Code)
	assert.Equal(t, "not done in 1s", said(deaf))
	assert.Equal(t, "waiting\n", string(deaf.Output))
	assert.GreaterOrEqual(t, deaf.Took, 6*time.Second, "it has 5 seconds to end")

	assert.True(t, heeds.TimedOut)
	assert.Equal(t, 0, heeds.Code)
	assert.Equal(t, "not done in 1s", said(heeds), "to end well when told to is not to pass")
	assert.Less(t, heeds.Took, deaf.Took)
	assert.NoError(t, quick.Err)

	gone(t, process(t, out+"/deaf"))
	gone(t, process(t, out+"/heeds"))
}

// What a check leaves running is ended with it, and what has left its group does
// not keep the others waiting.
func TestLeftRunning(t *testing.T) {
	dir, out := directory(t), t.TempDir()
	script(t, dir, "leaves", 0o755, fmt.Sprintf("sleep 600 & echo $! >%s/group; echo fine", out))
	script(t, dir, "parts", 0o755, fmt.Sprintf("setsid sh -c 'echo $$ >%s/alone; exec sleep 600' & until [ -s %[1]s/alone ]; do sleep 0.05; done; echo fine", out))
	began := time.Now()
	r, err := health.Checks{Dir: dir}.Run(t.Context())
	require.NoError(t, err)
	assert.Less(t, time.Since(began), 30*time.Second)
	alone := process(t, out+"/alone")
	t.Cleanup(func() { _ = syscall.Kill(alone, syscall.SIGKILL) })
	require.Len(t, r.Results, 2)
	for _, c := range r.Results {
		assert.NoError(t, c.Err)
		assert.Equal(t, "fine\n", string(c.Output), c.Name)
	}
	gone(t, process(t, out+"/group"))
}

// Of much output the end is kept.
func TestOutput(t *testing.T) {
	dir := directory(t)
	script(t, dir, "much", 0o755, "seq 100000; printf 'a\\033[2Jb\\r\\n\\342\\200\\256\\377 last\\n'")
	r, err := health.Checks{Dir: dir}.Run(t.Context())
	require.NoError(t, err)
	require.Empty(t, r.Failed())
	assert.Len(t, r.Results[0].Output, 16<<10)
	assert.Equal(t, []string{"100000", `a\x1b[2Jb`, "\\u202e\uFFFD last"}, r.Results[0].Last(3))
	assert.Empty(t, health.Result{Output: []byte("\n \n")}.Last(3))
}

// When the context ends, what runs is ended and the rest is not begun.
func TestInterrupted(t *testing.T) {
	dir, out := directory(t), t.TempDir()
	script(t, dir, "a", 0o755, fmt.Sprintf("sleep 600 & echo $! >%s/a; wait", out))
	script(t, dir, "b", 0o755, fmt.Sprintf("touch %s/b", out))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for i := 0; i < 400; i++ {
			if info, err := os.Stat(out + "/a"); err == nil && info.Size() > 0 {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	r, err := health.Checks{Dir: dir, Jobs: 1}.Run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, r.Results, 2)
	assert.Equal(t, "ended before it was done", said(r.Results[0]))
	assert.False(t, r.Results[0].TimedOut)
	assert.Equal(t, "not begun", said(r.Results[1]))
	gone(t, process(t, out+"/a"))
	assert.NoFileExists(t, out+"/b")
}

// Nobody but root says what root runs.
func TestRefused(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, dir, check string) error
		says    string
	}{
		{"writable by all", func(_ *testing.T, _, check string) error { return os.Chmod(check, 0o757) }, "others than root can write to %s/check"},
		{"writable by its group", func(_ *testing.T, _, check string) error { return os.Chmod(check, 0o775) }, "others than root can write to %s/check"},
		{"sticky", func(_ *testing.T, _, check string) error { return os.Chmod(check, 0o757|os.ModeSticky) }, "others than root can write to %s/check"},
		{"of another one", func(t *testing.T, _, check string) error {
			if os.Geteuid() != 0 {
				t.Skip("needs root to give a file away")
			}
			return os.Chown(check, 65534, 0)
		}, "uid 65534 owns %s/check"},
		{"a link to where others can write", func(t *testing.T, dir, check string) error {
			open := t.TempDir()
			return errors.Join(os.Rename(check, open+"/check"), os.Chmod(open, 0o777), os.Symlink(open+"/check", check))
		}, "others than root can write to "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := directory(t)
			check := script(t, dir, "check", 0o755, "touch "+ran)
			script(t, dir, "good", 0o755, "exit 0")
			require.NoError(t, tt.prepare(t, dir, check))
			r, err := health.Checks{Dir: dir}.Run(t.Context())
			require.NoError(t, err)
			require.Len(t, r.Failed(), 1)
			assert.Equal(t, "check", r.Failed()[0].Name)
			assert.Equal(t, -1, r.Failed()[0].Code)
			want := tt.says
			if strings.Contains(want, "%s") {
				want = fmt.Sprintf(want, dir)
			}
			assert.Contains(t, said(r.Failed()[0]), "refused: "+want)
			assert.NoFileExists(t, ran)
		})
	}
	t.Run("directory", func(t *testing.T) {
		dir := directory(t)
		script(t, dir, "check", 0o755, "touch "+ran)
		require.NoError(t, os.Chmod(dir, 0o1777))
		_, err := health.Checks{Dir: dir}.Run(t.Context())
		require.ErrorContains(t, err, "others than root can write to "+dir)
		assert.NoFileExists(t, ran)
	})
}
