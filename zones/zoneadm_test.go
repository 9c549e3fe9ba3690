package zones

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestZoneadm(t *testing.T) {
	got, err := parseZoneadm(recorded(t, "zoneadm-list.txt"))
	require.NoError(t, err)
	require.Equal(t, []Machine{
		{Name: "web", Root: "/zones/web/root", State: Running, Brand: "lipkg", UUID: "3c8e6c7d-9a38-4d2e-8f24-0f5d7c1b9a01"},
		{Name: "build", Root: "/data/zone:s/build/root", State: Installed, Brand: "lipkg", UUID: "9b0f1d52-6c1a-47f0-b6a3-2f6b1f3f7b10"},
		{Name: "db-1", Root: "/zones/db-1/root", State: Configured, Brand: "sparse"},
		{Name: "half", Root: "/zones/half/root", State: Incomplete, Brand: "pkgsrc", UUID: "0a4f5f3e-35a2-4a0c-a7b7-6c5f0b8f5d11"},
		{Name: "slow", Root: "/zones/slow/root", State: ShuttingDown, Brand: "lx", UUID: "7d1b2c3e-1111-4222-8333-944455556666"},
	}, got)

	got, err = parseZoneadm(recorded(t, "zoneadm-smartos.txt"))
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, Installed, got[1].State, "a zone with a number need not run")
}

func TestZoneadmRefuses(t *testing.T) {
	for name, c := range map[string]struct{ out, want string }{
		"too short":     {"-:web:installed:/zones/web\n", "is not a zone"},
		"an empty line": {"\n", "is not a zone"},
		"no name":       {"-::installed:/zones/web::ipkg:excl\n", "not a zone's name"},
		"a bad name":    {"-:../x:installed:/zones/web::ipkg:excl\n", "not a zone's name"},
		"no state":      {"-:web::/zones/web::ipkg:excl\n", `state ""`},
		"no path":       {"-:web:installed:zones::ipkg:excl\n", `zonepath "zones"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseZoneadm(c.out)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestZonename(t *testing.T) {
	for _, good := range []string{"web", "0", "a_b", "a.b-", strings.Repeat("x", 63)} {
		require.NoError(t, checkZonename(good), good)
	}
	for _, bad := range []string{"", "global", "-a", "_a", ".a", "a/b", "a b", "a:b", "a\n", "a@b", strings.Repeat("x", 64)} {
		require.Error(t, checkZonename(bad), "%q", bad)
	}
}

// zoneadmText is what zoneadm would print.
func zoneadmText(machines []Machine) string {
	var b strings.Builder
	for _, m := range machines {
		zonepath := strings.TrimSuffix(m.Root, "root")
		escape := strings.NewReplacer(":", `\:`)
		for i, field := range []string{"-", m.Name, string(m.State), zonepath, m.UUID, m.Brand, "excl"} {
			if i > 0 {
				b.WriteByte(':')
			}
			b.WriteString(escape.Replace(field))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func FuzzZoneadm(f *testing.F) {
	f.Add(recorded(f, "zoneadm-list.txt"))
	f.Add(recorded(f, "zoneadm-smartos.txt"))
	f.Add(`-:a:x:/\:\\:::` + "\n")
	f.Fuzz(func(t *testing.T, out string) {
		machines, err := parseZoneadm(out)
		if err != nil {
			require.Empty(t, machines)
			return
		}
		for _, m := range machines {
			require.NoError(t, checkZonename(m.Name))
			require.True(t, strings.HasPrefix(m.Root, "/") && strings.HasSuffix(m.Root, "/root"), m.Root)
			// A field that ends with a backslash cannot be told from one with
			// a colon.
			if strings.Contains(out, `\`) && strings.HasSuffix(string(m.State)+m.UUID+m.Brand, `\`) {
				return
			}
		}
		back, err := parseZoneadm(zoneadmText(machines))
		require.NoError(t, err)
		require.Equal(t, machines, back)
	})
}
