package be_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

func TestZoneList(t *testing.T) {
	w := onePool(t)
	moved(t, w)
	do(t, w, be.Create{Name: "new", Zones: be.ZoneChoice{Names: []string{"db"}}})
	create(t, w, "rpool/zones/db/ROOT/zbe-7", zfs.Props{"canmount": "noauto", zones.PropActive: "on", zones.PropParent: named(t, w, "new").UUID})
	w.Host.User = true
	list, err := be.New(w.System()).Zones(t.Context())
	require.NoError(t, err)
	got := map[string]string{}
	for _, z := range list.BEs {
		flags := ""
		for _, f := range []struct {
			is   bool
			flag string
		}{{z.Now, "N"}, {z.Next, "R"}, {z.Unbootable, "!"}, {z.Orphan, "O"}} {
			if f.is {
				flags += f.flag
			}
		}
		got[z.Zone+"/"+z.Name] = flags + " " + z.ParentName + " " + z.Mountpoint
	}
	assert.Equal(t, map[string]string{
		"db/zbe":    "NR debian /var/lib/machines/db",
		"db/zbe-1":  "! new ",
		"db/zbe-7":  "! new ",
		"web/zbe":   "NR debian /var/lib/machines/web",
		"web/zbe-1": "O  ",
	}, got)
}

func TestStatusTellsOfZones(t *testing.T) {
	w := onePool(t)
	zoned(t, w)
	assert.Empty(t, status(t, w).Problems)
	assert.Equal(t, []string{"db", "web"}, status(t, w).Zones)
	set(t, w, "rpool/zones/web/ROOT/zbe", zfs.Props{zones.PropActive: "off"})
	create(t, w, "rpool/zones/db/ROOT/zbe-7", zfs.Props{"canmount": "noauto", zones.PropActive: "on", zones.PropParent: named(t, w, "debian").UUID})
	set(t, w, "rpool/ROOT", zfs.Props{"org.snapbe:zones": "rpool/zones,tank/zones"})
	assert.Equal(t, []string{
		"the zones below tank/zones are not there: zpool import their pool",
		`the zone "db" does not start: for "debian" it has 2 active zone BEs: zbe, zbe-7: zfs set org.opensolaris.libbe:active=off rpool/zones/db/ROOT/zbe-7 turns one of them off`,
		`the zone "web" has no root in "debian", and does not start: snapbe zone attach web gives it one; what is in /var/lib/machines/web, such as the machine from before it was a zone, is moved away first`,
	}, status(t, w).Problems)
}
