package main

import "snapbe/be"

type failbackCmd struct {
	Reboot bool `help:"Reboot into it when all is done."`
	changing
}

// Run makes the previous boot environment the one that boots from now on.
func (c *failbackCmd) Run(a *app) error {
	return a.change(be.Failback{Reboot: c.Reboot}, c.changing)
}
