package be

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"snapbe/internal/zfs"
)

// zoneShares are the shares of the zones that snapbe looks after, pinned ones too:
// their services go on with them in another boot environment just the same.
func (m *Manager) zoneShares(st *state) (shares []string) {
	for _, z := range st.zones {
		if z.Share != "" && m.policy(z.Name) != ZoneExcluded {
			shares = append(shares, z.Share)
		}
	}
	return shares
}

// sharesOf are the share of the host, where there is one, and those of its zones.
func (m *Manager) sharesOf(ctx context.Context) (st *state, shares []string, err error) {
	if st, err = m.read(ctx); err == nil {
		err = m.readZones(ctx, st)
	}
	if err != nil {
		return nil, nil, err
	}
	share, err := m.shareThere(ctx, st)
	if share != "" {
		shares = []string{share}
	}
	return st, append(shares, m.zoneShares(st)...), err
}

// ofZone makes the state one whose share is a zone's; "" leaves the host's.
func (m *Manager) ofZone(ctx context.Context, st *state, zone, what string) error {
	if zone == "" {
		return nil
	}
	if err := m.readZones(ctx, st); err != nil {
		return err
	}
	z, err := st.zone(zone, what)
	if err != nil {
		return err
	}
	if z.Share == "" {
		return refuse(NotFound, "snapbe share init --zone "+zone+" makes it", "%s: the zone %q has no share", what, zone)
	}
	st.share, st.shareZone = z.Share, zone
	st.shareDirs, err = m.dirsOn(ctx, st, z.Share)
	return err
}

// dirsOn are the directories of /var that a share is known to hold. A zone's may
// name none: then whatever is in it is meant.
func (m *Manager) dirsOn(ctx context.Context, st *state, share string) ([]string, error) {
	if share == st.props.Local(propShare) {
		return st.shareDirs, nil
	}
	ds, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{share}, Props: []string{propShareDirs}})
	if err != nil {
		return nil, err
	}
	return strings.Fields(ds[0].Local(propShareDirs)), nil
}

// holds tells whether a directory is one of those that a share is known to hold.
func holds(dirs []string, name string) bool { return len(dirs) == 0 || slices.Contains(dirs, name) }

// shareCommand is a command about the share that the state has, for a hint.
func (st *state) shareCommand(verb string) string {
	if st.shareZone == "" {
		return "snapbe share " + verb
	}
	return fmt.Sprintf("snapbe share %s --zone %s", verb, st.shareZone)
}

// theShare is what a share is called: "the share", or that of a zone.
func theShare(zone string) string {
	if zone == "" {
		return "the share"
	}
	return fmt.Sprintf("the share of the zone %q", zone)
}

// inShareZone follows a path on the share where that is a zone's.
func (st *state) inShareZone() string {
	if st.shareZone == "" {
		return ""
	}
	return fmt.Sprintf(" in the zone %q", st.shareZone)
}
