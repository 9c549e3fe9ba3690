//go:build vm

package lab

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBase holds the images to what the other tests take for granted.
func TestBase(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		release, layout, boot string
		nested                []string
	}{
		{"trixie", "single", "rpool/ROOT/debian", []string{"/opt", "/home"}},
		{"trixie", "split", "bpool/BOOT/debian", []string{"/boot", "/home", "/var/log", "/var/spool"}},
		{"bookworm", "single", "rpool/ROOT/debian", []string{"/opt", "/home"}},
	} {
		t.Run(test.release+" "+test.layout, func(t *testing.T) {
			image := BaseRunning(t, test.release, test.layout)
			start := time.Now()
			m := Resume(t, Config{Image: image})
			t.Logf("resumed: %v", time.Since(start))
			t.Logf("%s", m.MustRun("uname -r; zfs version; grub-install --version; zpool status; zfs list -o name,canmount,mounted,mountpoint; findmnt -t zfs; cat /proc/cmdline; systemd-analyze; ls -l /etc/hostid /etc/zfs /etc/zfs/zfs-list.cache; systemctl show -p FragmentPath boot.mount; lsmod; ls /etc/systemd/system"))
			require.Equal(t, "all pools are healthy\n", m.MustRun("zpool status -x"))
			require.Empty(t, m.MustRun("systemctl list-units --failed --no-legend"))
			require.Equal(t, "rpool/ROOT/debian\n", m.MustRun("findmnt -no SOURCE /"))
			require.Equal(t, test.boot+"\n", m.MustRun("findmnt -nT /boot/grub -o SOURCE"))
			for _, dir := range test.nested {
				require.NotEmpty(t, m.MustRun("findmnt -nt zfs -o SOURCE "+dir))
			}
			require.Contains(t, m.MustRun("cat /proc/cmdline"), "root=ZFS=rpool/ROOT/debian")
			require.Equal(t, "ESP1\nESP2\n", m.MustRun("lsblk -no LABEL /dev/vda2 /dev/vdb2"))
		})
	}
}
