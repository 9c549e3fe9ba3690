package be

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
)

// operation is a request that was planned, or one that was interrupted and
// rebuilt from its record.
type operation struct {
	plan Plan
	// verb is how the user calls it, such as `create "2026-11"`.
	verb string
	// kind and args make the journal's record; a request that changes
	// nothing durable has no kind and is not journaled.
	kind  string
	id    string
	args  any
	steps []journal.Step
	// committed is journal.Operation's.
	committed func(context.Context) (int, bool, error)
	result    Result
	// next is what follows once this one has ended, such as the
	// activation of a new BE; it is planned then.
	next Request
	// nextSteps are the names of next's steps, for the plan.
	nextSteps []string
	// quiesced tells that the host was brought to single-user work.
	quiesced bool
	// late are errors of steps that the rest was done after all the same; they
	// are told when it has ended.
	late error
	// alone is the BE that no command of snapbe exec may work in meanwhile.
	alone BE
}

func (op *operation) add(s journal.Step) { op.steps = append(op.steps, s) }

func (op *operation) stepNames() []string {
	names := make([]string, 0, len(op.steps))
	for _, s := range op.steps {
		names = append(names, s.Name)
	}
	return names
}

// Do carries a request out: it checks the caller's rights, takes the lock,
// plans, which refuses while an interrupted operation is pending, and runs the
// steps.
func (m *Manager) Do(ctx context.Context, r Request, o Options) (res Result, err error) {
	if !m.sys.Host.Privileged() {
		return Result{}, refuse(Denied, "run it as root, or with sudo", "change boot environments: only root may do that")
	}
	var agreed *operation
	if o.Confirm != nil && !o.DryRun {
		agreed, err = m.propose(ctx, r, o)
		if err != nil && agreed != nil {
			return agreed.result, err // what it was refused for
		}
		if err != nil {
			return Result{}, err
		}
		if agreed.empty() {
			return agreed.result, nil
		}
		if !o.Confirm(agreed.plan) {
			return agreed.result, ErrDeclined
		}
	}
	unlock, err := m.lock(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	switch r.(type) {
	case Recover:
		return m.recoverPending(ctx, o, false)
	case Handover, ShareMount:
		before, failed := m.recoverBefore(ctx, r, o)
		// Also where that failed, what is mounted now cannot wait.
		if _, handing := r.(Handover); handing && failed != nil {
			return before, failed
		}
		defer func() {
			res.Notes = append(before.Notes, res.Notes...)
			res.Sync = cmp.Or(res.Sync, before.Sync)
			res.Zones = append(before.Zones, res.Zones...)
			err = errors.Join(failed, err)
		}()
	}
	op, err := m.planned(ctx, r)
	if err != nil && op != nil {
		return op.result, err // what it was refused for
	}
	if err != nil {
		return Result{}, err
	}
	if agreed != nil {
		if !op.plan.same(agreed.plan) {
			return agreed.result, refuse(Busy, "run it again to see what it would do now", "%s: something has changed since you were asked", op.verb)
		}
		op = agreed // with the bounds of what the user was told
	}
	return m.carryOut(ctx, op, o)
}

// propose plans what the user is then asked about, without the lock: nobody else
// has to wait for an answer.
func (m *Manager) propose(ctx context.Context, r Request, o Options) (*operation, error) {
	unlock, err := m.lock(ctx, o)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return m.planned(ctx, r)
}

func (m *Manager) planned(ctx context.Context, r Request) (*operation, error) {
	op, err := r.plan(ctx, m)
	if err == nil {
		op.plan.Steps = append(op.stepNames(), op.nextSteps...)
		op.result.Plan = op.plan
	}
	return op, err
}

// empty tells that there is nothing to do.
func (op *operation) empty() bool { return len(op.steps) == 0 && op.next == nil }

// same tells whether two plans say the same to a user. How much comes free may
// differ by what is written meanwhile.
func (p Plan) same(q Plan) bool {
	return p.Title == q.Title && slices.Equal(p.Steps, q.Steps) && slices.Equal(p.Notes, q.Notes)
}

func (m *Manager) carryOut(ctx context.Context, op *operation, o Options) (res Result, err error) {
	res = op.result
	if o.DryRun || op.empty() {
		return res, nil
	}
	release, err := m.alone(op.alone, op.verb)
	if err != nil {
		return res, err
	}
	defer release()
	defer func() {
		if err != nil && op.quiesced {
			err = errors.Join(err, m.sys.Host.Resume(context.WithoutCancel(ctx)))
		}
	}()
	if o.Announce != nil {
		o.Announce(op.plan)
	}
	err = m.run(ctx, op, o)
	res.Notes = append(res.Notes, op.result.Notes...) // what was not undone, too
	if err != nil {
		return res, errors.Join(err, op.late)
	}
	res.Sync, res.Zones = op.result.Sync, op.result.Zones
	if op.late != nil {
		return res, op.late
	}
	if op.next != nil {
		next, err := m.planned(ctx, op.next)
		if err != nil {
			return res, err
		}
		if o.Announce != nil && len(next.plan.Notes) > 0 {
			o.Announce(next.plan)
		}
		then, err := m.carryOut(ctx, next, Options{Step: o.Step})
		res.Notes = append(res.Notes, then.Notes...)
		return res, err
	}
	return res, nil
}

func (m *Manager) run(ctx context.Context, op *operation, o Options) error {
	op.result.Notes = nil
	done := func(s journal.Step, d time.Duration) {
		if o.Step != nil {
			o.Step(StepDone{Name: s.Name, Duration: d})
		}
	}
	var err error
	if op.kind == "" {
		err = journal.Run(ctx, unrecorded{}, journal.Operation{Record: journal.Record{ID: "-", Kind: "-"}, Steps: op.steps}, done)
	} else {
		var jop journal.Operation
		if jop, err = m.journaled(op); err == nil {
			err = journal.Run(ctx, m.journal(op.plan.root), jop, done)
		}
	}
	return explain(op.verb, err)
}

// journaled makes the operation's record.
func (m *Manager) journaled(op *operation) (journal.Operation, error) {
	args, err := json.Marshal(op.args)
	return journal.Operation{
		Record:    journal.Record{ID: op.id, Kind: op.kind, Args: args, Started: m.sys.Now().Unix()},
		Steps:     op.steps,
		Committed: op.committed,
	}, err
}

// explain makes what the user is told of an error that came out of a step.
func explain(verb string, err error) error {
	var told *Error
	var pending *journal.PendingError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &pending):
		// Before what a step itself said: that nothing was undone matters
		// more, and its hint is for another time.
		return &Error{Code: Pending, Text: verb, Err: plain(err, verb),
			Hint: "the operation stopped half-way; snapbe recover ends it"}
	case errors.As(err, &told):
		return err
	case errors.Is(err, context.Canceled):
		return &Error{Code: Failed, Text: verb, Err: errors.New("interrupted, and undone")}
	case zfs.Is(err, zfs.Busy):
		return &Error{Code: Busy, Text: verb, Err: err}
	}
	return &Error{Code: Failed, Text: verb, Err: err}
}

