//go:build vm

package e2e

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkActivate measures each step of activate, without a share and with one
// that holds a mailbox of 2 GB.
func BenchmarkActivate(b *testing.B) {
	m := benchHost(b)
	m.MustRun("useradd alice && snapbe create new")
	for _, with := range []string{"alone", "share"} {
		b.Run(with, func(b *testing.B) {
			m.Bind(b)
			if with == "share" && m.MustRun("zfs get -Ho value org.snapbe:share rpool/ROOT") == "-\n" {
				m.MustRun("truncate -s 2G /var/mail/alice && snapbe share init -y")
				m.Reboot()
			}
			steps := map[string][]float64{}
			for b.Loop() {
				m.MustRun("usermod -c $(date +%N) alice; zpool sync")
				took := seconds(b, m, "snapbe activate new > /root/said 2>&1")
				steps["all"] = append(steps["all"], took)
				said := string(m.Fetch("/root/said"))
				b.Logf("%s", said)
				for _, step := range stepLine.FindAllStringSubmatch(said, -1) {
					n, err := strconv.ParseFloat(step[1], 64)
					require.NoError(b, err)
					name := unit(step[2])
					steps[name] = append(steps[name], n)
				}
				m.MustRun("snapbe activate debian")
			}
			for name, took := range steps {
				b.ReportMetric(median(took), name+"-s")
			}
		})
	}
}

// stepLine is how a command tells of a step that is done.
var stepLine = regexp.MustCompile(`(?m)^\s*\[ok\]\s+([\d.]+)s\s+(.*)$`)

// unit makes the name of a step one of a metric, which has no spaces.
func unit(step string) string {
	words := strings.Fields(strings.NewReplacer("rpool/ROOT/", "", ",", "").Replace(step))
	return strings.Join(words[:min(len(words), 6)], "_")
}

// BenchmarkReboot measures the time from the command to an answering ssh: of a
// plain reboot, of one into a new BE, and of the way back. All have the share.
func BenchmarkReboot(b *testing.B) {
	m := benchHost(b)
	m.MustRun("useradd alice && snapbe share init -y")
	m.Reboot()
	m.MustRun("snapbe create new")
	took := map[string][]float64{}
	for b.Loop() {
		for _, how := range []struct{ name, command string }{
			{"plain", "systemctl reboot"},
			{"activate", "snapbe activate --reboot new"},
			{"failback", "snapbe failback --reboot"},
		} {
			m.MustRun("systemctl is-system-running --wait > /dev/null; usermod -c $(date +%N) alice; zpool sync")
			began := time.Now()
			out := m.RunReboot(how.command, bootTime)
			took[how.name] = append(took[how.name], time.Since(began).Seconds())
			b.Logf("%s: %.1fs\n%s", how.name, time.Since(began).Seconds(), out)
		}
	}
	for name, t := range took {
		b.ReportMetric(median(t), name+"-s")
	}
}

// BenchmarkCrontabs syncs a directory of 10,000 files: all of them new, one
// changed, and none.
func BenchmarkCrontabs(b *testing.B) {
	m := benchHost(b)
	took := map[string][]float64{}
	for b.Loop() {
		m.MustRun("snapbe create new; cd /var/spool/cron/crontabs && seq 10000 | split -l 1 -a 4 - user && zpool sync")
		took["all"] = append(took["all"], seconds(b, m, "snapbe sync new > /root/said 2>&1"))
		took["none"] = append(took["none"], seconds(b, m, "snapbe sync new > /root/said 2>&1"))
		m.MustRun("echo more >> /var/spool/cron/crontabs/useraaaa")
		took["one"] = append(took["one"], seconds(b, m, "snapbe sync new > /root/said 2>&1"))
		m.MustRun("snapbe destroy -F new; rm -r /var/spool/cron/crontabs/*")
	}
	for name, t := range took {
		b.ReportMetric(median(t), name+"-s")
	}
}

// BenchmarkLog syncs a log of 1 GB that has gained a line, and measures the most
// memory that snapbe had meanwhile.
func BenchmarkLog(b *testing.B) {
	m := benchHost(b)
	listed(m, "/var/log/big.log APPEND")
	// Lines that differ, or what the target has could be found at any place.
	m.MustRun("seq -f 'Nov 27 00:00:00 host daemon[%.0f]: something has happened' 20000000 | head -c 1G > /var/log/big.log; echo >> /var/log/big.log")
	var took, peak []float64
	for b.Loop() {
		m.MustRun("snapbe create new; echo gained >> /var/log/big.log; zpool sync")
		in(m, "new", "echo 'its own' >> /var/log/big.log")
		took = append(took, seconds(b, m, `systemd-run --quiet --wait --collect -p MemoryAccounting=yes -p ExecStopPost='/bin/sh -c "cat /sys/fs/cgroup/system.slice/big.service/memory.peak > /root/peak"' \
			--unit big.service sh -c 'snapbe sync new & p=$!; while grep VmHWM /proc/$p/status >> /root/hwm; do sleep 0.2; done; wait $p'`))
		m.MustRun("[ $(snapbe exec new -- tail -n 2 /var/log/big.log | tr '\\n' ' ' | grep -c 'its own gained') = 1 ]")
		b.Logf("cgroup with page cache: %s", m.MustRun("cat /root/peak"))
		n, err := strconv.ParseFloat(strings.Fields(m.MustRun("tail -n 1 /root/hwm"))[1], 64)
		require.NoError(b, err)
		peak = append(peak, n/1024)
		m.MustRun("snapbe destroy -F new")
	}
	b.ReportMetric(median(took), "sync-s")
	b.ReportMetric(median(peak), "peak-MiB")
}
