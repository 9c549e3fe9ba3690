//go:build vm

package bootloader

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"snapbe/internal/command"
)

// guestJob is what TestGuest does inside the lab's machine.
type guestJob struct {
	// Menu needs no Boot in its entries; without Disks the leaves' are taken.
	Menu    Menu
	Roots   []string // of the entries
	Leaves  []string
	Install bool // GRUB on all disks, too
}

// guestFile holds the job. On any other machine TestGuest does nothing.
const guestFile = "/root/bootloader-job.json"

// TestGuest works on the host it runs on, with the real GRUB tools.
func TestGuest(t *testing.T) {
	text, err := os.ReadFile(guestFile)
	if err != nil {
		t.Skip("for the inside of the lab's machine")
	}
	var job guestJob
	require.NoError(t, json.Unmarshal(text, &job))
	ctx := t.Context()
	g := Host(command.Exec{})
	require.NoError(t, g.CanRead(ctx, "/boot"))
	devices, err := g.Devices(ctx, job.Leaves)
	require.NoError(t, err)
	m := job.Menu
	roots := map[string]string{}
	for i := range m.Entries {
		e := &m.Entries[i]
		roots[e.UUID] = job.Roots[i]
		look(t, job.Roots[i], func(root *os.Root) { e.Boot, err = Inspect(root, "boot") })
		require.NoError(t, err)
	}
	for _, d := range devices {
		if job.Install {
			require.NoError(t, g.Install(ctx, d, m.PoolGUID, m.GrubPath))
		}
		require.NoError(t, g.Installed(d, m.PoolGUID, m.GrubPath), d.Path)
		if job.Menu.Disks == nil {
			m.Disks = append(m.Disks, d.Disk)
		}
	}
	_, err = g.Write(m)
	require.NoError(t, err)
	changed, err := g.Write(m)
	require.NoError(t, err)
	require.False(t, changed)
	_, err = g.Hook(ctx)
	require.NoError(t, err)
	problems := g.Check(ctx, m, func(e Entry, f func(*os.Root, string) error) (err error) {
		look(t, roots[e.UUID], func(root *os.Root) { err = f(root, "boot") })
		return err
	})
	require.Empty(t, problems)
	back, err := g.Read()
	require.NoError(t, err)
	out, err := json.Marshal(back)
	require.NoError(t, err)
	// For the test outside, which reads it from the log.
	t.Log("MENU " + strings.TrimSpace(string(out)))
}

func look(t *testing.T, dir string, f func(*os.Root)) {
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	f(root)
}
