package be_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

type timed struct {
	zfs.ZFS
	in    time.Duration
	calls map[string]int
	large int
}

func (z *timed) t(name string) func() {
	at := cpu()
	z.calls[name]++
	return func() { z.in += cpu() - at }
}

func (z *timed) Get(ctx context.Context, q zfs.Query) ([]zfs.Dataset, error) {
	defer z.t("get")()
	ds, err := z.ZFS.Get(ctx, q)
	if len(ds) > 1000 {
		z.large++
	}
	return ds, err
}

func (z *timed) Set(ctx context.Context, c []zfs.Change) error {
	defer z.t(fmt.Sprint("set of ", len(c)))()
	return z.ZFS.Set(ctx, c)
}

func (z *timed) Destroy(ctx context.Context, r zfs.Removal) error {
	defer z.t(fmt.Sprint("destroy of ", len(r.Datasets)))()
	return z.ZFS.Destroy(ctx, r)
}
func (z *timed) Rollback(ctx context.Context, r, d []string) error {
	defer z.t(fmt.Sprint("rollback with ", len(d)))()
	return z.ZFS.Rollback(ctx, r, d)
}
func (z *timed) Snapshot(ctx context.Context, n []string, p zfs.Props) error {
	defer z.t("snapshot")()
	return z.ZFS.Snapshot(ctx, n, p)
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func timedDo(t *testing.T, w *betest.World, r be.Request) {
	t.Helper()
	sys := w.System()
	z := &timed{ZFS: sys.ZFS, calls: map[string]int{}}
	sys.ZFS = z
	at := cpu()
	_, err := be.New(sys).Do(t.Context(), r, be.Options{Step: func(s be.StepDone) {
		if s.Duration > 2*time.Second {
			t.Logf("   %s: %v", s.Name, s.Duration)
		}
	}})
	all := cpu() - at
	t.Logf("%T: %v, of it %v not in zfs; gets with >1000 rows: %d; %v", r, all.Round(time.Millisecond), (all - z.in).Round(time.Millisecond), z.large, z.calls)
	if err != nil {
		t.Errorf("%T: %v", r, err)
	}
}

func TestRev5Thousands(t *testing.T) {
	many, _ := strconv.Atoi(os.Getenv("MANY"))
	if many == 0 {
		t.Skip()
	}
	w := onePool(t)
	accounts(w)
	w.Put("rpool/ROOT/debian", "etc/snapbe/synclist", "/etc/passwd MERGE\n/etc/shadow MERGE\n/etc/adjtime\n")
	hourly := func(be string, from, n int) {
		at := time.Now()
		var names []string
		for i := from; i < from+n; i++ {
			names = append(names, fmt.Sprintf("rpool/ROOT/%s@autosnap_2026-11-20_%06d_hourly", be, i))
			if len(names) == 50 || i == from+n-1 {
				snapshot(t, w, names...)
				names = nil
			}
		}
		t.Logf("%d snapshots of %s: %v", n, be, time.Since(at))
	}
	hourly("debian", 0, many/2)
	timedDo(t, w, be.Create{Name: "be-2"})
	timedDo(t, w, be.Sync{Name: "be-2"})
	hourly("debian", many/2, many/2)
	hourly("be-2", 0, many)
	setAnn(w, "debian", pwA)
	timedDo(t, w, be.Sync{Name: "be-2"})
	setAnn(w, "debian", lockA)
	timedDo(t, w, be.Activate{Name: "be-2"})
	setAnn(w, "debian", pwB)
	require.NoError(t, w.Start())
	timedDo(t, w, be.ShareMount{})
	timedDo(t, w, be.Handover{Boot: true})
	hourly("be-2", many, 10)
	setAnn(w, "be-2", lockA)
	timedDo(t, w, be.Failback{})
	require.NoError(t, w.Start())
	timedDo(t, w, be.Handover{Boot: true})
	hourly("debian", many, 10)
	timedDo(t, w, be.Create{Name: "be-3"})
	timedDo(t, w, be.Sync{Name: "be-3"})
	hourly("be-3", 0, 10)
	timedDo(t, w, be.Sync{Name: "be-3"})
	timedDo(t, w, be.Rollback{Name: "be-2@autosnap_2026-11-20_000010_hourly", Newer: true})
	timedDo(t, w, be.Destroy{Name: "be-2", Snapshots: true})
}

// The snapshots of another tool have been given what they tell (handOn), and the BE
// that they tell of goes, with as many.
func TestRev5DestroyOfMany(t *testing.T) {
	many := 150
	if n, _ := strconv.Atoi(os.Getenv("MANY")); n > 0 {
		many = n
	}
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	var names []string
	for i := range many {
		names = append(names, fmt.Sprintf("rpool/ROOT/debian@hourly%d", i))
	}
	snapshot(t, w, names...)
	into(t, w, "be-2")
	for i := range names {
		names[i] = fmt.Sprintf("rpool/ROOT/be-2@hourly-%d", i)
	}
	snapshot(t, w, names...)
	told := props(t, w, "rpool/ROOT/be-2", "org.snapbe:had")["org.snapbe:had"].Value
	require.NotEmpty(t, told)
	var changes []zfs.Change
	for _, name := range names {
		changes = append(changes, zfs.Change{Dataset: name, Set: zfs.Props{"org.snapbe:had": told}})
	}
	require.NoError(t, w.ZFS.Set(t.Context(), changes))
	timedDo(t, w, be.Destroy{Name: "debian", Snapshots: true})
}
