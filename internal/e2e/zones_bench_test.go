//go:build vm

package e2e

import (
	"fmt"
	"strconv"
	"testing"

	"snapbe/internal/lab"
)

// bareZones makes zones with the plain commands of ZFS: a small root each, with
// what a sync looks at.
func bareZones(m *lab.Machine, n int) {
	m.MustRun(fmt.Sprintf(`set -e; zfs create -o mountpoint=none -o canmount=off rpool/zones
		zfs create -u -o canmount=noauto -o mountpoint=/ rpool/small; mount -t zfs -o zfsutil rpool/small /mnt
		mkdir -p /mnt/etc /mnt/usr/bin /mnt/var/lib && cp -a /etc/passwd /etc/shadow /etc/group /etc/gshadow /etc/os-release /mnt/etc/ && umount /mnt
		zfs snapshot rpool/small@1
		uuid=$(zfs get -Ho value org.opensolaris.libbe:uuid rpool/ROOT/debian)
		for i in $(seq -w %d); do echo $i; done > /run/zones
		xargs -r -P 8 -I{} sh -c "zfs create -o canmount=off rpool/zones/z{} && zfs create -o canmount=off rpool/zones/z{}/ROOT && zfs clone -o canmount=noauto -o mountpoint=/ -o org.opensolaris.libbe:active=on -o org.opensolaris.libbe:parentbe=$uuid rpool/small@1 rpool/zones/z{}/ROOT/zbe" < /run/zones
		zfs set org.snapbe:zones=rpool/zones rpool/ROOT; snapbe boot zones 2>&1`, n))
}

// zoneFloor is what the plain commands need: one snapshot for all, and clones
// eight at a time. zonePeer is how tools do it that take zone after zone.
const (
	zoneFloor = `zfs snapshot rpool/ROOT/debian@floor $(sed 's,.*,rpool/zones/z&/ROOT/zbe@floor,' /run/zones)
		zfs clone -o canmount=noauto -o mountpoint=/ rpool/ROOT/debian@floor rpool/ROOT/made
		xargs -r -P 8 -I{} zfs clone -o canmount=noauto -o mountpoint=/ rpool/zones/z{}/ROOT/zbe@floor rpool/zones/z{}/ROOT/made < /run/zones`
	zonePeer = `zfs snapshot rpool/ROOT/debian@floor; zfs clone -o canmount=noauto -o mountpoint=/ rpool/ROOT/debian@floor rpool/ROOT/made
		for i in $(cat /run/zones); do zfs snapshot rpool/zones/z$i/ROOT/zbe@floor; zfs clone -o canmount=noauto -o mountpoint=/ rpool/zones/z$i/ROOT/zbe@floor rpool/zones/z$i/ROOT/made; done`
	zoneUndo = `zfs destroy rpool/ROOT/made; zfs destroy rpool/ROOT/debian@floor; for i in $(cat /run/zones); do zfs destroy rpool/zones/z$i/ROOT/made; zfs destroy rpool/zones/z$i/ROOT/zbe@floor; done`
)

// BenchmarkZones measures what zones add to each operation and to a boot.
func BenchmarkZones(b *testing.B) {
	for _, n := range []int{0, 1, 5, 20, 100} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			m := benchHost(b)
			bareZones(m, n)
			took := map[string][]float64{}
			measure := func(op, command string) { took[op] = append(took[op], seconds(b, m, command)) }
			for range b.N {
				measure("create", "snapbe create made")
				measure("list", "snapbe list > /dev/null")
				measure("activate", "snapbe activate made > /dev/null")
				m.MustRun("snapbe activate debian")
				measure("destroy", "snapbe destroy -F made")
				measure("floor", zoneFloor)
				m.MustRun(zoneUndo)
				if n <= 20 {
					measure("peer", zonePeer)
					m.MustRun(zoneUndo)
				}
				m.MustRun("snapbe create made && snapbe activate made")
				m.Reboot()
				start, end := monotonic(b, m, "snapbe-zones.service", "ExecMainStartTimestampMonotonic"), monotonic(b, m, "snapbe-zones.service", "ExecMainExitTimestampMonotonic")
				took["boot"] = append(took["boot"], float64(end-start)/1e6)
				start, end = monotonic(b, m, "snapbe-handover.service", "ExecMainStartTimestampMonotonic"), monotonic(b, m, "snapbe-handover.service", "ExecMainExitTimestampMonotonic")
				took["handover"] = append(took["handover"], float64(end-start)/1e6)
				m.MustRun("seq -w " + strconv.Itoa(n) + " > /run/zones; snapbe activate debian")
				m.Reboot()
				m.MustRun("seq -w " + strconv.Itoa(n) + " > /run/zones; snapbe destroy -F made")
			}
			for op, t := range took {
				b.ReportMetric(median(t), op+"-s")
			}
		})
	}
}
