package main

import (
	"errors"

	"snapbe/be"
)

type recoverCmd struct {
	Boot bool `hidden:"" help:"Whatever is wrong with the configuration; for snapbe-recover.service."`
	changing
}

// Help is shown below the summary.
func (recoverCmd) Help() string {
	return `Brings what was interrupted to exactly before or exactly after. It runs by itself at boot, and does nothing where nothing is pending.`
}

// Run ends an operation that was interrupted.
func (c *recoverCmd) Run(a *app) error {
	a.anyConfig = c.Boot
	err := a.change(be.Recover{}, c.changing)
	if c.Boot {
		a.terse = true
		err = errors.Join(err, a.change(be.TrialEnd{}, c.changing))
	}
	return err
}
