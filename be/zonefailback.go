package be

import (
	"context"
	"fmt"
)

// ZoneFailback gives one zone back the root that it had in the previous boot
// environment, while the host stays in the one that runs.
type ZoneFailback struct{ Name string }

func (r ZoneFailback) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("fail back the zone %q", r.Name)
	st, b, err := m.readZonesToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	z, err := st.zone(r.Name, what)
	if err != nil {
		return nil, err
	}
	if p := m.policy(z.Name); p != ZoneFollows {
		return nil, refuse(Invalid, "policy in the table of that zone in /etc/snapbe/snapbe.toml says so", "%s: its policy is %q", what, p)
	}
	prev, ok := st.byUUID(st.props.Local(propPrevious))
	if !ok || prev.UUID == b.UUID {
		return nil, refuse(Failed, "snapbe zone attach --zbe NAME "+z.Name+" takes a root that you name; snapbe zone list shows them",
			"%s: there is no previous boot environment", what)
	}
	is, err := z.Active(b.UUID)
	if err != nil {
		return nil, refuseZone(what, z, b, err)
	}
	was, err := z.Active(prev.UUID)
	if err != nil {
		return nil, refuseZone(what, z, prev, err)
	}
	if err := m.refuseUp(ctx, z.Name, what); err != nil {
		return nil, err
	}
	if err := m.refuseOther(ctx, st, b, z, what); err != nil {
		return nil, err
	}
	at := lastAt(st.mounts, m.sys.Zones.RootDir(z.Name)).Dataset
	op, err := m.planRoot(ctx, rootArgs{Kind: "zone-failback", Zone: z.Name, From: was.Dataset, To: parent(is.Dataset) + "/" + nextName(is.Name, z.Names()),
		Snap: m.autoSnap(), UUID: b.UUID, Off: is.Name, Shown: at == is.Dataset, Show: true}, what)
	if err != nil {
		return nil, err
	}
	op.plan.root = st.root
	op.plan.Title = fmt.Sprintf("%s to what it was in %q", what, prev.Name)
	return op, nil
}
