package main

import (
	"fmt"
	"strings"

	"snapbe/be"
)

type destroyCmd struct {
	Name      string   `arg:"" name:"be|be@snap" complete:"source" help:"The BE, or a snapshot of one."`
	With      []string `arg:"" optional:"" name:"with be@snap" complete:"snap" help:"The word \"with\" and the snapshots of your own that may go along."`
	NoAsk     bool     `name:"no-ask" short:"F" help:"Do not ask, as -y."`
	Force     bool     `short:"f" help:"Unmount the BE first where it is mounted."`
	Snapshots bool     `short:"s" help:"All snapshots of the BE may go along, also your own."`
	Origin    bool     `short:"o" help:"The snapshot that the BE was cloned from goes along, even where you made it."`
	asking
}

// Help is shown below the summary.
func (destroyCmd) Help() string {
	return `What else depends on the BE is promoted first and stays. Snapshots that snapbe made go along; your own ones stop it, unless named after "with" or let go with -s. Neither the BE that runs nor the one that boots next can be destroyed.`
}

// Run destroys a boot environment or a snapshot.
func (c *destroyCmd) Run(a *app) error {
	with, err := c.with()
	if err != nil {
		return err
	}
	c.Yes = c.Yes || c.NoAsk
	return a.ask(be.Destroy{
		Name:      c.Name,
		Snapshots: c.Snapshots,
		With:      with,
		Force:     c.Force,
		Origin:    c.Origin,
	}, c.asking)
}

// with takes the word off: it is there so that a second name is never taken
// for a second thing to destroy by a slip.
func (c *destroyCmd) with() ([]string, error) {
	if len(c.With) == 0 {
		return nil, nil
	}
	if c.With[0] != "with" || len(c.With) == 1 {
		return nil, &usage{
			text: fmt.Sprintf("destroy takes one name at a time, not %q as well", strings.Join(c.With, " ")),
			hint: "snapbe destroy BE with BE@SNAP …  names snapshots that may go along",
		}
	}
	return c.With[1:], nil
}
