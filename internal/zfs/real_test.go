//go:build realzfs

package zfs_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"snapbe/internal/command"
	"snapbe/internal/zfs"
	"snapbe/internal/zfs/zfstest"
)

// TestRealSuite runs the suite on a pool of files below the directory for
// temporary ones. It needs root and OpenZFS:
//
//	go test -c -tags realzfs -o zfs.test ./internal/zfs
func TestRealSuite(t *testing.T) {
	t.Run("direct", func(t *testing.T) { suite(t, zfs.NewTools(command.Exec{})) })
	t.Run("programs", func(t *testing.T) { suite(t, zfs.NewTools(command.Exec{}).ProgramsOnly()) })
}

func suite(t *testing.T, tools zfs.ZFS) {
	zfstest.Run(t, func(t *testing.T) zfstest.Subject {
		host := host{newPool(t)}
		return zfstest.Subject{
			ZFS:     tools,
			Pool:    host.pool,
			Mount:   host.mount,
			Unmount: host.unmount,
			Volume:  func(t *testing.T, name string) { run(t, "", "zfs", "create", "-s", "-V", "1M", name) },
			Receive: host.receive,
			Hold:    func(t *testing.T, snap string) { run(t, "", "zfs", "hold", "snapbe-test", snap) },
			Release: func(t *testing.T, snap string) { run(t, "", "zfs", "release", "snapbe-test", snap) },
		}
	})
}

// newPool makes a pool, a mirror of two files, for as long as the test runs.
func newPool(t testing.TB) string {
	dir := t.TempDir()
	pool := fmt.Sprintf("snapbe-test-%d", os.Getpid())
	argv := []string{
		"zpool", "create", "-f", "-o", "cachefile=none", "-o", "ashift=12",
		"-O", "mountpoint=none", "-O", "canmount=off", "-O", "compression=lz4", pool, "mirror",
	}
	for _, name := range []string{"disk1", "disk2"} {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		require.NoError(t, os.Truncate(file, 512<<20))
		argv = append(argv, file)
	}
	run(t, "", argv...)
	t.Cleanup(func() { run(t, "", "zpool", "destroy", "-f", pool) })
	return pool
}

func run(t testing.TB, stdin string, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := command.Exec{}.Run(ctx, command.Cmd{Argv: argv, Stdin: strings.NewReader(stdin)})
	require.NoError(t, err)
	return string(out)
}

type host struct{ pool string }

func (host) mount(t *testing.T, name string) string {
	dir, err := os.MkdirTemp("", "snapbe-test-")
	require.NoError(t, err)
	run(t, "", "mount", "-t", "zfs", "-o", "zfsutil", name, dir)
	return dir
}

// unmount finds the directory by the filesystem's name of now, which may have
// changed since it was mounted.
func (host) unmount(t *testing.T, name string) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[0] == name {
			run(t, "", "umount", f[1])
			require.NoError(t, os.Remove(f[1]))
			return
		}
	}
	require.Fail(t, "not mounted: "+name)
}

func (h host) receive(t *testing.T, name, prop, value string) {
	from := h.pool + "/sent"
	run(t, "", "zfs", "create", "-u", "-o", prop+"="+value, from)
	run(t, "", "zfs", "snapshot", from+"@s")
	run(t, run(t, "", "zfs", "send", "-p", from+"@s"), "zfs", "receive", "-u", name)
	run(t, "", "zfs", "destroy", "-r", from)
}
