package zones

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// starts tells whether systemd would start a machine: by the drop-in's conditions,
// of which one with a | has to hold, and all without (systemd.unit(5)).
func starts(t *testing.T, dir, machine string) bool {
	t.Helper()
	text, err := os.ReadFile("../packaging/systemd/systemd-nspawn@.service.d/snapbe.conf")
	require.NoError(t, err)
	var all, one []bool
	for line := range strings.Lines(string(text)) {
		c, ok := strings.CutPrefix(strings.TrimSpace(line), "ConditionPathExists=")
		if !ok {
			require.NotContains(t, line, "Condition")
			continue
		}
		c, trigger := strings.CutPrefix(c, "|")
		c, not := strings.CutPrefix(c, "!")
		_, err := os.Stat(filepath.Join(dir, strings.ReplaceAll(c, "%i", machine)))
		if holds := (err == nil) != not; trigger {
			one = append(one, holds)
		} else {
			all = append(all, holds)
		}
	}
	require.NotEmpty(t, one)
	for _, holds := range all {
		if !holds {
			return false
		}
	}
	for _, holds := range one {
		if holds {
			return true
		}
	}
	return false
}

// startAgain empties /run.
func startAgain(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "run")))
}

func TestNspawnWithhold(t *testing.T) {
	n, dir := testNspawn(t, &script{})
	withhold := func(of []Placement, absent ...string) {
		t.Helper()
		require.NoError(t, n.Withhold(t.Context(), of, absent))
	}
	check := func(want string) {
		t.Helper()
		got := ""
		for _, machine := range []string{"web", "db", "far", "other"} {
			if starts(t, dir, machine) {
				got += machine + " "
			}
		}
		require.Equal(t, want, strings.TrimSpace(got))
	}
	check("web db far other") // snapbe has never run
	withhold(nil)
	check("web db far other") // no zones
	web, db, far := Placement{"web", "rpool/zones/web", true}, Placement{"db", "rpool/zones/db", false}, Placement{"far", "tank/zones/far", true}
	withhold([]Placement{web, db, far})
	check("web far other")

	startAgain(t, dir)
	check("other") // and snapbe does not run: no zone starts, whatever is in its directory
	withhold([]Placement{web, db}, "tank/zones")
	check("web other") // the pool of far is not there
	web.Placed, db.Placed = false, true
	withhold([]Placement{web, db}, "tank/zones")
	check("db other")
	withhold([]Placement{db})
	check("web db far other") // they are no zones any more
}

func TestNspawnWithholdFails(t *testing.T) {
	n, dir := testNspawn(t, &script{}, "var/lib/snapbe/zones = a file")
	err := n.Withhold(t.Context(), []Placement{{"web", "rpool/zones/web", true}}, nil)
	require.ErrorContains(t, err, "withhold machines: ")
	require.True(t, starts(t, dir, "web"), "one that is in place is not held up")
}
