package be

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"snapbe/internal/mount"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// Upgrade runs the package managers in an inactive BE and in its zones; see
// Manager.Upgrade.
type Upgrade struct {
	Name string
	// Zones are those that are upgraded too, NoHost leaves the host's out.
	Zones  ZoneChoice
	NoHost bool
	// Again upgrades also what is done already.
	Again bool
	// Jobs is how many run at once; 0 is what fits the machine.
	Jobs   int
	DryRun bool
	// Patience is Exec's.
	Patience time.Duration
	// Progress, where set, is told of each change of a target's state; by one
	// goroutine at a time.
	Progress func(UpgradeTarget)
}

// UpgradeState is how far a target is.
type UpgradeState string

// The states.
const (
	// UpgradePlanned is to be done.
	UpgradePlanned UpgradeState = "planned"
	// UpgradeRunning is at work.
	UpgradeRunning UpgradeState = "running"
	UpgradeOK      UpgradeState = "ok"
	// UpgradeSkipped was upgraded before.
	UpgradeSkipped UpgradeState = "skipped"
	UpgradeFailed  UpgradeState = "failed"
	// UpgradeInterrupted was ended, or not begun, since snapbe was told to end.
	UpgradeInterrupted UpgradeState = "interrupted"
)

// UpgradeTarget is one system that is upgraded.
type UpgradeTarget struct {
	// Zone is its name, "" for the host.
	Zone    string `json:"zone,omitempty"`
	Dataset string `json:"dataset"`
	// Command is what sh(1) runs in it; "" where none is known.
	Command string       `json:"command,omitempty"`
	State   UpgradeState `json:"state"`
	// Code is its exit code, Why says in words why it is not done.
	Code int    `json:"code,omitempty"`
	Why  string `json:"why,omitempty"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds,omitempty"`
	// Log is the file with what the command said, Last the last lines of it
	// where it failed.
	Log  string   `json:"log,omitempty"`
	Last []string `json:"last,omitempty"`
	// Upgraded is when it ended well, zero where it did not.
	Upgraded time.Time `json:"upgraded,omitzero"`

	tree mount.Tree
	spec mount.ExecSpec
}

// String is the target for people.
func (t UpgradeTarget) String() string {
	if t.Zone == "" {
		return "host"
	}
	return "zone " + t.Zone
}

// UpgradeResult is what became of each target.
type UpgradeResult struct {
	Name   string `json:"name"`
	DryRun bool   `json:"dry_run"`
	// Jobs is how many ran at once.
	Jobs    int             `json:"jobs"`
	Targets []UpgradeTarget `json:"targets"`
	Notes   []string        `json:"notes,omitempty"`
}

// Upgrade runs the package manager of an inactive BE and of each of its zones,
// side by side. Each target runs as by Exec in its own file tree: no service
// starts, nothing stays mounted, and a zone's is confined. What ended well is marked, and passed over
// the next time. One that fails is told, and the others are done; the error then
// names those that are not. A context that ends ends what runs.
func (m *Manager) Upgrade(ctx context.Context, u Upgrade) (UpgradeResult, error) {
	what := fmt.Sprintf("upgrade %q", u.Name)
	if u.Jobs < 0 {
		return UpgradeResult{}, refuse(Invalid, "", "%s: %d jobs are none", what, u.Jobs)
	}
	st, b, err := m.toWorkIn(ctx, u.Name, what, "snapbe create makes a clone of it, which can be upgraded")
	if err != nil {
		return UpgradeResult{}, err
	}
	if err := st.refuseMounted(m.withFollowers(b), what, ""); err != nil {
		return UpgradeResult{}, err
	}
	release := func() {}
	if !u.DryRun {
		if release, err = m.upgradeAlone(b, what); err != nil {
			return UpgradeResult{}, err
		}
	}
	defer func() { release() }()
	res := UpgradeResult{Name: b.Name, DryRun: u.DryRun}
	if res.Targets, err = m.upgradeTargets(ctx, st, b, u, what); err != nil {
		return UpgradeResult{}, err
	}
	res.Notes = m.notUpgraded(st, u)
	todo := toUpgrade(res.Targets)
	res.Jobs = u.Jobs
	if res.Jobs == 0 {
		res.Jobs = jobs(len(todo), runtime.NumCPU(), memoryAvailable())
	}
	if slices.ContainsFunc(todo, func(t *UpgradeTarget) bool { return t.Zone != "" }) {
		res.Notes = append(res.Notes, m.sys.Host.ConfinementGaps()...)
	}
	if u.DryRun {
		return res, notDone(what, b, res.Targets)
	}
	ran, err := m.runUpgrades(ctx, b, u, &res)
	if err != nil {
		return UpgradeResult{}, explain(what, err)
	}
	release()
	release = func() {}
	if ran && st.adopted() && b.UUID != "" {
		// Kernels may have come, also where it failed.
		menu, err := m.Do(context.WithoutCancel(ctx), bootRefresh{b.Dataset}, Options{Patience: u.Patience})
		res.Notes = append(res.Notes, menu.Notes...)
		if err != nil {
			return res, err
		}
	}
	return res, notDone(what, b, res.Targets)
}

