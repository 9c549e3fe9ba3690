package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/command"
	"snapbe/internal/mount"
)

// Package zfs asks the kernel directly only where it sees that the programs
// are the host's own: the log must not hide that.
func TestLogDoesNotHideTheHost(t *testing.T) {
	r, ok := hostPrograms(slog.New(slog.DiscardHandler)).(interface{ Unwrap() command.Runner })
	assert.True(t, ok)
	assert.Equal(t, command.Exec{}, r.Unwrap())
}

// printed is a program that prints something and ends well or not.
type printed struct {
	out string
	err error
}

func (s printed) Run(context.Context, command.Cmd) ([]byte, error) { return []byte(s.out), s.err }

// systemctl is-enabled ends with 0 where one unit of several is enabled.
func TestUnits(t *testing.T) {
	no := errors.New("exit status 1")
	rest := func(state string) string { return strings.Repeat(state+"\n", len(units)-1) }
	for name, c := range map[string]struct {
		printed
		missing []string
	}{
		"all":           {printed{"enabled\n" + rest("enabled"), nil}, nil},
		"the first":     {printed{"enabled\n" + rest("disabled"), nil}, units[1:]},
		"all but one":   {printed{"disabled\n" + rest("enabled"), nil}, units[:1]},
		"none":          {printed{"disabled\n" + rest("disabled"), no}, units},
		"not installed": {printed{"", no}, units},
	} {
		t.Run(name, func(t *testing.T) {
			missing, err := (&host{run: c.printed}).Units(t.Context())
			require.NoError(t, err)
			assert.Equal(t, c.missing, missing)
		})
	}
}

// isolate ends services, and leaves scopes and what PID 1 started alone.
func TestInService(t *testing.T) {
	for cgroup, want := range map[string]bool{
		"0::/user.slice/user-0.slice/session-3.scope\n":                    false,
		"0::/system.slice/cron.service\n":                                  true,
		"0::/system.slice/run-u12.scope\n":                                 false,
		"12:pids:/system.slice/x.service\n0::/\n":                          true,
		"0::/init.scope\n":                                                 false,
		"0::/system.slice/x.service/inner/y.scope\n":                       true,
		"0::/user.slice/user-0.slice/user@0.service/app.slice/x.service\n": false,
	} {
		assert.Equal(t, want, inService(cgroup), "%q", cgroup)
	}
}

// Also where sudo or env -i have dropped the command's own environment.
func TestStartedByExec(t *testing.T) {
	for text, want := range map[string]bool{
		"A=b\x00" + mount.ContainerEnv + "\x00C=d\x00": true,
		"A=b\x00container=docker\x00":                  false,
		"A=x" + mount.ContainerEnv + "\x00":            false,
		"":                                             false,
	} {
		file := filepath.Join(t.TempDir(), "environ")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		assert.Equal(t, want, startedByExec(file), "%q", text)
	}
	assert.False(t, startedByExec("/nonexistent"))
}
