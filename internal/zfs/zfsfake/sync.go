package zfsfake

import (
	"context"

	"snapbe/internal/zfs"
)

// Sync is the promise of zfs.ZFS; a fake pool is always in step.
func (f *Fake) Sync(ctx context.Context, pool string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.st.Pools[pool]; !ok {
		return &zfs.Error{Verb: "sync", Name: pool, Reason: zfs.NotFound}
	}
	return ctx.Err()
}
