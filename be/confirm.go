package be

import (
	"context"
	"fmt"
	"os"
	"path"
	"time"

	"snapbe/internal/journal"
	"snapbe/internal/zfs"
)

// Confirm makes the BE that runs on trial the one that boots from now on.
type Confirm struct {
	// Auto is for the unit that finds it healthy: it leaves alone what was to boot
	// once.
	Auto bool
}

// Reject ends the trial of the BE that runs, or one that is armed: the next start is
// one of the old BE.
type Reject struct {
	// Why is told later; what was not started yet is not marked.
	Why    string
	Reboot bool
}

// verdictArgs are the record of the end of a trial.
type verdictArgs struct {
	UUID    string `json:"uuid"`
	Dataset string `json:"dataset"`
	// Default tells that it is confirmed, with Previous for failback.
	Default     bool   `json:"default,omitempty"`
	Previous    string `json:"previous,omitempty"`
	OldDefault  string `json:"oldDefault"`
	OldPrevious string `json:"oldPrevious,omitempty"`
	OldBootfs   string `json:"oldBootfs,omitempty"`
	// Handover is what stays of what is left to do.
	Handover    string `json:"handover,omitempty"`
	OldHandover string `json:"oldHandover,omitempty"`
	OldTrial    string `json:"oldTrial"`
	// Failed is why it was no good; At is when, in seconds.
	Failed string `json:"failed,omitempty"`
	At     int64  `json:"at"`
}

func (r Confirm) plan(ctx context.Context, m *Manager) (*operation, error) {
	const what = "confirm"
	st, err := m.readToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	run, ok := st.running()
	b, t, on := st.trial()
	switch {
	case !ok:
		return nil, refuse(Invalid, "this is for the host that runs: leave -r out", "%s: no boot environment of %s is running", what, st.root)
	case run.Default && !on:
		return &operation{verb: what, plan: Plan{root: st.root, Title: what}, result: Result{Name: run.Name, Notes: []string{fmt.Sprintf("%q is the one that boots already", run.Name)}}}, nil
	case on && !b.Running:
		return nil, refuse(Failed, "it boots once, at the next start; snapbe reject takes that back", "%s: %q is on trial, and does not run", what, b.Name)
	case !on:
		return nil, refuse(Failed, "snapbe activate "+run.Name+" makes it the one that boots", "%s: %q runs, and is not on trial", what, run.Name)
	case r.Auto && t.Once:
		return &operation{verb: what, plan: Plan{root: st.root, Title: what}, result: Result{Name: run.Name, Notes: []string{fmt.Sprintf("%q was to boot once, and is not confirmed by itself", run.Name)}}}, nil
	}
	// One that lacks what changed last, such as locks, is no good yet.
	if err := m.refuseHandover(st, what); err != nil {
		return nil, err
	}
	args := m.verdictArgs(st, b)
	args.Default, args.Previous, args.Handover = true, t.Previous, args.OldHandover // what zones have yet to take over
	props, err := m.sys.ZFS.PoolGet(ctx, zfs.PoolOf(st.root), []string{"bootfs"})
	if err != nil {
		return nil, err
	}
	if v := props["bootfs"].Value; v != "-" {
		args.OldBootfs = v
	}
	op := m.verdictOperation(m.sys.UUID(), args)
	op.plan.root, op.result.Name = st.root, b.Name
	return op, nil
}

func (r Reject) plan(ctx context.Context, m *Manager) (*operation, error) {
	const what = "reject"
	st, err := m.readToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	b, _, ok := st.trial()
	if !ok {
		return nil, refuse(Failed, "snapbe failback leads to the one before", "%s: no boot environment is on trial", what)
	}
	args := m.verdictArgs(st, b)
	if b.Running {
		args.Failed = or(r.Why, "rejected by hand")
	}
	op := m.verdictOperation(m.sys.UUID(), args)
	op.plan.root, op.result.Name = st.root, b.Name
	if def, ok := st.byUUID(args.OldDefault); ok {
		op.plan.Notes = append(op.plan.Notes, fmt.Sprintf("the next start is one of %q", def.Name))
	}
	if r.Reboot && b.Running {
		op.next = rebootRequest{}
		op.plan.Notes = append(op.plan.Notes, "then the machine reboots")
	}
	return op, nil
}

// TrialEnd finds out, at a start of the machine, what became of a trial.
type TrialEnd struct{}

