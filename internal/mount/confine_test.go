//go:build linux

package mount

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTry(t *testing.T) {
	needRoot(t)
	out, code, err := run(t, system(t), ExecSpec{Confined: true, Argv: []string{"sh", "-c", `
	id; ls -l /dev /dev/pts; ls -l /proc/self/fd; grep Cap /proc/self/status; cat /proc/self/mountinfo; cat /proc/self/uid_map;
	grep Cap /proc/1/status
	cat /proc/1/environ; readlink /proc/1/root; tty; cat /proc/sys/user/max_user_namespaces; unshare -Ur true; unshare -m true; env; ls -l /proc/1/exe; echo 1 > /proc/self/oom_score_adj;ps axj
	cat /proc/keys;ls /sys/firmware;ls /sys/fs/cgroup; hostname foo; systemctl start x; systemd-detect-virt
	`}})
	require.NoError(t, err)
	t.Log(code, out)
}
