package be

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"time"

	"snapbe/internal/journal"
)

// plan of Recover is never called: Do hands it to recoverPending, which works
// on the record and not on a request.
func (Recover) plan(context.Context, *Manager) (*operation, error) {
	return nil, fmt.Errorf("recover plans nothing")
}

// recoverPending ends the interrupted operation, if there is one.
// boot tells that no service runs yet.
func (m *Manager) recoverPending(ctx context.Context, o Options, boot bool) (Result, error) {
	st, err := m.read(ctx)
	if err != nil {
		return Result{}, err
	}
	j := m.journal(st.root)
	rec, ok, err := j.Load(ctx)
	if err != nil {
		return Result{}, err
	}
	if !ok {
		return Result{Notes: []string{"no operation was interrupted"}}, nil
	}
	op, err := m.rebuild(st, rec, boot)
	if err != nil {
		return Result{}, refuse(Pending, lostRecord(st.root), "recover from %s: %v", describe(rec), err)
	}
	op.plan.Title = "recover from an interrupted " + rec.Kind
	from, forward, err := op.committed(ctx)
	if err != nil {
		return Result{}, err
	}
	res := Result{Name: op.result.Name, Plan: op.plan}
	for i, s := range op.steps {
		switch {
		case forward && i >= from:
			res.Plan.Steps = append(res.Plan.Steps, s.Name)
		case !forward && s.Undo != nil:
			res.Plan.Steps = append([]string{"undo: " + s.Name}, res.Plan.Steps...)
		}
	}
	if o.DryRun {
		return res, nil
	}
	outcome, err := journal.Recover(ctx, j, journal.Operation{Record: rec, Steps: op.steps, Committed: op.committed},
		func(s journal.Step, d time.Duration) {
			name := s.Name
			if !forward {
				name = "undo: " + name
			}
			if o.Step != nil {
				o.Step(StepDone{Name: name, Duration: d})
			}
		})
	if err != nil {
		return res, &Error{Code: Pending, Text: "recover from an interrupted " + rec.Kind, Err: err,
			Hint: "mend what it names and run snapbe recover again"}
	}
	res.Notes = append(op.result.Notes, fmt.Sprintf("%s was %s", op.verb, outcome))
	res.Sync, res.Zones = op.result.Sync, op.result.Zones
	return res, op.late
}

// rebuild makes an operation's steps from its record.
func (m *Manager) rebuild(st *state, rec journal.Record, boot bool) (op *operation, err error) {
	switch rec.Kind {
	case "create":
		op, err = build(rec, func(a createArgs) *operation { return m.recoverCreate(st, rec.ID, a) })
	case "snapshot":
		op, err = build(rec, func(a snapshotArgs) *operation { return m.snapshotOperation(rec.ID, a, nil) })
	case "activate", "failback":
		op, err = build(rec, func(a activateArgs) *operation {
			return m.activateOperation(rec.Kind, rec.ID, fmt.Sprintf("%s %q", rec.Kind, path.Base(a.Dataset)), a, nil, nil, false)
		})
	case "sync":
		op, err = build(rec, func(a syncArgs) *operation {
			return m.syncOperation(rec.ID, fmt.Sprintf("sync to %q", path.Base(a.Target)), a, nil)
		})
	case "handover":
		op, err = build(rec, func(a handoverArgs) *operation {
			a.boot, a.recovering = boot, true
			return m.handoverOperation(st, rec.ID, a, nil)
		})
	case "share":
		op, err = build(rec, func(a shareArgs) *operation { return m.shareOperation(rec.ID, a) })
	case "share-zone":
		op, err = build(rec, func(a zoneShareArgs) *operation {
			a.recovering = true
			return m.zoneShareOperation(rec.ID, a)
		})
	case "share-restore":
		op, err = build(rec, func(a restoreArgs) *operation {
			a.recovering = true
			return m.restoreOperation(rec.ID, a)
		})
	case "trial":
		op, err = build(rec, func(a verdictArgs) *operation { return m.verdictOperation(rec.ID, a) })
	case "rename":
		op, err = build(rec, func(a renameArgs) *operation { return m.renameOperation(rec.ID, a) })
	case "destroy":
		op, err = build(rec, func(a destroyArgs) *operation {
			a.recovering = true
			return m.destroyOperation(rec.ID, a, nil)
		})
	case "destroy-snapshot":
		op, err = build(rec, func(a snapshotArgs) *operation { return m.destroySnapshotOperation(rec.ID, a) })
	case "rollback":
		op, err = build(rec, func(a rollbackArgs) *operation {
			a.recovering = true
			return m.rollbackOperation(rec.ID, a)
		})
	case "zone-adopt", "zone-attach", "zone-attach-clone", "zone-failback", "zone-clone", "zone-destroy-orphans", "zone-destroy":
		op, err = m.rebuildZone(rec)
	case "init":
		op, err = build(rec, func(a initArgs) *operation { return m.initOperation(rec.ID, a) })
	default:
		err = fmt.Errorf("this version does not know %q", rec.Kind)
	}
	if err == nil {
		op.plan.root = st.root
	}
	return op, err
}

func build[A any](rec journal.Record, make func(A) *operation) (*operation, error) {
	var a A
	if err := json.Unmarshal(rec.Args, &a); err != nil {
		return nil, fmt.Errorf("its record: %w", err)
	}
	return make(a), nil
}

// rebuildZone is rebuild for what is done to a zone.
func (m *Manager) rebuildZone(rec journal.Record) (*operation, error) {
	switch rec.Kind {
	case "zone-adopt":
		return build(rec, func(a adoptArgs) *operation {
			a.recovering = true
			return m.adoptOperation(rec.ID, a)
		})
	case "zone-attach":
		return build(rec, func(a takeArgs) *operation {
			a.recovering = true
			return m.takeOperation(rec.ID, a)
		})
	case "zone-destroy":
		return build(rec, func(a zoneDestroyArgs) *operation {
			a.recovering = true
			return m.zoneDestroyOperation(rec.ID, a, nil)
		})
	case "zone-destroy-orphans":
		return build(rec, func(a orphanArgs) *operation {
			a.recovering = true
			return m.orphanOperation(rec.ID, a, nil)
		})
	}
	return build(rec, func(a rootArgs) *operation {
		a.recovering = true
		return (&rootClone{m: m, id: rec.ID, args: a}).operation()
	})
}
