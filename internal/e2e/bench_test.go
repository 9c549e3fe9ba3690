//go:build vm

package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

// floor is what the plain commands of ZFS need for the same work: they keep no
// journal, check nothing, and write no menu.
var floor = map[string]string{
	"create": `zfs snapshot -r rpool/ROOT/base@floor
		zfs list -rHo name rpool/ROOT/base > /run/names
		zfs clone -o canmount=noauto rpool/ROOT/base@floor rpool/ROOT/made
		sed -n 's,^rpool/ROOT/base/,,p' /run/names | xargs -r -P 8 -I{} zfs clone -o canmount=noauto rpool/ROOT/base/{}@floor rpool/ROOT/made/{}`,
	"list":     `zfs list -Hp -d 1 -o name,used,usedbysnapshots,referenced,creation,origin,mountpoint rpool/ROOT > /dev/null`,
	"activate": `zpool set bootfs=rpool/ROOT/made rpool`,
	"destroy":  `zfs destroy -r rpool/ROOT/made; zfs destroy -r rpool/ROOT/base@floor`,
}

var ours = map[string]string{
	"create":   "snapbe create -e base made",
	"list":     "snapbe list > /dev/null",
	"activate": "snapbe activate made",
	"destroy":  "snapbe destroy -F made",
}

// BenchmarkNested measures each operation on BEs with nested datasets, beside
// the plain commands.
func BenchmarkNested(b *testing.B) {
	for _, nested := range []int{1, 20, 100} {
		b.Run(strconv.Itoa(nested), func(b *testing.B) {
			m := benchHost(b)
			m.MustRun(fmt.Sprintf(`snapbe create base
				for i in $(seq -w %d); do echo rpool/ROOT/base/d$i; done | xargs -P 8 -I{} zfs create -u -o canmount=noauto {}`, nested))
			took := map[string][]float64{}
			for b.Loop() {
				for _, op := range []string{"create", "list", "activate", "destroy"} {
					if op == "destroy" {
						m.MustRun("snapbe activate debian")
					}
					took[op] = append(took[op], seconds(b, m, ours[op]))
				}
				for _, op := range []string{"create", "list", "activate", "destroy"} {
					if op == "destroy" {
						m.MustRun("zpool set bootfs=rpool/ROOT/debian rpool")
					}
					took["floor "+op] = append(took["floor "+op], seconds(b, m, floor[op]))
				}
			}
			for op := range ours {
				report(b, op, took[op], took["floor "+op])
			}
		})
	}
}

// BenchmarkList100 measures list with 100 BEs.
func BenchmarkList100(b *testing.B) {
	m := benchHost(b)
	m.MustRun(`snapbe create be-001
		seq -f %03g 2 99 | xargs -P 8 -I{} sh -c 'zfs snapshot rpool/ROOT/be-001@s{} && zfs clone -o canmount=noauto -o mountpoint=/ -o org.opensolaris.libbe:uuid=00000000-0000-4000-8000-000000000{} rpool/ROOT/be-001@s{} rpool/ROOT/be-{}'`)
	require.Equal(b, "100\n", m.MustRun("snapbe list -H | wc -l"))
	var snapbe, plain []float64
	for b.Loop() {
		snapbe = append(snapbe, seconds(b, m, ours["list"]))
		plain = append(plain, seconds(b, m, floor["list"]))
	}
	report(b, "list", snapbe, plain)
}

func benchHost(b *testing.B) *lab.Machine {
	m := lab.Start(b, lab.Config{Image: lab.Base(b, "trixie", "single"), CPUs: 2})
	m.WaitSSH(bootTime)
	m.Copy(pkg(b), "/root/snapbe.deb", 0o644)
	m.MustRun("dpkg -i /root/snapbe.deb && snapbe init -y")
	return m
}

// seconds is how long a command takes in the guest, by the guest's clock.
func seconds(b *testing.B, m *lab.Machine, command string) float64 {
	out := strings.TrimSpace(m.MustRun("set -e; zpool sync; a=$(date +%s%N)\n" + command + "\nb=$(date +%s%N); echo; echo $((b - a))"))
	n, err := strconv.ParseInt(out[strings.LastIndex(out, "\n")+1:], 10, 64)
	require.NoError(b, err)
	return time.Duration(n).Seconds()
}

// report gives the medians and their ratio.
func report(b *testing.B, op string, snapbe, plain []float64) {
	s, p := median(snapbe), median(plain)
	b.ReportMetric(s, op+"-s")
	b.ReportMetric(p, op+"-floor-s")
	b.ReportMetric(s/p, op+"-ratio")
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}
