package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"snapbe/be"
	"snapbe/internal/mount"
)

// change hands a request to the life cycle and tells what came of it.
func (a *app) change(r be.Request, c changing) error {
	_, err := a.do(r, c, false)
	return err
}

// ask is change for what has to be agreed to first.
func (a *app) ask(r be.Request, c asking) error {
	_, err := a.do(r, c.changing, !c.Yes)
	return err
}

// do hands a request to the life cycle. What is going to be done, each step
// and the notes go to stderr; the plan of a dry run and the JSON are answers.
func (a *app) do(r be.Request, c changing, ask bool) (be.Result, error) {
	if err := refuseInside(); err != nil {
		return be.Result{}, err
	}
	m, err := a.life()
	if err != nil {
		return be.Result{}, err
	}
	noTerminal := false
	opts := be.Options{DryRun: c.DryRun, Patience: a.cli.Wait, Waiting: func(holder string) {
		a.tui.tell("waiting for another snapbe: " + holder)
	}}
	switch {
	case c.DryRun:
	case ask:
		opts.Step = a.tui.step
		opts.Confirm = func(p be.Plan) bool {
			a.tui.announce(p, true)
			noTerminal = !a.tui.canAsk()
			return !noTerminal && a.tui.askToGoOn()
		}
	default:
		opts.Step = a.tui.step
		opts.Announce = func(p be.Plan) { a.tui.announce(p, false) }
	}
	res, err := m.Do(a.ctx, r, opts)
	switch {
	case noTerminal && errors.Is(err, be.ErrDeclined):
		return res, &usage{text: "this has to be agreed to, and there is no terminal to ask on", hint: "-y agrees beforehand"}
	case err != nil:
		a.tui.notes(res.Notes)
		return res, err
	case c.JSON:
		return res, a.tui.json(resultJSON{Schema: schema, DryRun: c.DryRun, Result: res})
	case c.DryRun:
		a.tui.plan(res.Plan)
	case len(res.Plan.Steps) == 0 && !a.terse:
		a.tui.tell("nothing to do")
	}
	a.tui.notes(res.Notes)
	return res, nil
}

// refuseInside refuses changes by a command of snapbe exec: it takes the BE that
// it works in for the one that runs, and sees neither the host's lock nor its
// mounts.
func refuseInside() error {
	inside := os.Getenv("SNAPBE_EXEC")
	if inside == "" && startedByExec("/proc/1/environ") {
		inside = "snapbe exec" // sudo or env -i have dropped the name
	}
	if inside == "" {
		return nil
	}
	return &be.Error{Code: be.Failed, Text: fmt.Sprintf("change boot environments from inside %q", inside),
		Hint: "end snapbe exec first"}
}

// startedByExec tells by the environment of process 1, in the form of
// /proc/1/environ (proc_pid_environ(5)), whether that is snapbe exec's.
func startedByExec(environ string) bool {
	text, err := os.ReadFile(environ)
	return err == nil && slices.Contains(strings.Split(string(text), "\x00"), mount.ContainerEnv)
}

// resultJSON is what changing commands print with --json.
type resultJSON struct {
	Schema int  `json:"schema"`
	DryRun bool `json:"dry_run"`
	be.Result
}
