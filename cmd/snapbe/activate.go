package main

import "snapbe/be"

type activateCmd struct {
	Name   string `arg:"" name:"be" complete:"be" help:"The BE."`
	Reboot bool   `help:"Go to rescue.target first, and reboot into it when all is done."`
	syncing
	changing
}

// syncing is for commands that sync the files of the synclist along.
type syncing struct {
	Strict bool `help:"Refuse where a file on the synclist has changed on both sides, or cannot be synced."`
	NoSync bool `help:"Leave the synclist out."`
}

func (s syncing) request() be.Syncing { return be.Syncing{Strict: s.Strict, Without: s.NoSync} }

// Help is shown below the summary.
func (activateCmd) Help() string {
	return `The files of the synclist (/etc/snapbe/synclist) are brought from the BE that runs, now and once more at the first boot. What has changed on both sides is said before, and the new side's stays. With --reboot the services end first, so that they change nothing any more.`
}

// Run makes a boot environment the one that boots from now on.
func (c *activateCmd) Run(a *app) error {
	if err := outlive(c.Reboot && !c.DryRun); err != nil {
		return err
	}
	return a.change(be.Activate{Name: c.Name, Reboot: c.Reboot, Syncing: c.request()}, c.changing)
}
