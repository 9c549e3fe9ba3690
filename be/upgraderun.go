package be

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"snapbe/internal/zfs"
	"snapbe/zones"
)

// jobMemory is what a package manager is taken to need, in bytes.
const jobMemory = 512 << 20

// jobs is how many upgrades run at once where nobody says so: two at least, since
// most of the time one waits for the network or the disk, but no more than there
// is memory for; 0 is memory that is not known.
func jobs(targets, cpus int, memory uint64) int {
	n := min(targets, max(2, cpus))
	if memory > 0 {
		n = min(n, int(memory/jobMemory))
	}
	return max(n, 1)
}

// memoryAvailable is MemAvailable of proc_meminfo(5) in bytes, 0 where that cannot
// be told. What ZFS caches is not in it.
func memoryAvailable() uint64 {
	text, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemAvailable:" {
			kib, _ := strconv.ParseUint(f[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// runUpgrades runs what is planned; ran tells that a command has run in the host's
// tree.
func (m *Manager) runUpgrades(ctx context.Context, b BE, u Upgrade, res *UpgradeResult) (ran bool, err error) {
	todo := toUpgrade(res.Targets)
	var mu sync.Mutex
	tell := func(t *UpgradeTarget, note string) {
		mu.Lock()
		defer mu.Unlock()
		if note != "" {
			res.Notes = append(res.Notes, note)
		}
		if u.Progress != nil {
			u.Progress(*t)
		}
	}
	for i := range res.Targets {
		if t := &res.Targets[i]; t.State != UpgradePlanned {
			tell(t, "")
		}
	}
	if len(todo) == 0 {
		return false, nil
	}
	logs, err := m.upgradeLogs(b)
	if err != nil {
		return false, fmt.Errorf("open the directory of the logs: %w", err)
	}
	defer logs.Close()
	if err := m.dropUpgraded(ctx, todo); err != nil {
		return false, err
	}
	var g errgroup.Group
	g.SetLimit(res.Jobs)
	for _, t := range todo {
		g.Go(func() error {
			if ctx.Err() != nil {
				t.State, t.Why = UpgradeInterrupted, "not begun"
				tell(t, "")
				return nil
			}
			mu.Lock()
			ran = ran || t.Zone == ""
			mu.Unlock()
			m.runUpgrade(ctx, logs, t, tell)
			return nil
		})
	}
	err = g.Wait()
	return ran, err
}

// runUpgrade upgrades one target, and marks it where that ended well.
func (m *Manager) runUpgrade(ctx context.Context, logs *logDir, t *UpgradeTarget, tell func(t *UpgradeTarget, note string)) {
	t.State, t.Log = UpgradeRunning, logs.path(t.logName())
	tell(t, "")
	began := time.Now()
	code, last, note, err := m.execLogged(ctx, logs, t)
	t.Seconds = time.Since(began).Seconds()
	if code == 0 && err == nil {
		at := m.sys.Now().UTC().Truncate(time.Second)
		err = m.sys.ZFS.Set(context.WithoutCancel(ctx), []zfs.Change{{Dataset: t.Dataset,
			Set: zfs.Props{zones.PropUpgraded: at.Format(time.RFC3339)}}})
		if err == nil {
			t.State, t.Upgraded = UpgradeOK, at
			tell(t, note)
			return
		}
	}
	t.State, t.Code, t.Last = UpgradeFailed, code, last
	switch {
	case ctx.Err() != nil:
		t.State, t.Why = UpgradeInterrupted, "ended before it was done"
	case err != nil:
		t.Why = err.Error()
	default:
		t.Why = fmt.Sprintf("exit %d", code)
	}
	tell(t, note)
}
