package be

import (
	"context"
	"strings"

	"snapbe/internal/zfs"
	"snapbe/zones"
)

// facts are what a BE has taken over from others: the GUIDs of snapshots whose
// content it has, oldest first. What it comes from itself is no part of them.
type facts []string

// maxFacts keeps the property far below its 8 KiB.
const maxFacts = 100

func parseFacts(text string) facts {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func (f facts) String() string { return strings.Join(f[max(0, len(f)-maxFacts):], ",") }

// setHad is the change that gives a BE's dataset, or a snapshot of it, its facts.
func setHad(name string, f facts) zfs.Change {
	if len(f) > 0 {
		return zfs.Change{Dataset: name, Set: zfs.Props{propHad: f.String()}}
	}
	return zfs.Change{Dataset: name, Inherit: []string{propHad}}
}

// props are what a snapshot of a BE is given, so that its facts of today are known
// when something is made of it, or goes back to it.
func (f facts) props() zfs.Props {
	if len(f) == 0 {
		return nil
	}
	return zfs.Props{propHad: f.String()}
}

// factsAt are the facts of a BE and of zone BEs, today's or those of a snapshot.
func (m *Manager) factsAt(ctx context.Context, st *state, src BE, of []zones.BE, snap string) (map[string]facts, error) {
	had := map[string]facts{src.Dataset: src.had}
	for _, z := range of {
		had[z.Dataset] = parseFacts(z.Had)
	}
	if snap == "" {
		return had, nil
	}
	l, err := m.lines(ctx, st.withZoneStates()...)
	if err != nil {
		return nil, err
	}
	for root := range had {
		had[root] = l.hadAt(root + "@" + snap)
	}
	return had, nil
}

// factsByRoot are the facts of all BEs and zone BEs, by their root datasets.
func (m *Manager) factsByRoot(ctx context.Context) (map[string]facts, error) {
	st, err := m.readAll(ctx)
	if err != nil {
		return nil, err
	}
	had := map[string]facts{}
	for _, b := range st.bes {
		had[b.Dataset] = b.had
	}
	for _, z := range st.zones {
		for _, b := range z.BEs {
			had[b.Dataset] = parseFacts(b.Had)
		}
	}
	return had, nil
}
