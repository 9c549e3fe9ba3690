//go:build linux && realzfs

package mount

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRealSnapshotDirectory: who looks at a snapshot of a tree from inside has it
// mounted nowhere, and above all not over the one of that name of the BE that runs.
func TestRealSnapshotDirectory(t *testing.T) {
	for _, confined := range []bool{true, false} {
		t.Run(fmt.Sprintf("confined=%v", confined), func(t *testing.T) { lookAtSnapshot(t, confined) })
	}
}

func lookAtSnapshot(t *testing.T, confined bool) {
	t.Helper()
	tree := clone(t)
	running := onHost(t, "findmnt -no SOURCE /")
	for _, dataset := range []string{running, tree[0].Dataset} {
		onHost(t, "zfs snapshot "+dataset+"@same")
		t.Cleanup(func() { onHost(t, "zfs list "+dataset+"@same >/dev/null 2>&1 || exit 0; zfs destroy "+dataset+"@same") })
	}
	out, _, err := run(t, tree, ExecSpec{Confined: confined, Argv: []string{"sh", "-c", "ls /.zfs/snapshot/same/etc; ls /.zfs/snapshot"}})
	require.NoError(t, err)
	assert.Contains(t, out, "same\n", "the test looked where snapshots are")
	assert.NotContains(t, onHost(t, "cat /proc/mounts"), tree[0].Dataset+"@same")
	onHost(t, "zfs destroy "+tree[0].Dataset+"@same")
	onHost(t, "ls /.zfs/snapshot/same/etc >/dev/null")
	assert.Contains(t, onHost(t, "cat /proc/mounts"), running+"@same", "the host sees its own")
	onHost(t, "umount /.zfs/snapshot/same; zfs destroy "+running+"@same")
}
