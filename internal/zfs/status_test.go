package zfs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everySection is made up of what print_status_config of OpenZFS 2.1 can
// print; the golden files are what it did print.
const everySection = `  pool: rpool
 state: DEGRADED
status: One or more devices is currently being resilvered.  The pool will
	continue to function, possibly in a degraded state.
action: Wait for the resilver to complete.
  scan: resilver in progress since Fri Nov 20 12:00:00 2026
	1.00G scanned at 100M/s, 500M issued at 50M/s, 2.00G total
	250M resilvered, 25.00% done, 00:00:30 to go
config:

	NAME                      STATE     READ WRITE CKSUM
	rpool                     DEGRADED     0     0     0
	  mirror-0                DEGRADED     0     0     0
	    /dev/vda3             ONLINE       0     0     0
	    replacing-1           DEGRADED     0     0     0
	      1234567890123456789 UNAVAIL      0     0     0  was /dev/vdb3
	      /dev/vdc3           ONLINE       0     0     0  (resilvering)
	    spare-2               ONLINE       0     0     0
	      /dev/my disk        ONLINE       0     0     0  (awaiting resilver)
	      /dev/vdx            ONLINE       0     0     0  (repairing)
	  raidz1-1                ONLINE       0     0     0
	    /dev/vdd              ONLINE       0     0     0  block size: 512B configured, 4096B native
	    /dev/vde              FAULTED      5     3     1  too many errors
	  /dev/vdf                OFFLINE      0     0     0
	special	
	  mirror-2                ONLINE       0     0     0
	    /dev/vdg              ONLINE       0     0     0
	    /dev/vdh              REMOVED      0     0     0
	dedup	
	  /dev/vdi                ONLINE       0     0     0
	logs	
	  /dev/vdj                ONLINE       0     0     0
	cache
	  /dev/vdk                ONLINE       0     0     0
	spares
	  /dev/vdx                INUSE     currently in use
	  /dev/vdl                AVAIL   

errors: No known data errors
`

func TestParseStatus(t *testing.T) {
	want := []Leaf{
		{Path: "/dev/vda3", State: "ONLINE", Mirror: "mirror-0"},
		{Path: "/dev/vdb3", State: "UNAVAIL", Mirror: "mirror-0"},
		{Path: "/dev/vdc3", State: "ONLINE", Mirror: "mirror-0", Resilvering: true},
		{Path: "/dev/my disk", State: "ONLINE", Mirror: "mirror-0", Resilvering: true},
		{Path: "/dev/vdx", State: "ONLINE", Mirror: "mirror-0"},
		{Path: "/dev/vdd", State: "ONLINE", Mirror: "raidz1-1"},
		{Path: "/dev/vde", State: "FAULTED", Mirror: "raidz1-1"},
		{Path: "/dev/vdf", State: "OFFLINE", Mirror: "/dev/vdf"},
		{Path: "/dev/vdg", State: "ONLINE", Mirror: "mirror-2", Class: "special"},
		{Path: "/dev/vdh", State: "REMOVED", Mirror: "mirror-2", Class: "special"},
		{Path: "/dev/vdi", State: "ONLINE", Mirror: "/dev/vdi", Class: "dedup"},
		{Path: "/dev/vdj", State: "ONLINE", Mirror: "/dev/vdj", Class: "logs"},
		{Path: "/dev/vdk", State: "ONLINE", Mirror: "/dev/vdk", Class: "cache"},
		{Path: "/dev/vdx", State: "INUSE", Mirror: "/dev/vdx", Class: "spares"},
		{Path: "/dev/vdl", State: "AVAIL", Mirror: "/dev/vdl", Class: "spares"},
	}
	got, err := parseStatus(everySection)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestParseStatusRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, out := range []string{
		"", "no pools available\n", "config:\n\n\tNAME  STATE\n", "config:\n\n\tNAME  STATE\n\nerrors: none\n",
		"\tNAME\n\tp\n", "\tNAME  STATE\n\tp     ONLINE\n\t  x\n",
	} {
		_, err := parseStatus(out)
		assert.Error(t, err, "%q", out)
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add(everySection, "/dev/vda3", uint8(1))
	f.Add("\tNAME  STATE\n\tp     ONLINE\n", "mirror 0", uint8(7))
	for _, out := range golden(f, "status*.txt") {
		f.Add(out, "x", uint8(2))
	}
	f.Fuzz(func(t *testing.T, out, name string, n uint8) {
		_, _ = parseStatus(out)
		name = "/" + strings.Map(func(r rune) rune {
			if r < ' ' {
				return '_'
			}
			return r
		}, name)
		name = strings.TrimSpace(name)
		width := len(name) + 4
		var b strings.Builder
		line := func(depth int, name, state string) {
			fmt.Fprintf(&b, "\t%*s%-*s  %-8s     0     0     0\n", depth, "", width-len(name)+len([]rune(name))-depth, name, state)
		}
		line(0, "NAME", "STATE")
		line(0, "p", "ONLINE")
		var want []Leaf
		for i := range int(n%5) + 1 {
			top := fmt.Sprintf("m-%d", i)
			line(2, top, "ONLINE")
			line(4, name, "ONLINE")
			want = append(want, Leaf{Path: name, State: "ONLINE", Mirror: top})
		}
		got, err := parseStatus(b.String() + "\nerrors: none\n")
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}
