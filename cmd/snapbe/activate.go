package main

import "snapbe/be"

type activateCmd struct {
	Name   string `arg:"" name:"be" complete:"be" help:"The BE."`
	Reboot bool   `help:"Reboot into it when all is done."`
	changing
}

// Run makes a boot environment the one that boots from now on.
func (c *activateCmd) Run(a *app) error {
	return a.change(be.Activate{Name: c.Name, Reboot: c.Reboot}, c.changing)
}
