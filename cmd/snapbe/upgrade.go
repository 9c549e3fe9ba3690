package main

import (
	"fmt"
	"time"

	"snapbe/be"
)

type upgradeCmd struct {
	Name    string   `arg:"" name:"be" complete:"be" help:"The BE."`
	Zone    []string `placeholder:"NAME" help:"Of the zones, upgrade this one. May be given several times."`
	NoZones bool     `help:"Upgrade no zone."`
	NoHost  bool     `help:"Upgrade the zones alone."`
	Again   bool     `help:"Upgrade also what is done already."`
	Jobs    int      `short:"j" placeholder:"N" help:"How many are upgraded at once; without it, what fits the machine."`
	changing
}

// Help is shown below the summary.
func (upgradeCmd) Help() string {
	return `The package managers of the BE and of its zones run side by side, each in its own clone: what runs is not touched, and no service starts. What each says goes to /var/log/snapbe/upgrade-BE. One that fails does not keep the others from being done; called again, it takes up only what is not done.`
}

// Run upgrades the packages of a BE and of its zones.
func (c *upgradeCmd) Run(a *app) error {
	if c.NoZones && len(c.Zone) > 0 {
		return &usage{text: "--no-zones and --zone exclude each other"}
	}
	if c.NoZones && c.NoHost {
		return &usage{text: "--no-zones and --no-host leave nothing to upgrade"}
	}
	if err := refuseInside(); err != nil {
		return err
	}
	m, err := a.life()
	if err != nil {
		return err
	}
	res, err := m.Upgrade(a.ctx, be.Upgrade{
		Name: c.Name, Zones: be.ZoneChoice{Names: c.Zone, None: c.NoZones}, NoHost: c.NoHost,
		Again: c.Again, Jobs: c.Jobs, DryRun: c.DryRun, Patience: a.cli.Wait,
		Progress: func(t be.UpgradeTarget) { c.progress(a.tui, t) },
	})
	answered := len(res.Targets) > 0
	if answered && c.JSON {
		if failed := a.tui.json(upgradeJSON{Schema: schema, UpgradeResult: res}); failed != nil {
			return failed
		}
	} else if answered && c.DryRun {
		c.show(a.tui, res)
	}
	a.tui.notes(res.Notes)
	return err
}

// upgradeJSON is what upgrade prints with --json.
type upgradeJSON struct {
	Schema int `json:"schema"`
	be.UpgradeResult
}

// progress has a line for each change of state.
func (c *upgradeCmd) progress(t *terminal, u be.UpgradeTarget) {
	name, took := printable(u.String()), seconds(time.Duration(u.Seconds*float64(time.Second)))
	switch u.State {
	case be.UpgradePlanned:
	case be.UpgradeRunning:
		t.tell(fmt.Sprintf("  %s: begun", name))
	case be.UpgradeOK:
		t.tell(fmt.Sprintf("  %s: ok, %s", name, took))
	case be.UpgradeSkipped:
		t.tell(fmt.Sprintf("  %s: done at %s; --again runs it once more", name, moment(u.Upgraded)))
	default:
		how := fmt.Sprintf("%s, %s", took, printable(u.Why))
		if u.Log == "" { // it did not run
			how = printable(u.Why)
		} else {
			how += ", log " + printable(u.Log)
		}
		word := "FAILED"
		if u.State == be.UpgradeInterrupted {
			word = "interrupted"
		}
		t.tell(fmt.Sprintf("  %s: %s, %s", name, word, how))
		for _, line := range u.Last {
			t.tell("    " + printable(line))
		}
	}
}

// show lists what a dry run found.
func (c *upgradeCmd) show(t *terminal, res be.UpgradeResult) {
	for _, u := range res.Targets {
		name := printable(u.String())
		switch u.State {
		case be.UpgradeSkipped:
			t.print(fmt.Sprintf("%s: done at %s; --again runs it once more", name, moment(u.Upgraded)))
		case be.UpgradeFailed:
			t.print(fmt.Sprintf("%s: %s", name, printable(u.Why)))
		default:
			t.print(fmt.Sprintf("%s: %s", name, printable(u.Command)))
		}
	}
	t.print(fmt.Sprintf("%d at once", res.Jobs))
}
