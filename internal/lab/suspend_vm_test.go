//go:build vm

package lab

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestResume(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "running")
	image := DeriveRunning(t, baseImage(t), dir, func(m *Machine) {
		m.MustRun("touch /etc/prepared; echo here >/run/memory")
	})
	for i := range 2 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			start := time.Now()
			m := Resume(t, Config{Image: image})
			t.Logf("resumed: %v", time.Since(start))
			require.Equal(t, "here\n", m.MustRun("test -e /etc/prepared; cat /run/memory"))
			now, err := strconv.ParseInt(strings.TrimSpace(m.MustRun("date +%s")), 10, 64)
			require.NoError(t, err)
			require.InDelta(t, time.Now().Unix(), now, 5)
			// Each goes its own way.
			_, err = m.Run("test -e /etc/other")
			require.Equal(t, 1, ExitCode(err))
			m.MustRun("touch /etc/other; zpool scrub -w rpool; zpool status -x")
			t.Logf("scrubbed: %v", time.Since(start))
			if i == 1 {
				m.Reboot()
				m.MustRun("test -e /etc/other")
			}
		})
	}
}
