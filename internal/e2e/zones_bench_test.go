//go:build vm

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

// bareZones makes zones with the plain commands of ZFS: a small root each, with
// what a sync looks at and the shell that an upgrade is run by.
func bareZones(m *lab.Machine, n int) {
	m.MustRun(fmt.Sprintf(`set -e; zfs create -o mountpoint=none -o canmount=off rpool/zones
		zfs create -u -o canmount=noauto -o mountpoint=/ rpool/small; mount -t zfs -o zfsutil rpool/small /mnt
		cd /mnt; mkdir -p etc usr/bin var/lib dev proc sys run tmp root; cp -pL /etc/passwd /etc/shadow /etc/group /etc/gshadow /etc/os-release etc/
		ln -s usr/bin bin; cp -L --parents $(ldd /bin/sh | grep -o '/[^ ]*') .; cp -L /bin/sh usr/bin/sh; chroot . sh -c true
		cd /; umount /mnt; zfs snapshot rpool/small@1
		uuid=$(zfs get -Ho value org.opensolaris.libbe:uuid rpool/ROOT/debian)
		seq -w %[1]d | xargs -r -P 8 -I{} sh -c "zfs create -o canmount=off rpool/zones/z{} && zfs create -o canmount=off rpool/zones/z{}/ROOT && zfs clone -o canmount=noauto -o mountpoint=/ -o org.opensolaris.libbe:active=on -o org.opensolaris.libbe:parentbe=$uuid rpool/small@1 rpool/zones/z{}/ROOT/zbe"
		zfs set org.snapbe:zones=rpool/zones rpool/ROOT; snapbe boot zones 2>&1
		[ $(snapbe zone list -H | wc -l) = %[1]d ]
		printf '[upgrade.commands]\ndebian = "true"\n' >> /etc/snapbe/snapbe.toml`, n))
}

// plainNames writes, for the plain commands, what is snapshotted and cloned: the
// host's root with the zones', and then what is nested in the host's.
func plainNames(m *lab.Machine, n int) {
	m.MustRun(fmt.Sprintf(`set -e; seq -w %d > /run/zones
		{ echo rpool/ROOT/debian@floor rpool/ROOT/made; sed 's,.*,rpool/zones/z&/ROOT/zbe@floor rpool/zones/z&/ROOT/made,' /run/zones; } > /run/clones
		zfs list -rHo name rpool/ROOT/debian | sed -n 's,^rpool/ROOT/debian/\(.*\),rpool/ROOT/debian/\1@floor rpool/ROOT/made/\1,p' > /run/nested`, n))
}

// zoneFloor is what the plain commands need: one snapshot for all, and clones
// eight at a time. zonePeer is how tools do it that take zone after zone.
const (
	zoneFloor = `zfs snapshot $(cut -d' ' -f1 /run/clones /run/nested)
		xargs -r -P 8 -L 1 zfs clone -o canmount=noauto -o mountpoint=/ < /run/clones
		xargs -r -P 8 -L 1 zfs clone -o canmount=noauto < /run/nested`
	zonePeer = `cat /run/clones /run/nested | while read snap to; do zfs snapshot $snap; zfs clone -o canmount=noauto $snap $to; done`
	zoneUndo = `set -e; zfs destroy -r rpool/ROOT/made; zfs destroy -r rpool/ROOT/debian@floor
		xargs -r -P 8 -I{} sh -c 'zfs destroy rpool/zones/z{}/ROOT/made && zfs destroy rpool/zones/z{}/ROOT/zbe@floor' < /run/zones`

	// What the other operations are at least.
	plainList     = `zfs list -Hp -d 3 -o name,used,referenced,creation,origin,mountpoint rpool/zones > /dev/null`
	plainActivate = `zpool set bootfs=rpool/ROOT/made rpool`
	plainMount    = `xargs -r -P 8 -I{} sh -c 'mkdir -p /run/floor/{} && mount -t zfs -o zfsutil rpool/zones/z{}/ROOT/made /run/floor/{}' < /run/zones`
	plainBack     = `zpool set bootfs=rpool/ROOT/debian rpool; xargs -r -I{} umount /run/floor/{} < /run/zones`
)

// BenchmarkZones measures what zones add to each operation and to a boot, beside
// the plain commands; for each operation also what a zone costs.
func BenchmarkZones(b *testing.B) {
	none := map[string]float64{}
	for _, n := range []int{0, 1, 5, 20, 100} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			m := benchHost(b)
			bareZones(m, n)
			took := map[string][]float64{}
			for b.Loop() {
				zoneOperations(b, m, n, took)
				zoneBoots(b, m, took)
			}
			for op, t := range took {
				switch plain, beside := took["floor "+op]; {
				case strings.HasPrefix(op, "floor "):
				case beside:
					report(b, unit(op), t, plain)
				default:
					b.ReportMetric(median(t), metric(op, ""))
				}
				if n == 0 {
					none[op] = median(t)
				} else if without, ok := none[op]; ok {
					b.ReportMetric((median(t)-without)/float64(n), metric(op, "-each"))
				}
			}
			b.ReportMetric(median(took["create"])/median(took["peer"]), "create-to-peer-ratio")
		})
	}
}

// metric names what is measured of an operation: seconds, but for memory.
func metric(op, of string) string {
	in := "-s"
	if op == "upgrade peak" {
		in = "-MiB"
	}
	return unit(op) + of + in
}

// zoneOperations measures each operation, and what the plain commands need for it.
func zoneOperations(b *testing.B, m *lab.Machine, n int, took map[string][]float64) {
	measure := func(op, command string) { took[op] = append(took[op], seconds(b, m, command)) }
	plainNames(m, n)
	measure("create", "snapbe create made")
	measure("list", "snapbe list > /dev/null")
	measure("zone list", "snapbe zone list > /dev/null")
	m.MustRun("rm -f /root/hwm")
	measure("upgrade", `snapbe upgrade made > /root/said 2>&1 & p=$!; while grep VmHWM /proc/$p/status >> /root/hwm 2>/dev/null; do sleep 0.1; done; wait $p`)
	peak, err := strconv.ParseFloat(strings.Fields(m.MustRun("sort -k2n /root/hwm | tail -n 1"))[1], 64)
	require.NoError(b, err)
	took["upgrade peak"] = append(took["upgrade peak"], peak/1024)
	measure("activate", "snapbe activate made > /dev/null")
	m.MustRun("snapbe activate debian")
	measure("destroy", "snapbe destroy -F made")
	measure("floor create", zoneFloor)
	measure("floor zone list", plainList)
	measure("floor activate", plainActivate)
	measure("floor boot", plainMount)
	m.MustRun(plainBack)
	m.MustRun(zoneUndo)
	measure("peer", zonePeer)
	m.MustRun(zoneUndo)
}

// zoneBoots boots a new BE and back, and measures what of a boot is about zones.
func zoneBoots(b *testing.B, m *lab.Machine, took map[string][]float64) {
	m.MustRun("snapbe create made && snapbe activate made")
	m.Reboot()
	require.Equal(b, "made", running(m))
	inPlace(m)
	for op, unit := range map[string]string{"boot": "snapbe-zones.service", "handover": "snapbe-handover.service"} {
		start, end := monotonic(b, m, unit, "ExecMainStartTimestampMonotonic"), monotonic(b, m, unit, "ExecMainExitTimestampMonotonic")
		require.Positive(b, end)
		took[op] = append(took[op], float64(end-start)/1e6)
	}
	m.MustRun("snapbe activate debian")
	m.Reboot()
	m.MustRun("snapbe destroy -F made")
}
