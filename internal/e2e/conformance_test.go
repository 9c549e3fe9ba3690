//go:build vm

package e2e

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

// TestConformance runs the suite of package zfstest in a guest, on the OpenZFS
// of that release.
func TestConformance(t *testing.T) {
	t.Parallel()
	binary := realTests(t, "zfs")
	for _, release := range releases() {
		t.Run(release, func(t *testing.T) {
			m := lab.Resume(t, lab.Config{Image: lab.BaseRunning(t, release, "single")})
			t.Logf("%s", m.MustRun("zfs version"))
			const remote = "/root/zfs.test"
			m.Copy(binary, remote, 0o755)
			// In parts, since an emulated machine takes minutes for each.
			// Without the short way only the last of them is different.
			parts := []string{
				"direct/(Get|Sources|Values|Snapshot|Clone|Create)", "direct/(Set|Promote|Rename|Pool)",
				"direct/(Destroy|Rollback)", "programs/(Values|Snapshot|Clone)",
			}
			if only := os.Getenv("SNAPBE_ZFS_TESTS"); only != "" { // while working on one
				parts = []string{only}
			}
			for _, part := range parts {
				// The pool's files are on tmpfs: one pool on another is slow.
				out, err := m.Run("cd / && TMPDIR=/dev/shm " + remote + " -test.v -test.run 'TestRealSuite/" + part + "'")
				t.Logf("%s", out)
				require.NoError(t, err)
			}
		})
	}
}
