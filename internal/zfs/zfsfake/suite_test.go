package zfsfake_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"snapbe/internal/zfs"
	"snapbe/internal/zfs/zfsfake"
	"snapbe/internal/zfs/zfstest"
)

func TestSuite(t *testing.T) {
	zfstest.Run(t, func(t *testing.T) zfstest.Subject {
		f := zfsfake.NewIn(t.TempDir(), "apool", "tank")
		require.NoError(t, f.Set(t.Context(), []zfs.Change{{Dataset: "tank", Set: zfs.Props{"mountpoint": "none"}}}))
		return zfstest.Subject{
			ZFS:  f,
			Pool: "tank",
			Mount: func(_ *testing.T, name string) string {
				f.SetMounted(name, true)
				return f.Dir(name)
			},
			Unmount: func(_ *testing.T, name string) { f.SetMounted(name, false) },
			Volume:  func(t *testing.T, name string) { require.NoError(t, f.CreateVolume(name, nil)) },
			Receive: func(t *testing.T, name, prop, value string) {
				require.NoError(t, f.Create(context.Background(), name, zfs.Props{"canmount": "noauto"}))
				f.SetReceived(name, prop, value)
			},
			Hold:    func(_ *testing.T, snapshot string) { f.SetHolds(snapshot, 1) },
			Release: func(_ *testing.T, snapshot string) { f.SetHolds(snapshot, 0) },
		}
	})
}
