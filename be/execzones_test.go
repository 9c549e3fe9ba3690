package be_test

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/mount"
)

func execZones(t *testing.T, w *betest.World, c be.ZoneChoice, begin func(string) error) (int, error) {
	t.Helper()
	code, _, err := be.New(w.System()).Exec(t.Context(), be.Exec{Name: "new", Zones: &c, Begin: begin,
		ExecSpec: mount.ExecSpec{Argv: []string{"x"}}})
	return code, err
}

func TestExecZones(t *testing.T) {
	w, ran := upgradable(t)
	var begun []string
	begin := func(zone string) error {
		begun = append(begun, zone)
		return nil
	}
	code, err := execZones(t, w, be.ZoneChoice{}, begin)
	require.NoError(t, err)
	assert.Zero(t, code)
	assert.Equal(t, []string{"db", "web"}, begun)
	assert.Equal(t, []string{"db", "web"}, ran.since())
	assert.Equal(t, "x", w.File(webClone, "upgraded-by"), "in the clone")
	assert.Empty(t, w.File("rpool/zones/web/ROOT/zbe", "upgraded-by"))
	assert.Empty(t, w.File("rpool/ROOT/new", "upgraded-by"))

	_, err = execZones(t, w, be.ZoneChoice{Names: []string{"web"}}, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"web"}, ran.since())

	w.Put(dbRoot, "fails", "7")
	w.Put(webClone, "fails", "8")
	code, err = execZones(t, w, be.ZoneChoice{}, nil)
	require.NoError(t, err)
	assert.Equal(t, 7, code, "the first that failed")
	assert.Equal(t, []string{"db", "web"}, ran.since(), "and the others are done")

	w.Put(dbRoot, "fails", "130")
	_, err = execZones(t, w, be.ZoneChoice{}, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"db"}, ran.since(), "Ctrl-C ends it")

	stop := errors.New("stop")
	_, err = execZones(t, w, be.ZoneChoice{}, func(string) error { return stop })
	require.ErrorIs(t, err, stop)
	assert.Empty(t, ran.since())
	_, err = execZones(t, w, be.ZoneChoice{Names: []string{"none"}}, nil)
	require.ErrorContains(t, err, `there is no zone "none"`)
}

// TestExecZoneTree: a zone is shown with what lies below it, its share, its name,
// and the host's name servers.
func TestExecZoneTree(t *testing.T) {
	w, _ := upgradable(t)
	create(t, w, "rpool/zones/web/VARSHARE", nil)
	sys := w.System()
	host := &spy{Host: sys.Host}
	sys.Host = host
	w.Host.Command = func(*os.Root, []string) int { return 0 }
	_, _, err := be.New(sys).Exec(t.Context(), be.Exec{Name: "new", Zones: &be.ZoneChoice{Names: []string{"web"}}})
	require.NoError(t, err)
	assert.Equal(t, mount.Tree{{Dataset: webClone, Dir: "."}, {Dataset: webClone + "/srv", Dir: "srv"}}, host.tree)
	assert.Equal(t, []mount.Entry{{Dataset: "rpool/zones/web/VARSHARE", Dir: "var/share"}}, host.spec.Extra)
	assert.Equal(t, "web", host.spec.Hostname)
	assert.True(t, host.spec.Resolver)
	assert.Contains(t, host.spec.Env, "SNAPBE_EXEC=new")
}
