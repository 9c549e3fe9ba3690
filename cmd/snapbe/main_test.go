package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"snapbe/be"
	"snapbe/sharedvar"
)

// recorder is a life cycle that only notes what it was asked for.
type recorder struct {
	opened  options
	request be.Request
	opts    be.Options
	list    be.ListOptions
	exec    be.Exec
	upgrade be.Upgrade

	// What it answers.
	result   be.Result
	bes      []be.BE
	status   be.Status
	problems []be.Problem
	zones    be.ZoneList
	share    be.ShareState
	changes  []sharedvar.Change
	code     int
	upgraded be.UpgradeResult
	err      error
	steps    []be.StepDone
	zone     string
}

func (r *recorder) Do(_ context.Context, req be.Request, o be.Options) (be.Result, error) {
	r.request, r.opts = req, o
	if r.err != nil {
		return be.Result{}, r.err
	}
	if !o.DryRun && o.Confirm != nil && len(r.result.Plan.Steps) > 0 && !o.Confirm(r.result.Plan) {
		return be.Result{}, be.ErrDeclined
	}
	if !o.DryRun && o.Announce != nil && len(r.result.Plan.Steps) > 0 {
		o.Announce(r.result.Plan)
	}
	for _, s := range r.steps {
		if o.Step != nil {
			o.Step(s)
		}
	}
	return r.result, nil
}

func (r *recorder) List(_ context.Context, o be.ListOptions) ([]be.BE, error) {
	r.list = o
	return r.bes, r.err
}

func (r *recorder) Status(context.Context) (be.Status, error) { return r.status, r.err }

func (r *recorder) Check(context.Context) ([]be.Problem, error) { return r.problems, r.err }

func (r *recorder) Exec(_ context.Context, x be.Exec) (int, []string, error) {
	r.exec = x
	return r.code, nil, r.err
}

func (r *recorder) Upgrade(_ context.Context, u be.Upgrade) (be.UpgradeResult, error) {
	r.upgrade = u
	for _, t := range r.upgraded.Targets {
		u.Progress(t)
	}
	return r.upgraded, r.err
}

func (r *recorder) Zones(context.Context) (be.ZoneList, error) { return r.zones, r.err }

func (r *recorder) Share(_ context.Context, zone string) (be.ShareState, error) {
	r.zone = zone
	return r.share, r.err
}

func (r *recorder) ShareDiff(_ context.Context, zone, snap string) (string, []sharedvar.Change, error) {
	r.zone = zone
	return snap, r.changes, r.err
}

func (r *recorder) open(o options) (lifecycle, func() error, error) {
	r.opened = o
	return r, func() error { return nil }, nil
}

// said is what a call of snapbe printed and its exit code.
type said struct {
	out, err string
	code     int
}

// call runs snapbe with a life cycle; nobody sits at the terminal.
func call(t *testing.T, r *recorder, args ...string) said {
	t.Helper()
	t.Setenv("TZ", "UTC")
	t.Setenv("COLUMNS", "80")
	return callAt(r, &terminal{in: strings.NewReader("")}, args...)
}

func callAt(r *recorder, tui *terminal, args ...string) said {
	var out, err bytes.Buffer
	tui.out, tui.err = &out, &err
	code := run(context.Background(), args, tui, r.open)
	return said{out.String(), err.String(), code}
}

// A command line is one request, and no more than that.
func TestRequests(t *testing.T) {
	for _, tc := range []struct {
		args string
		want be.Request
	}{
		{"init -y", be.Init{}},
		{"create", be.Create{}},
		{"create new", be.Create{Name: "new"}},
		{"create -e old@s -d text -a new", be.Create{Name: "new", From: "old@s", Description: "text", Activate: true}},
		{"create -o a=b=c -o x:y=1,2 new", be.Create{Name: "new", Props: map[string]string{"a": "b=c", "x:y": "1,2"}}},
		{"create new@snap", be.Create{Name: "new@snap"}},
		{"mount be", be.Mount{Name: "be"}},
		{"mount be /mnt/x/../y", be.Mount{Name: "be", Dir: "/mnt/y"}},
		{"unmount be", be.Unmount{Name: "be"}},
		{"umount -f be", be.Unmount{Name: "be", Force: true}},
		{"unmount /mnt/", be.Unmount{Name: "/mnt"}},
		{"activate be", be.Activate{Name: "be"}},
		{"activate --reboot be", be.Activate{Name: "be", Reboot: true}},
		{"failback", be.Failback{}},
		{"failback --reboot", be.Failback{Reboot: true}},
		{"rename a b", be.Rename{From: "a", To: "b"}},
		{"destroy be", be.Destroy{Name: "be"}},
		{"destroy -Ffso be", be.Destroy{Name: "be", Force: true, Snapshots: true, Origin: true}},
		{"destroy be with be@a be@b", be.Destroy{Name: "be", With: []string{"be@a", "be@b"}}},
		{"rollback be@s", be.Rollback{Name: "be@s"}},
		{"rollback --newer be@s", be.Rollback{Name: "be@s", Newer: true}},
		{"recover", be.Recover{}},
		{"boot update", be.BootUpdate{}},
		{"boot install", be.BootInstall{}},
		{"boot mount", be.BootMount{}},
	} {
		t.Run(tc.args, func(t *testing.T) {
			var r recorder
			got := call(t, &r, append([]string{"-r", "tank/ROOT", "--config", config1(t)}, strings.Fields(tc.args)...)...)
			assert.Equal(t, 0, got.code, got.err)
			assert.Equal(t, tc.want, r.request)
			assert.Equal(t, "tank/ROOT", r.opened.Root)
			assert.False(t, r.opts.DryRun)
		})
	}
}

