//go:build vm

package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"snapbe/internal/lab"
)

// TestRollback brings a BE back to a snapshot of its own, and goes on from a cut.
func TestRollback(t *testing.T) {
	t.Parallel()
	m := adopted(t, "trixie", "single")
	m.MustRun("snapbe create be-2 && snapbe create be-2@mine && snapbe exec be-2 -- sh -c 'echo later > /etc/motd; echo x > /opt/later'")
	m.MustRun("zfs snapshot -r rpool/ROOT/be-2@newer")
	_, err := m.Run("snapbe rollback -y be-2@mine")
	assert.Equal(t, 1, lab.ExitCode(err), "newer snapshots stop it")
	t.Logf("%s", m.MustRun("snapbe rollback -y --newer be-2@mine 2>&1"))
	assert.Empty(t, m.MustRun("zfs list -Ho name -t snapshot -r rpool/ROOT/be-2 | grep newer || true"))
	assert.Equal(t, "0\n", m.MustRun("snapbe exec be-2 -- sh -c 'grep -c later /etc/motd; ls /opt/later 2>/dev/null; true'"))
	assert.Empty(t, m.MustRun("snapbe boot check"))
	// What a power cut leaves behind the first step, with and without use since.
	for _, since := range []string{"true", "zfs snapshot -r rpool/ROOT/be-2@safety"} {
		m.MustRun("snapbe exec be-2 -- sh -c 'echo later > /etc/motd' && zpool sync")
		for _, tool := range []string{"zfs", "zpool"} {
			m.Write("/root/stop/"+tool, []byte(stopper), 0o755)
		}
		for n := 1; n < 30; n++ {
			_, _ = m.Run(stopped("kill", n, "snapbe rollback -y be-2@mine"))
			if m.MustRun("zfs get -Ho value org.snapbe:op rpool/ROOT/be-2") != "-\n" {
				break
			}
			m.MustRun("snapbe recover")
		}
		assert.NotEqual(t, "-\n", m.MustRun("zfs get -Ho value org.snapbe:op rpool/ROOT/be-2"), "it was to be stopped behind its mark")
		m.MustRun(since + "; snapbe recover")
		assert.Equal(t, "-\n", m.MustRun("zfs get -Ho value org.snapbe:journal rpool/ROOT"))
		assert.Equal(t, "-\n", m.MustRun("zfs get -Ho value org.snapbe:op rpool/ROOT/be-2"))
		want := map[bool]string{true: "0\n", false: "1\n"}[since == "true"]
		assert.Equal(t, want, m.MustRun("snapbe exec be-2 -- sh -c 'grep -c later /etc/motd; true'"), since)
	}
	m.MustRun("zfs list rpool/ROOT/be-2@safety")
	healthy(t, m)
}
