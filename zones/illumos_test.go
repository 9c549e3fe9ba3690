package zones

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	zoneadmList = "zoneadm list -pc"
	exportWeb   = "zonecfg -z web export"
	exportNew   = "zonecfg -z new export"
	makeNew     = "zonecfg -z new -f -"
	deleteNew   = "zonecfg -z new delete -F"
)

// zoneadmLine is a line of zoneadm's list.
func zoneadmLine(name string, state State) string {
	return "-:" + name + ":" + string(state) + ":/zones/" + name + "::lipkg:excl\n"
}

func testIllumos(t *testing.T, a answers, lines ...string) (*Illumos, *script) {
	s := &script{answers: a}
	_, tree := hostTree(t, lines...)
	return NewIllumos(s, tree), s
}

func TestIllumosList(t *testing.T) {
	a := answers{zoneadmList: says(recorded(t, "zoneadm-list.txt")), exportWeb: says(recorded(t, "zonecfg-web.txt"))}
	for _, name := range []string{"build", "db-1", "half", "slow"} {
		a["zonecfg -z "+name+" export"] = says("create -b\nset autoboot=false\n")
	}
	z, _ := testIllumos(t, a)
	got, err := z.List(t.Context())
	require.NoError(t, err)
	var names []string
	for _, m := range got {
		names = append(names, m.Name)
		require.Equal(t, m.Name == "web", m.Autoboot, m.Name)
	}
	require.Equal(t, []string{"build", "db-1", "half", "slow", "web"}, names)

	delete(a, "zonecfg -z half export")
	_, err = z.List(t.Context())
	require.ErrorContains(t, err, `list zones: zone "half": zonecfg -z: `)
	a[zoneadmList] = fails(errors.New("no"))
	_, err = z.List(t.Context())
	require.ErrorContains(t, err, "list zones: zoneadm list: no")
}

func TestIllumosRootDir(t *testing.T) {
	z, _ := testIllumos(t, nil, "etc/zones/index = "+recorded(t, "index"))
	require.Equal(t, "/data/zone:s/build/root", z.RootDir("build"))
	require.Equal(t, "/zones/new/root", z.RootDir("new"))
	z.Zones = "/data"
	require.Equal(t, "/data/new/root", z.RootDir("new"))
	z, _ = testIllumos(t, nil)
	require.Equal(t, "/zones/web/root", z.RootDir("web"))
}

func TestIllumosBoot(t *testing.T) {
	z, _ := testIllumos(t, answers{"zoneadm -z web boot": says("")})
	require.NoError(t, z.Boot(t.Context(), "web"))
	require.ErrorContains(t, z.Boot(t.Context(), "db"), `boot "db": zoneadm -z: `)
	require.Error(t, z.Boot(t.Context(), "global"))
}

func TestIllumosHalt(t *testing.T) {
	const shutdown, halt = "zoneadm -z web shutdown", "zoneadm -z web halt"
	running, installed := zoneadmLine("web", Running), zoneadmLine("web", Installed)
	for name, c := range map[string]struct {
		answers answers
		ran     []string
		want    string
	}{
		"shuts down": {answers{zoneadmList: says(running, installed), shutdown: says("")},
			[]string{zoneadmList, shutdown, zoneadmList}, ""},
		"does not run": {answers{zoneadmList: says(installed)}, []string{zoneadmList}, ""},
		"not in time": {answers{zoneadmList: says(running, zoneadmLine("web", ShuttingDown), installed), shutdown: fails(errors.New("timeout")), halt: says("")},
			[]string{zoneadmList, shutdown, zoneadmList, halt, zoneadmList}, ""},
		"ready": {answers{zoneadmList: says(zoneadmLine("web", Ready), installed), halt: says("")},
			[]string{zoneadmList, halt, zoneadmList}, ""},
		"halt fails": {answers{zoneadmList: says(running), shutdown: says(""), halt: fails(errors.New("busy"))},
			[]string{zoneadmList, shutdown, zoneadmList, halt}, `halt "web": zoneadm -z: busy`},
		"does not end": {answers{zoneadmList: says(running, zoneadmLine("web", Down)), shutdown: says(""), halt: says("")},
			[]string{zoneadmList, shutdown, zoneadmList, halt, zoneadmList}, `halt "web": it is still down`},
		"no zone": {answers{zoneadmList: says("")}, []string{zoneadmList}, `zone "web": file does not exist`},
	} {
		t.Run(name, func(t *testing.T) {
			z, s := testIllumos(t, c.answers)
			err := z.Halt(t.Context(), "web")
			require.Equal(t, c.ran, s.ran)
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
			}
		})
	}
}

// copied is the settings of the zone web as the zone new gets them.
func copied(t *testing.T) string {
	text := strings.NewReplacer(
		"zonepath=/zones/web", "zonepath=/zones/new", "autoboot=true", "autoboot=false",
		"set hostid=8f3a1c2b\n", "", "add dataset\nset name=tank/web\nend\n", "",
	).Replace(recorded(t, "zonecfg-web.txt"))
	return text
}

func TestIllumosCopySettings(t *testing.T) {
	a := answers{
		zoneadmList: says(zoneadmLine("web", Running)), exportWeb: says(recorded(t, "zonecfg-web.txt")),
		makeNew: says(""), exportNew: says(copied(t)),
	}
	z, s := testIllumos(t, a)
	require.NoError(t, z.CopySettings(t.Context(), "web", "new"))
	require.Equal(t, []string{zoneadmList, exportWeb, makeNew + " < " + copied(t) + "commit\n", exportNew}, s.ran)

	a[exportNew] = says(strings.Replace(copied(t), "physical=512M", "physical=1G", 1))
	err := z.CopySettings(t.Context(), "web", "new")
	require.ErrorContains(t, err, `copy the settings of "web" to "new": zonecfg did not take all: missing ["capped-memory`)

	a[makeNew] = fails(errors.New("syntax"))
	require.ErrorContains(t, z.CopySettings(t.Context(), "web", "new"), "syntax")
	require.ErrorContains(t, z.CopySettings(t.Context(), "none", "new"), "not expected")
	require.Error(t, z.CopySettings(t.Context(), "web", "a b"))

	s.ran = nil
	a[zoneadmList] = says(zoneadmLine("web", Running) + zoneadmLine("new", Configured))
	require.ErrorIs(t, z.CopySettings(t.Context(), "web", "new"), fs.ErrExist)
	require.Equal(t, []string{zoneadmList}, s.ran)
}

func TestIllumosRemoveSettings(t *testing.T) {
	for name, c := range map[string]struct {
		list, want string
		ran        []string
	}{
		"configured": {zoneadmLine("new", Configured), "", []string{zoneadmList, deleteNew}},
		"none":       {zoneadmLine("web", Configured), "", []string{zoneadmList}},
		"installed":  {zoneadmLine("new", Installed), `remove the settings of "new": it is installed`, []string{zoneadmList}},
	} {
		t.Run(name, func(t *testing.T) {
			z, s := testIllumos(t, answers{zoneadmList: says(c.list), deleteNew: says("")})
			err := z.RemoveSettings(t.Context(), "new")
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
			}
			require.Equal(t, c.ran, s.ran)
		})
	}
}