func TestListOptions(t *testing.T) {
	for args, want := range map[string]be.ListOptions{
		"list":        {},
		"list be":     {Name: "be"},
		"list -d":     {Datasets: true},
		"list -s":     {Snapshots: true},
		"list -ds":    {Datasets: true, Snapshots: true},
		"list -a -H":  {Datasets: true, Snapshots: true},
		"list --json": {},
	} {
		var r recorder
		got := call(t, &r, strings.Fields(args)...)
		assert.Equal(t, 0, got.code, got.err)
		assert.Equal(t, want, r.list, args)
	}
}

func TestUpgradeRequests(t *testing.T) {
	for args, want := range map[string]be.Upgrade{
		"upgrade be":                         {Name: "be"},
		"upgrade be --zone a,b --zone c":     {Name: "be", Zones: be.ZoneChoice{Names: []string{"a", "b", "c"}}},
		"upgrade be --no-zones --again -j 3": {Name: "be", Zones: be.ZoneChoice{None: true}, Again: true, Jobs: 3},
		"--wait 5s upgrade -n --no-host be":  {Name: "be", NoHost: true, DryRun: true, Patience: 5 * time.Second},
	} {
		var r recorder
		got := call(t, &r, strings.Fields(args)...)
		assert.Equal(t, 0, got.code, got.err)
		r.upgrade.Progress = nil
		if want.Patience == 0 {
			want.Patience = 2 * time.Minute
		}
		assert.Equal(t, want, r.upgrade, args)
	}
}

// A zone's flags are exec's own before the command, and the command's behind it.
func TestExecZones(t *testing.T) {
	for args, want := range map[string]*be.ZoneChoice{
		"exec be --zones -- ls":          {},
		"exec --zones be ls":             {},
		"exec be --zones=a,b -- ls":      {Names: []string{"a", "b"}},
		"exec be --zone a --zone b,c ls": {Names: []string{"a", "b", "c"}},
		"exec be --zones=a --zone b ls":  {Names: []string{"a", "b"}},
		"exec be --zones --zone b -- ls": {},
		"exec be ls --zones":             nil,
		"exec be -- ls --zone a":         nil,
	} {
		var r recorder
		got := call(t, &r, strings.Fields(args)...)
		assert.Equal(t, 0, got.code, got.err)
		assert.Equal(t, want, r.exec.Zones, args)
		assert.Equal(t, "ls", r.exec.Argv[0])
	}
}

// Everything after the BE is the command's, flags too.
func TestExec(t *testing.T) {
	for args, want := range map[string][]string{
		"exec be -- ls -l -- x":  {"ls", "-l", "--", "x"},
		"exec be ls -l":          {"ls", "-l"},
		"exec be -- -odd":        {"-odd"},
		"exec be sh --help":      {"sh", "--help"},
		"-v exec be -- sh -c -v": {"sh", "-c", "-v"},
	} {
		var r recorder
		got := call(t, &r, strings.Fields(args)...)
		assert.Equal(t, 0, got.code, got.err)
		assert.Equal(t, "be", r.exec.Name)
		assert.Equal(t, want, r.exec.Argv, args)
	}
}

// Other ways to ask.
func TestAsAsked(t *testing.T) {
	var r recorder
	for args, want := range map[string]string{"help": "--help", "help create": "create --help", "help boot update": "boot update --help", "--version": "version"} {
		assert.Equal(t, call(t, &r, strings.Fields(want)...), call(t, &r, strings.Fields(args)...), args)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"", "snapbe: no command was given\nhint: snapbe --help lists them\n"},
		{"lst", "snapbe: unexpected argument lst, did you mean \"list\"?\nhint: snapbe --help\n"},
		{"rename a", "snapbe: expected \"<new>\"\nhint: snapbe rename --help\n"},
		{"create a b", "snapbe: unexpected argument b\nhint: snapbe create --help\n"},
		{"create -o novalue", "snapbe: -o takes PROP=VALUE, not \"novalue\"\nhint: snapbe create --help\n"},
		{"create -o a=1 -o a=2", "snapbe: the property \"a\" is given twice\n"},
		{"destroy a b", "snapbe: destroy takes one name at a time, not \"b\" as well\nhint: snapbe destroy BE with BE@SNAP …  names snapshots that may go along\n"},
		{"destroy a with", "snapbe: destroy takes one name at a time, not \"with\" as well\nhint: snapbe destroy BE with BE@SNAP …  names snapshots that may go along\n"},
		{"list -k name -K space", "snapbe: list: -k and -K cannot be used together\nhint: snapbe list --help\n"},
		{"--config /nonexistent/x list", "snapbe: cannot read the configuration: open /nonexistent/x: no such file or directory\n"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			var r recorder
			got := call(t, &r, strings.Fields(tc.args)...)
			assert.Equal(t, said{err: tc.want, code: exitUsage}, got)
			assert.Nil(t, r.request)
		})
	}
}
