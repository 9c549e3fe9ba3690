package main

import (
	"fmt"

	"snapbe/be"
	"snapbe/synclist"
)

type syncCmd struct {
	Name   string `arg:"" name:"be" complete:"be" help:"The BE."`
	Strict bool   `help:"Refuse where a file on the synclist has changed on both sides, or cannot be synced."`
	changing
}

// Help is shown below the summary.
func (syncCmd) Help() string {
	return `Activating does this by itself; with --dry-run it shows beforehand what would be done to each file.`
}

// Run brings the files of the synclist to a BE.
func (c *syncCmd) Run(a *app) error {
	res, err := a.do(be.Sync{Name: c.Name, Strict: c.Strict}, c.changing, false)
	if !c.JSON && res.Sync != nil { // also where it is refused for what is in it
		c.show(a.tui, res.Sync)
		for _, z := range res.Zones {
			a.tui.print("zone " + printable(z.Zone) + ":")
			c.show(a.tui, z.Report)
		}
	}
	return err
}

// show has a line for each file that something is done with, or is to be known
// of, and below it those for its records.
func (c *syncCmd) show(t *terminal, r *synclist.Report) {
	var lines [][]string
	rest, shared := r.Unchanged+r.Kept, 0
	for _, i := range r.Items {
		if i.Action == synclist.Same || i.Action == synclist.Skipped && i.Why == synclist.NotInSource {
			rest++ // most of the default list, on most hosts
			continue
		}
		if i.Action == synclist.Shared {
			shared++
			continue
		}
		lines = append(lines, []string{string(i.Action), printable(i.Path), printable(i.Why)})
		for _, rec := range i.Records {
			lines = append(lines, []string{"  " + string(rec.Action), "  " + printable(rec.Key), printable(rec.Why)})
		}
	}
	t.table(lines)
	if shared > 0 {
		t.print(fmt.Sprintf("%d more lie where all boot environments have them", shared))
	}
	if rest > 0 {
		t.print(fmt.Sprintf("%d more need nothing", rest))
	}
}

type handoverCmd struct {
	Boot bool `hidden:"" help:"No service runs yet: a share that is to go back does so."`
	changing
}

// Help is shown below the summary.
func (handoverCmd) Help() string {
	return `It syncs the files of the synclist once more, from the other BE as it was shut down. snapbe-handover.service runs it before any service starts; by hand it is for a boot at which that failed. A BE that was picked in the menu by hand takes nothing over.`
}

// Run does what an activation left for the first boot. At most boots that is
// nothing, and the console needs not be told.
func (c *handoverCmd) Run(a *app) error {
	a.terse, a.anyConfig = c.Boot, c.Boot
	return a.change(be.Handover{Boot: c.Boot}, c.changing)
}
