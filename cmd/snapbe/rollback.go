package main

import "snapbe/be"

type rollbackCmd struct {
	Name  string `arg:"" name:"be@snap" complete:"snap" help:"The snapshot; not one of the BE that runs."`
	Newer bool   `help:"Newer snapshots may go."`
	asking
}

// Help is shown below the summary.
func (rollbackCmd) Help() string {
	return `What was written to the BE since the snapshot is lost, so this asks first.`
}

// Run brings a boot environment back to a snapshot.
func (c *rollbackCmd) Run(a *app) error {
	return a.ask(be.Rollback{Name: c.Name, Newer: c.Newer}, c.asking)
}
