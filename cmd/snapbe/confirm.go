package main

import "snapbe/be"

type confirmCmd struct {
	Auto bool `hidden:"" help:"As snapbe-confirm.service does, when the machine has come up."`
	changing
}

// Help is shown below the summary.
func (confirmCmd) Help() string {
	return `It runs by itself when a BE on trial has come up. By hand, it confirms at once, also what was activated with -t.`
}

// Run ends the trial of the BE that runs, which was good.
func (c *confirmCmd) Run(a *app) error {
	a.anyConfig = c.Auto
	return a.change(be.Confirm{Auto: c.Auto}, c.changing)
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
