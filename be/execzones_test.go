package be_test

import (
	"errors"
	"os"
	"strings"
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
	code, err = execZones(t, w, be.ZoneChoice{}, nil)
	var told *be.Error
	require.ErrorAs(t, err, &told)
	assert.Equal(t, `run a command in "new": not begun in web: interrupted`, told.Error())
	assert.Equal(t, "with --zones=web it runs in what is left", told.Hint)
	assert.Equal(t, 130, code)
	assert.Equal(t, []string{"db"}, ran.since(), "Ctrl-C ends it")
	code, err = execZones(t, w, be.ZoneChoice{Names: []string{"db"}}, nil)
	require.NoError(t, err, "nothing is left out")
	assert.Equal(t, 130, code)
	assert.Equal(t, []string{"db"}, ran.since())

	stop := errors.New("stop")
	_, err = execZones(t, w, be.ZoneChoice{}, func(string) error { return stop })
	require.ErrorIs(t, err, stop)
	require.ErrorContains(t, err, "not begun in db,web: stop")
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
	t.Setenv("SSH_AUTH_SOCK", "/tmp/agent")
	t.Setenv("A_TOKEN", "secret")
	t.Setenv("LC_TIME", "C.UTF-8")
	t.Setenv("https_proxy", "http://proxy:3128")
	_, _, err := be.New(sys).Exec(t.Context(), be.Exec{Name: "new", Zones: &be.ZoneChoice{Names: []string{"web"}}})
	require.NoError(t, err)
	assert.Equal(t, mount.Tree{{Dataset: webClone, Dir: "."}, {Dataset: webClone + "/srv", Dir: "srv"}}, host.tree)
	assert.Equal(t, []mount.Entry{{Dataset: "rpool/zones/web/VARSHARE", Dir: "var/share"}}, host.spec.Extra)
	assert.Equal(t, "web", host.spec.Hostname)
	assert.True(t, host.spec.Resolver)
	confined(t, host.spec)
	host.spec = mount.ExecSpec{}
	_, err = be.New(sys).Upgrade(t.Context(), be.Upgrade{Name: "new", NoHost: true, Zones: be.ZoneChoice{Names: []string{"web"}}})
	require.NoError(t, err)
	confined(t, host.spec)
	assert.Equal(t, "web", host.spec.Hostname)
	_, err = be.New(sys).Upgrade(t.Context(), be.Upgrade{Name: "new", Zones: be.ZoneChoice{None: true}})
	require.NoError(t, err)
	assert.False(t, host.spec.Confined, "the host trusts its BE")
	assert.Contains(t, host.spec.Env, "A_TOKEN=secret")
}

// confined checks that a command has nothing of the caller but what a zone may know.
func confined(t *testing.T, x mount.ExecSpec) {
	t.Helper()
	assert.True(t, x.Confined)
	assert.Contains(t, x.Env, "SNAPBE_EXEC=new")
	assert.Contains(t, x.Env, "HOME=/root")
	assert.Contains(t, x.Env, "LC_TIME=C.UTF-8")
	assert.Contains(t, x.Env, "https_proxy=http://proxy:3128")
	assert.NotContains(t, strings.Join(x.Env, " "), "secret")
	assert.NotContains(t, strings.Join(x.Env, " "), "SSH_AUTH_SOCK")
}

// TestConfinementGaps: what the kernel lacks for zones is told, and once.
func TestConfinementGaps(t *testing.T) {
	w, _ := upgradable(t)
	w.Host.Gaps = []string{"a gap"}
	_, notes, err := be.New(w.System()).Exec(t.Context(), be.Exec{Name: "new", Zones: &be.ZoneChoice{}, ExecSpec: mount.ExecSpec{Argv: []string{"x"}}})
	require.NoError(t, err)
	assert.Equal(t, []string{"a gap"}, notes)
	_, notes, err = be.New(w.System()).Exec(t.Context(), be.Exec{Name: "new", ExecSpec: mount.ExecSpec{Argv: []string{"x"}}})
	require.NoError(t, err)
	assert.NotContains(t, notes, "a gap", "the host's BE is trusted")
	for _, tc := range []struct {
		u    be.Upgrade
		want int
	}{
		{be.Upgrade{Name: "new", DryRun: true}, 1},
		{be.Upgrade{Name: "new", Zones: be.ZoneChoice{None: true}}, 0},
		{be.Upgrade{Name: "new"}, 1},
		{be.Upgrade{Name: "new"}, 0}, // they are done
	} {
		res, err := be.New(w.System()).Upgrade(t.Context(), tc.u)
		require.NoError(t, err)
		assert.Equal(t, tc.want, strings.Count(strings.Join(res.Notes, "\n"), "a gap"), tc.u)
	}
}

// TestExecShiftedZone: a zone whose files belong to other numbers is left alone, and
// the others are done.
func TestExecShiftedZone(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	w, ran := upgradable(t)
	sys := w.System()
	sys.Host = shifted{sys.Host, dbRoot}
	_, _, err := be.New(sys).Exec(t.Context(), be.Exec{Name: "new", Zones: &be.ZoneChoice{}, ExecSpec: mount.ExecSpec{Argv: []string{"x"}}})
	require.ErrorContains(t, err, `the zone "db": its files are shifted to uid 65536 and on (systemd-nspawn -U): work in it from inside, when it runs`)
	assert.Equal(t, []string{"web"}, ran.since())
	res, err := be.New(sys).Upgrade(t.Context(), be.Upgrade{Name: "new", NoHost: true})
	require.ErrorContains(t, err, "not done: zone db")
	assert.Contains(t, res.Targets[0].Why, "its files are shifted")
	assert.Equal(t, []string{"web"}, ran.since())
}

// shifted is a host on which a dataset's files are shifted.
type shifted struct {
	be.Host
	dataset string
}

func (s shifted) View(t mount.Tree, readOnly bool, f func(*os.Root) error) error {
	return s.Host.View(t, readOnly, func(root *os.Root) error {
		if t[0].Dataset == s.dataset {
			if err := root.Chown(".", 65536, 65536); err != nil {
				return err
			}
		}
		return f(root)
	})
}
