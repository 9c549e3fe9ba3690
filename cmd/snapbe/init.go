package main

import "snapbe/be"

type initCmd struct{ asking }

// Help is shown below the summary.
func (initCmd) Help() string {
	return `Checks the layout, and says what it will change before it does. It gives the running BE its identity, moves GRUB's directory outside every BE, installs GRUB on every disk of the mirror, adds snapbe's fragment to the boot menu, and enables snapbe's units. It can be run again at any time, and changes nothing where all is well.`
}

// Run adopts the host.
func (c *initCmd) Run(a *app) error { return a.ask(be.Init{}, c.asking) }
