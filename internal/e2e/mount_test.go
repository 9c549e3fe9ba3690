//go:build vm

package e2e

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

// TestMount runs the tests of package mount in a guest, where datasets are
// datasets: first those that need no ZFS, on that release's kernel.
func TestMount(t *testing.T) {
	t.Parallel()
	binary := realTests(t, "mount")
	for _, release := range releases() {
		t.Run(release, func(t *testing.T) {
			m := lab.Resume(t, lab.Config{Image: lab.BaseRunning(t, release, "single")})
			t.Logf("%s", m.MustRun("zfs version; uname -r"))
			const remote = "/root/mount.test"
			m.Copy(binary, remote, 0o755)
			runs := []string{"Test[^R]", "TestReal"}
			if only := os.Getenv("SNAPBE_MOUNT_TESTS"); only != "" { // while working on one
				runs = []string{only}
			}
			for _, tests := range runs {
				// On the console too, for a run that hangs. /tmp has no devices there.
				out, err := m.Run("set -o pipefail; cd / && TMPDIR=/var/tmp timeout 800 " + remote + " -test.v -test.run '" + tests + "' 2>&1 | tee /dev/ttyS0")
				t.Logf("%s\n%s", tests, out)
				require.NoError(t, err)
			}
		})
	}
}