// toWorkIn finds a BE that commands are to run in, with its zone BEs; hint helps
// where it is the one that runs.
func (m *Manager) toWorkIn(ctx context.Context, name, what, hint string) (*state, BE, error) {
	if !m.sys.Host.Privileged() {
		return nil, BE{}, refuse(Denied, "run it as root, or with sudo", "%s: only root may do that", what)
	}
	st, err := m.read(ctx)
	if err != nil {
		return nil, BE{}, err
	}
	// What recovering takes back must not be somebody's work.
	if err := st.refusePending(); err != nil {
		return nil, BE{}, err
	}
	b, err := st.usable(name, what)
	if err != nil {
		return nil, BE{}, err
	}
	if b.Running {
		return nil, BE{}, refuse(Busy, hint, "%s: it is running", what)
	}
	if err := m.readZones(ctx, st); err != nil {
		return nil, BE{}, err
	}
	b, err = st.usable(name, what) // with its zone BEs
	return st, b, err
}

// upgradeTargets are the systems of a BE, each with its command and what was done
// before.
func (m *Manager) upgradeTargets(ctx context.Context, st *state, b BE, u Upgrade, what string) ([]UpgradeTarget, error) {
	chosen, err := m.chosenZones(st, b, u.Zones, what)
	if err != nil {
		return nil, err
	}
	var targets []UpgradeTarget
	if !u.NoHost {
		t := UpgradeTarget{Dataset: b.Dataset, Upgraded: b.Upgraded}
		if t.tree, err = m.tree(ctx, b); err != nil {
			return nil, err
		}
		t.spec.Env = execEnv(b)
		if t.spec.Extra, err = m.hostExtra(ctx, st); err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	trees, err := m.zoneTrees(ctx, chosen)
	if err != nil {
		return nil, err
	}
	for i, z := range chosen {
		targets = append(targets, UpgradeTarget{Zone: z.Zone, Dataset: z.Dataset, Upgraded: z.Upgraded, tree: trees[i], spec: st.zoneSpec(b, z)})
	}
	if len(targets) == 0 {
		return nil, refuse(Invalid, "snapbe zone list shows the zones", "%s: there is nothing to upgrade without the host: no zone follows it", what)
	}
	for i := range targets {
		t := &targets[i]
		t.State = UpgradePlanned
		if !t.Upgraded.IsZero() && !u.Again {
			t.State = UpgradeSkipped
			continue
		}
		if t.Command, err = m.upgradeCommand(*t); err != nil {
			t.State, t.Why = UpgradeFailed, err.Error()
		}
	}
	return targets, nil
}

// notUpgraded tells of the zones that an upgrade leaves out since they do not
// follow.
func (m *Manager) notUpgraded(st *state, u Upgrade) (notes []string) {
	if u.Zones.None || len(u.Zones.Names) > 0 {
		return nil
	}
	for _, z := range st.zones {
		if p := m.policy(z.Name); p != ZoneFollows {
			notes = append(notes, fmt.Sprintf("the zone %q is left out: its policy is %q", z.Name, p))
		}
	}
	return notes
}

// toUpgrade are the targets that a command is to run in.
func toUpgrade(targets []UpgradeTarget) (todo []*UpgradeTarget) {
	for i := range targets {
		if targets[i].State == UpgradePlanned {
			todo = append(todo, &targets[i])
		}
	}
	return todo
}

// notDone is the error for targets that are not upgraded, and not only planned.
func notDone(what string, b BE, targets []UpgradeTarget) error {
	var names []string
	for _, t := range targets {
		if t.State == UpgradeFailed || t.State == UpgradeInterrupted {
			names = append(names, t.String())
		}
	}
	if len(names) == 0 {
		return nil
	}
	return refuse(Failed, "mend it, and snapbe upgrade "+b.Name+" takes up what is not done",
		"%s: not done: %s", what, strings.Join(names, ", "))
}

// dropUpgraded takes the marks off what is to be upgraded once more: all in one
// transaction group, where they are on one pool.
func (m *Manager) dropUpgraded(ctx context.Context, todo []*UpgradeTarget) error {
	var marks []zfs.Change
	for _, t := range todo {
		if !t.Upgraded.IsZero() {
			t.Upgraded = time.Time{}
			marks = append(marks, zfs.Change{Dataset: t.Dataset, Inherit: []string{zones.PropUpgraded}})
		}
	}
	return m.setAll(ctx, marks)
}
