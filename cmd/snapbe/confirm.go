package main

import (
	"fmt"
	"strings"
	"time"

	"snapbe/be"
	"snapbe/internal/health"
)

type confirmCmd struct {
	Auto bool `hidden:"" help:"As snapbe-confirm.service does, when the machine has come up."`
	// Checks are those of the administrator.
	Checks string `hidden:"" placeholder:"DIR" complete:"none" default:"/etc/snapbe/health.d" help:"Where they are."`
	changing
}

// Help is shown below the summary.
func (confirmCmd) Help() string {
	return `It runs by itself when a BE on trial has come up and the checks in /etc/snapbe/health.d are good. By hand, it confirms at once, also what was activated with -t.`
}

// Run ends the trial of the BE that runs, which was good.
func (c *confirmCmd) Run(a *app) error {
	a.anyConfig = c.Auto
	if c.Auto {
		if err := c.check(a); err != nil {
			return err
		}
	}
	return a.change(be.Confirm{Auto: c.Auto}, c.changing)
}

// check runs the checks, and tells of each.
func (c *confirmCmd) check(a *app) error {
	const what = "confirm"
	conf, err := a.configured()
	if err != nil {
		return err
	}
	if err = health.WaitUptime(a.ctx, time.Duration(conf.Trial.Uptime)); err != nil {
		return &be.Error{Code: be.Failed, Text: what, Err: err}
	}
	report, err := health.Checks{Dir: c.Checks, Limit: time.Duration(conf.Trial.CheckLimit)}.Run(a.ctx)
	if err != nil {
		return &be.Error{Code: be.Failed, Text: what, Err: err}
	}
	for _, name := range report.PassedOver {
		a.tui.tell("passed over, as no check: " + printable(name))
	}
	var failed []string
	for _, r := range report.Results {
		verdict := "good"
		if r.Err != nil {
			verdict = printable(r.Err.Error())
			failed = append(failed, r.Name)
		}
		a.tui.tell(fmt.Sprintf("check %s: %s (%.1fs)", r.Name, verdict, r.Took.Seconds()))
		if r.Err != nil {
			for _, line := range r.Last(5) {
				a.tui.tell("  " + line)
			}
		}
	}
	if len(failed) > 0 {
		return &be.Error{Code: be.Failed, Text: fmt.Sprintf("%s: not healthy by %s of %s", what, strings.Join(failed, ", "), c.Checks)}
	}
	return nil
}

type rejectCmd struct {
	Why    string `placeholder:"TEXT" complete:"none" help:"What is told of it later."`
	Reboot bool   `help:"Reboot then."`
	changing
}

// Help is shown below the summary.
func (rejectCmd) Help() string {
	return `The BE is kept, and activated again with --force only. One that is on trial but was not started yet is taken off trial, and not marked.`
}

// Run ends the trial of the BE that runs, which was no good, or one that is armed.
func (c *rejectCmd) Run(a *app) error {
	a.anyConfig = true
	return a.change(be.Reject{Why: c.Why, Reboot: c.Reboot}, c.changing)
}
