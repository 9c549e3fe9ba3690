// Package zones is what snapbe knows of zones: machines with a root file system
// of their own beside the host's. A zone has one root for each boot environment
// of the host, its zone BEs, of which the one that is active for the running boot
// environment is what boots. On Linux a zone is a systemd-nspawn machine.
package zones

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"snapbe/internal/zfs"
)

// User properties of a zone BE's root dataset, as in illumos' libbe.
const (
	// PropParent is the UUID of the boot environment that it belongs to.
	PropParent = "org.opensolaris.libbe:parentbe"
	// PropActive is on for the one of a zone's zone BEs with one parent that
	// boots.
	PropActive = "org.opensolaris.libbe:active"
	// PropOp is snapbe's mark of what an unfinished operation made.
	PropOp = "org.snapbe:op"
	// PropUpgraded is when snapbe upgraded it.
	PropUpgraded = "org.snapbe:upgraded"
	// PropSynced and PropHad say, as on a boot environment's root, what it has
	// taken over from the zone's other roots.
	PropSynced = "org.snapbe:synced"
	PropHad    = "org.snapbe:had"
	// PropPartly says what it has begun to take over from another one.
	PropPartly = "org.snapbe:partly"
	// PropBooted is when it was last put where the zone boots.
	PropBooted = "org.snapbe:booted"
)

// Props are read of every dataset below the containers.
var Props = []string{"creation", "createtxg", "used", "referenced", "origin", "mountpoint", "canmount",
	PropParent, PropActive, PropOp, PropUpgraded, PropSynced, PropHad, PropPartly, PropBooted}

// Depth is how far below a container the roots of zone BEs lie:
// container/zone/ROOT/zbe.
const Depth = 3

// Zone is a zone with all of its zone BEs.
type Zone struct {
	Name string `json:"name"`
	// Dataset is its zonepath dataset, with ROOT below it.
	Dataset string `json:"dataset"`
	// Share is the dataset that shows at its /var/share; "" where it has none.
	Share string `json:"share,omitempty"`
	// BEs are its zone BEs, oldest first.
	BEs []BE `json:"zone_bes"`
}

// BE is one root of a zone.
type BE struct {
	Zone    string `json:"zone"`
	Name    string `json:"name"`
	Dataset string `json:"dataset"`
	// Parent is the UUID of the boot environment that it belongs to, Active
	// tells that it is the one which boots there.
	Parent string `json:"parent_uuid,omitempty"`
	Active bool   `json:"active"`
	// Space is what it takes with its snapshots, Referenced what it refers to,
	// in bytes (zfsprops(7) "used" and "referenced").
	Space      uint64    `json:"space"`
	Referenced uint64    `json:"referenced"`
	Created    time.Time `json:"created"`
	// Upgraded is when snapbe last upgraded it; zero where it never did.
	Upgraded time.Time `json:"upgraded,omitzero"`
	// Booted is when it was last put where the zone boots; zero where it never
	// was.
	Booted time.Time `json:"booted,omitzero"`
	Origin string    `json:"origin,omitempty"`
	// Unfinished is the operation that made it and has not ended.
	Unfinished string `json:"unfinished,omitempty"`
	// Synced, Had and Partly are the properties of that name.
	Synced string `json:"-"`
	Had    string `json:"-"`
	Partly string `json:"-"`

	txg uint64
}

// Read makes zones of what was read below their containers, sorted by dataset.
func Read(containers []string, ds []zfs.Dataset) []Zone {
	found := map[string]*Zone{}
	for _, d := range ds { // without a ROOT it is no zone
		if zonepath, below, ok := split(containers, d.Name); ok && below == "ROOT" && d.Kind == zfs.Filesystem {
			found[zonepath] = &Zone{Name: path.Base(zonepath), Dataset: zonepath, BEs: []BE{}}
		}
	}
	for _, d := range ds {
		zonepath, below, ok := split(containers, d.Name)
		z := found[zonepath]
		switch {
		case !ok || z == nil || d.Kind != zfs.Filesystem:
		case below == "VARSHARE":
			z.Share = d.Name
		case below != "ROOT":
			z.BEs = append(z.BEs, newBE(z.Name, d))
		}
	}
	zones := make([]Zone, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		z := *found[name]
		slices.SortFunc(z.BEs, func(a, b BE) int { return cmp.Or(cmp.Compare(a.txg, b.txg), cmp.Compare(a.Name, b.Name)) })
		zones = append(zones, z)
	}
	return zones
}

// split tells which zonepath dataset a dataset lies below, and where; only the
// places that mean something are ok.
func split(containers []string, name string) (zonepath, below string, ok bool) {
	for _, c := range containers {
		rest, ok := strings.CutPrefix(name, c+"/")
		if !ok {
			continue
		}
		zone, below, _ := strings.Cut(rest, "/")
		if below == "ROOT" || below == "VARSHARE" || strings.HasPrefix(below, "ROOT/") && strings.Count(below, "/") == 1 {
			return c + "/" + zone, below, true
		}
	}
	return "", "", false
}

func newBE(zone string, d zfs.Dataset) BE {
	b := BE{
		Zone: zone, Name: path.Base(d.Name), Dataset: d.Name,
		Parent: d.Local(PropParent), Active: d.Local(PropActive) == "on",
		Space: number(d.Value("used")), Referenced: number(d.Value("referenced")),
		Created: time.Unix(int64(number(d.Value("creation"))), 0).UTC(),
		Origin:  d.Value("origin"), Unfinished: d.Local(PropOp),
		Synced: d.Local(PropSynced), Had: d.Local(PropHad), Partly: d.Local(PropPartly),
		txg: number(d.Value("createtxg")),
	}
	b.Upgraded, _ = time.Parse(time.RFC3339, d.Local(PropUpgraded))
	b.Booted, _ = time.Parse(time.RFC3339, d.Local(PropBooted))
	return b
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

// ErrNone says that a zone has no active zone BE for a boot environment.
var ErrNone = errors.New("it has no active zone BE")

// TwoError says that several zone BEs claim to be the active one.
type TwoError struct{ BEs []BE }

func (e *TwoError) Error() string {
	names := make([]string, len(e.BEs))
	for i, b := range e.BEs {
		names[i] = b.Name
	}
	return fmt.Sprintf("it has %d active zone BEs: %s", len(names), strings.Join(names, ", "))
}

// Active is the zone BE that boots in the boot environment with that UUID; the
// error is ErrNone or a *TwoError where that is not one.
func (z Zone) Active(parent string) (BE, error) {
	var found []BE
	for _, b := range z.BEs {
		if parent != "" && b.Parent == parent && b.Active && b.Unfinished == "" {
			found = append(found, b)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return BE{}, ErrNone
	}
	return BE{}, &TwoError{found}
}

// Of are the zone BEs that belong to a boot environment, active or not, and
// finished or not.
func (z Zone) Of(parent string) []BE {
	return slices.DeleteFunc(slices.Clone(z.BEs), func(b BE) bool { return parent == "" || b.Parent != parent })
}

// Names are the names of its zone BEs.
func (z Zone) Names() []string {
	names := make([]string, len(z.BEs))
	for i, b := range z.BEs {
		names[i] = b.Name
	}
	return names
}
