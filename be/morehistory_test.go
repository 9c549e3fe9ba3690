package be_test

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

// more does what TestAnyHistory does not: snapshots of the user and of another tool, rollbacks to
// them and clones of them. Changes are still made in the BE that runs alone, and nobody boots by hand.
func (l *living) more(foreign bool, snaps map[string][]string, n int) {
	other := l.other()
	run := strings.TrimPrefix(l.w.Host.Running, "rpool/ROOT/")
	of := other
	if l.r.Intn(2) == 0 {
		of = run
	}
	pick := func(of string) string {
		if len(snaps[of]) == 0 {
			return ""
		}
		return snaps[of][l.r.Intn(len(snaps[of]))]
	}
	switch l.r.Intn(4) {
	case 0, 1:
		s := fmt.Sprintf("s%d", n)
		if foreign && l.r.Intn(2) == 0 {
			s = fmt.Sprintf("hourly%d", n)
			if err := l.w.ZFS.Snapshot(l.t.Context(), []string{"rpool/ROOT/" + of + "@" + s}, zfs.Props{}); err != nil {
				l.t.Fatal(err)
			}
		} else {
			do(l.t, l.w, be.Create{Name: of + "@" + s})
		}
		l.told("snapshot %s@%s", of, s)
		snaps[of] = append(snaps[of], s)
	case 2:
		if s := pick(other); s != "" {
			_, err := try(l.t, l.w, be.Rollback{Name: other + "@" + s, Newer: true})
			l.told("rollback %s@%s: %v", other, s, err)
		}
	case 3:
		if s := pick(of); s != "" && len(list(l.t, l.w, be.ListOptions{})) < 6 {
			res, err := try(l.t, l.w, be.Create{From: of + "@" + s})
			l.told("create %s from %s@%s: %v", res.Name, of, s, err)
		}
	}
}

func moreHistory(t *testing.T, foreign bool) {
	// Histories without a conflict: one in which a rollback takes away what another BE
	// has taken over may have some, which are told.
	for seed := int64(1000); seed < 1008; seed++ {
		w := betest.New(t.TempDir(), betest.Layout{})
		l := &living{t: t, w: w, r: rand.New(rand.NewSource(seed)), log: "begun\n",
			shadow: map[string]string{"u0": "$y$a", "u1": "!$y$b"}, sudo: map[string]string{"u0": "0\n"}}
		l.w.Put(l.root(), "etc/snapbe/synclist", livingList)
		l.write()
		do(t, l.w, be.Create{Name: "be-2"})
		snaps := map[string][]string{}
		for n := range 60 {
			switch k := l.r.Intn(12); {
			case k < 5:
				l.change()
			case k < 8:
				l.operate()
			case k < 10:
				l.more(foreign, snaps, n)
			default:
				require.Empty(t, withoutLog(l.reboot()), "seed %d: %s", seed, strings.Join(l.trace, "\n"))
			}
		}
	}
}

// withoutLog passes over a log alone: a rollback takes lines away, which come again.
func withoutLog(wrong string) string {
	if strings.HasPrefix(wrong, "etc/log") && !strings.Contains(wrong, "etc/passwd") && !strings.Contains(wrong, "etc/shadow") && !strings.Contains(wrong, "rights of") {
		return ""
	}
	return wrong
}

func TestMoreHistory(t *testing.T)        { moreHistory(t, false) }
func TestMoreHistoryForeign(t *testing.T) { moreHistory(t, true) }