func (TrialEnd) plan(ctx context.Context, m *Manager) (*operation, error) {
	const what = "look after a trial"
	none := &operation{verb: what, plan: Plan{Title: what}}
	st, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	b, t, ok := st.trial()
	if _, pending, _ := st.pending(); !ok || pending || b.Running {
		return none, nil
	}
	tried, armed, err := m.tried(ctx, st, t.UUID)
	if err != nil || armed && !tried {
		return none, err
	}
	args := m.verdictArgs(st, b)
	note := ""
	switch {
	case !tried:
		note = fmt.Sprintf("the trial of %q was not begun: the boot disks remember nothing of it; snapbe activate %s arms it again", b.Name, b.Name)
	case t.Once:
		note = fmt.Sprintf("%q has booted once", b.Name)
	default:
		args.Failed = "it was started on trial, and the machine came back with the old one"
		note = fmt.Sprintf("the trial of %q was no good: %s", b.Name, args.Failed)
	}
	op := m.verdictOperation(m.sys.UUID(), args)
	op.plan.root, op.plan.Notes, op.result.Name = st.root, []string{note}, b.Name
	return op, nil
}

func (m *Manager) verdictArgs(st *state, b BE) verdictArgs {
	args := verdictArgs{UUID: b.UUID, Dataset: b.Dataset, At: m.sys.Now().Unix(),
		OldDefault: st.props.Local(propDefault), OldPrevious: st.props.Local(propPrevious),
		OldTrial: st.props.Local(propTrial), OldHandover: st.props.Local(propHandover)}
	// What the old one has for it is taken over by the next sync.
	if h, ok := st.handover(); ok && h.To != b.UUID {
		args.Handover = args.OldHandover
	}
	return args
}

// verdictOperation ends a trial: in one transaction group, from which menu, bootfs
// and the disks follow. Cut off before, it goes on; GRUB has taken it already, and
// boots the old one.
func (m *Manager) verdictOperation(id string, args verdictArgs) *operation {
	root := rootOf(args.Dataset)
	verb := "end the trial"
	if args.Default {
		verb = "confirm"
	}
	op := &operation{kind: "trial", id: id, args: args, verb: verb}
	op.plan.Title = fmt.Sprintf("%s of %q", verb, path.Base(args.Dataset))
	if args.Default {
		op.plan.Title = fmt.Sprintf("confirm %q", path.Base(args.Dataset))
	}
	was := choice{args.OldDefault, args.OldPrevious, args.OldTrial}
	op.add(journal.Step{
		Name: "take it off trial",
		Do: func(ctx context.Context) error {
			return m.sys.ZFS.Set(ctx, []zfs.Change{args.choice().change(root, args.Handover)})
		},
		Undo: then(func(ctx context.Context) error {
			return m.sys.ZFS.Set(ctx, []zfs.Change{was.change(root, args.OldHandover)})
		}, m.undoMenu),
	})
	op.add(m.knownMenuStep(op, nil))
	if args.Default {
		op.add(m.bootfsStep(root, args.Dataset, args.OldBootfs))
	}
	op.add(m.forgetStep())
	op.add(journal.Step{Name: "mark it", Do: func(ctx context.Context) error {
		if err := m.sys.ZFS.Set(ctx, []zfs.Change{args.mark()}); err != nil || m.sys.TrialOver == "" {
			return err
		}
		return os.WriteFile(m.sys.TrialOver, nil, 0o644)
	}})
	op.committed = func(ctx context.Context) (int, bool, error) {
		st, err := m.read(ctx)
		if err != nil {
			return 0, false, err
		}
		return 1, st.props.Local(propTrial) != args.OldTrial, nil
	}
	return op
}

func (a verdictArgs) choice() choice {
	if a.Default {
		return choice{a.UUID, a.Previous, ""}
	}
	return choice{a.OldDefault, a.OldPrevious, ""}
}

// mark is what is known of the BE from now on.
func (a verdictArgs) mark() zfs.Change {
	at := time.Unix(a.At, 0).UTC()
	switch {
	case a.Default:
		return zfs.Change{Dataset: a.Dataset, Set: zfs.Props{propBooted: at.Format(time.RFC3339)}, Inherit: []string{propFailed}}
	case a.Failed != "":
		return setFailed(a.Dataset, at, a.Failed)
	}
	return zfs.Change{Dataset: a.Dataset, Inherit: []string{propFailed}}
}
