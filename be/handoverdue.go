package be

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"snapbe/internal/zfs"
)

// everyZone stands in handover.Left for zones that failed and are too many to name:
// all are handed over once more, which finds in place what is done.
const everyZone = "*"

// handover is what an activation leaves for the first boot. It is a property of
// the BE root container that comes with the choice of the default and goes with
// the last step of the handover, so it is its own record: cut off anywhere, all
// of it runs again.
type handover struct {
	// From and To are UUIDs; From "" syncs nothing.
	From, To string
	// Restore is a snapshot that the share goes back to.
	Restore string
	// Left are datasets that zones lie in which were not there, and zones that
	// failed: the rest is done, and these are to follow.
	Left []string
}

func (h handover) String() string {
	switch {
	case len(h.Left) > 0:
		return strings.Join([]string{h.From, h.To, "-", strings.Join(h.Left, ",")}, " ")
	case h.From == "" && h.Restore == "":
		return ""
	}
	return strings.TrimSpace(or(h.From, "-") + " " + h.To + " " + h.Restore)
}

// change is what makes the property say so; with nothing left it goes.
func (h handover) change(root string) zfs.Change {
	if left := h.String(); left != "" {
		return zfs.Change{Dataset: root, Set: zfs.Props{propHandover: left}}
	}
	return zfs.Change{Dataset: root, Inherit: []string{propHandover}}
}

// refuseLeft refuses to take away what a handover is still to take over.
func (st *state) refuseLeft(b BE, what string) error {
	h, ok := st.handover()
	if !ok || b.UUID == "" || h.From != b.UUID {
		return nil
	}
	if len(h.Left) > 0 && h.due(st) {
		way := "snapbe handover"
		if absent := st.absentPools(h.Left); len(absent) > 0 {
			way = "zpool import " + strings.Join(absent, " ") + " and snapbe handover"
		}
		return refuse(Busy, way+" first, or activate another one", "%s: what changed last in %s is still to be synced to %s", what, st.leftIn(h), st.nameOf(h.To))
	}
	return refuse(Busy, fmt.Sprintf("boot %s first, or activate another one", st.nameOf(h.To)),
		"%s: what changed last in it is still to be synced to %s, when that boots", what, st.nameOf(h.To))
}

// handover is what the state says is left to do; ok is false where nothing is.
func (st *state) handover() (h handover, ok bool) {
	return parseHandover(st.props.Local(propHandover))
}

func parseHandover(text string) (h handover, ok bool) {
	f := strings.SplitN(text, " ", 4) // a dataset's name may have spaces
	if len(f) < 2 {
		return h, false
	}
	h = handover{From: strings.TrimPrefix(f[0], "-"), To: f[1]}
	if len(f) > 2 {
		h.Restore = strings.TrimPrefix(f[2], "-")
	}
	if len(f) > 3 {
		h.Left = strings.Split(f[3], ",")
	}
	return h, true
}

// due tells whether the handover is for the BE that runs.
func (h handover) due(st *state) bool {
	b, ok := st.running()
	return ok && b.UUID == h.To
}

// refuseHandover refuses to sync on from a BE that has not everything itself. What
// zones lack that are not there, or have failed, holds up nothing.
func (m *Manager) refuseHandover(st *state, what string) error {
	h, ok := st.handover()
	if !ok || h.From == "" || !h.due(st) || len(h.Left) > 0 && !slices.ContainsFunc(st.there(h.Left), func(c string) bool { return !st.isZone(c) }) {
		return nil
	}
	return refuse(Failed, "snapbe handover does it; --no-sync goes on without", "%s: what changed last in %s is not synced to the boot environment that runs", what, st.leftIn(h))
}

// there are those of some zones, or datasets that they lie in, which are there.
func (st *state) there(in []string) []string {
	return slices.DeleteFunc(slices.Clone(in), func(c string) bool {
		return slices.ContainsFunc(st.zonesAbsent, func(absent string) bool { return within(c, absent) })
	})
}

// among tells whether a zone is one of some zones, or lies in one of some datasets.
func among(some []string, zone string) bool {
	return slices.Contains(some, everyZone) || slices.Contains(some, zone) || slices.Contains(some, parent(zone))
}

// isZone tells whether a dataset is one of a zone, and not one that zones lie in.
func (st *state) isZone(dataset string) bool {
	return !slices.Contains(st.zoneRoots, dataset) && !slices.Contains(st.zonesAbsent, dataset)
}

// leftIn tells where that is which a handover is to take over: in a BE, or in zones
// of it.
func (st *state) leftIn(h handover) string {
	if len(h.Left) == 0 {
		return st.nameOf(h.From)
	}
	var in, names []string
	for _, c := range h.Left {
		if st.isZone(c) {
			names = append(names, fmt.Sprintf("%q", path.Base(c)))
		} else {
			in = append(in, c)
		}
	}
	var what []string
	switch {
	case slices.Contains(h.Left, everyZone):
		what = append(what, "the zones that failed")
	case len(names) == 1:
		what = append(what, "the zone "+names[0])
	case len(names) > 1:
		what = append(what, "the zones "+strings.Join(names, ", "))
	}
	if len(in) > 0 {
		what = append(what, "the zones below "+strings.Join(in, ", "))
	}
	return strings.Join(what, " and ") + " in " + st.nameOf(h.From)
}

// nameOf is the quoted name of the BE with a UUID, or the UUID.
func (st *state) nameOf(uuid string) string {
	if b, ok := st.byUUID(uuid); ok {
		return fmt.Sprintf("%q", b.Name)
	}
	return uuid
}
