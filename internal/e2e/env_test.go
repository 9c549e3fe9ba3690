//go:build vm

package e2e

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"snapbe/internal/command"
	"snapbe/internal/lab"
)

// TestEnv runs the tests of what the boot disks remember in a guest, whose
// kernel has vfat.
func TestEnv(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "bootloader.test")
	_, err := command.Exec{}.Run(t.Context(), command.Cmd{
		Argv: []string{"go", "test", "-c", "-tags", "realfat", "-o", binary, "snapbe/bootloader"},
		Env:  []string{"CGO_ENABLED=0"},
	})
	require.NoError(t, err)
	for _, release := range releases() {
		t.Run(release, func(t *testing.T) {
			m := lab.Resume(t, lab.Config{Image: lab.BaseRunning(t, release, "single")})
			const remote = "/root/bootloader.test"
			m.Copy(binary, remote, 0o755)
			m.MustRun("modprobe loop")
			out, err := m.Run("cd / && timeout 300 " + remote + " -test.v -test.run 'TestRealEnv|TestEnvFile' 2>&1")
			t.Logf("%s", out)
			require.NoError(t, err)
		})
	}
}