// plain is an error without the verb, where a step has said that already.
func plain(err error, verb string) error {
	return errors.New(strings.TrimPrefix(err.Error(), verb+": "))
}

// refusePending refuses a change while an interrupted operation waits. Only
// what must work at any time, and touches no dataset, does without it.
func (st *state) refusePending() error {
	rec, ok, err := st.pending()
	if err != nil {
		return err
	}
	if ok {
		return refuse(Pending, "snapbe recover brings it to its end, or back",
			"change boot environments: %s was interrupted", describe(rec))
	}
	return nil
}

// pending is the record that the state holds, if there is one.
func (st *state) pending() (r journal.Record, ok bool, err error) {
	return decodeRecord(st.props, st.root)
}

// describe says what a record is about.
func describe(r journal.Record) string {
	at := time.Unix(r.Started, 0).UTC().Format(time.RFC3339)
	return fmt.Sprintf("%q (begun %s)", r.Kind, at)
}

// poolJournal keeps the record on the BE root container, where every BE sees
// it and where it commits with the pool.
type poolJournal struct {
	zfs  zfs.ZFS
	root string
}

func (m *Manager) journal(root string) poolJournal { return poolJournal{m.sys.ZFS, root} }

func (p poolJournal) Load(ctx context.Context) (journal.Record, bool, error) {
	ds, err := p.zfs.Get(ctx, zfs.Query{Roots: []string{p.root}, Props: []string{propJournal}})
	if err != nil {
		return journal.Record{}, false, err
	}
	return decodeRecord(ds[0], p.root)
}

func decodeRecord(d zfs.Dataset, root string) (r journal.Record, ok bool, err error) {
	text := d.Local(propJournal)
	if text == "" {
		return r, false, nil
	}
	if r, err = journal.Decode(text); err != nil {
		return r, true, &Error{Code: Pending, Text: "tell what was interrupted", Err: err, Hint: lostRecord(root)}
	}
	return r, true, nil
}

// lostRecord is the way out where a record means nothing to this snapbe.
func lostRecord(root string) string {
	return fmt.Sprintf("the snapbe that began it can end it; or zfs inherit %s %s drops the record, and snapbe list shows with ! what is unfinished",
		propJournal, root)
}

func (p poolJournal) Save(ctx context.Context, r journal.Record) error {
	text, err := r.Encode()
	if err != nil {
		return err
	}
	return p.zfs.Set(ctx, []zfs.Change{{Dataset: p.root, Set: zfs.Props{propJournal: text}}})
}

func (p poolJournal) Clear(ctx context.Context) error {
	return p.zfs.Set(ctx, []zfs.Change{{Dataset: p.root, Inherit: []string{propJournal}}})
}

// unrecorded is the journal of requests that leave nothing durable.
type unrecorded struct{}

func (unrecorded) Load(context.Context) (journal.Record, bool, error) {
	return journal.Record{}, false, nil
}
func (unrecorded) Save(context.Context, journal.Record) error { return nil }
func (unrecorded) Clear(context.Context) error                { return nil }
