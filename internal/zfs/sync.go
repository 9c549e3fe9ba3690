package zfs

import "context"

// Sync is the promise of ZFS.
func (t *Tools) Sync(ctx context.Context, pool string) error {
	if err := check("sync", []string{pool}); err != nil {
		return err
	}
	_, err := t.run(ctx, "sync", pool, "zpool", "sync", pool)
	return err
}
