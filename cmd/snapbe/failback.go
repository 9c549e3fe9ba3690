package main

import "snapbe/be"

type failbackCmd struct {
	Reboot bool   `help:"Go to rescue.target first, and reboot into it when all is done."`
	Share  string `placeholder:"SNAP" complete:"none" help:"Bring the share back to this snapshot of it, before any service starts."`
	syncing
	changing
}

// Help is shown below the summary.
func (failbackCmd) Help() string {
	return `The files of the synclist go along as with activate. What was written to the share stays, unless a snapshot of it is named.`
}

// Run makes the previous boot environment the one that boots from now on.
func (c *failbackCmd) Run(a *app) error {
	if err := outlive(c.Reboot && !c.DryRun); err != nil {
		return err
	}
	return a.change(be.Failback{Reboot: c.Reboot, Share: c.Share, Syncing: c.request()}, c.changing)
}
