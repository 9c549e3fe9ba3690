package be

import (
	"context"
	"fmt"
)

// recoverBefore ends an interrupted operation that the early units cannot leave
// to snapbe-recover.service: an activation that is followed by a handover, and
// a restore of the share, which services are about to write to; one that was cut
// off in a handover, too, where another BE was picked in the menu since.
//
// Whatever is wrong with the record, the share has to be mounted.
func (m *Manager) recoverBefore(ctx context.Context, r Request, o Options) (res Result, err error) {
	st, err := m.read(ctx)
	if err != nil || o.DryRun {
		return res, err
	}
	rec, ok, unreadable := st.pending()
	h, left := st.handover()
	hand, handing := r.(Handover)
	due := left && h.due(st)
	switch {
	case unreadable != nil:
		err = unreadable
	// What is about to be given up was asked for by one that is ended before.
	case handing && ok && (due || left && h.Restore != "" && hand.Boot):
		return m.recoverPending(ctx, Options{Step: o.Step}, hand.Boot)
	case !handing && ok && (rec.Kind == "share-restore" || rec.Kind == "handover" && !due):
		res, err = m.recoverPending(ctx, Options{Step: o.Step}, true)
		if _, waits, e := m.journal(st.root).Load(ctx); err == nil || e == nil && !waits {
			return res, err
		}
	}
	if err != nil {
		res.Notes = append(res.Notes, fmt.Sprintf("an interrupted operation is left to snapbe recover: %v", err))
	}
	return res, nil
}
