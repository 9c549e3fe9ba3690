package main

import (
	"cmp"
	"fmt"

	"snapbe/be"
)

type bootCmd struct {
	Update  bootUpdateCmd  `cmd:"" help:"Write the boot menu again from the pool's state."`
	Install bootInstallCmd `cmd:"" help:"Install GRUB on every disk of the mirror."`
	Check   bootCheckCmd   `cmd:"" help:"Check that every file which the boot menu names is there."`
	Mount   bootMountCmd   `cmd:"" hidden:"" help:"Mount the running BE's boot dataset; for snapbe-boot-mount.service."`
	Zones   bootZonesCmd   `cmd:"" hidden:"" help:"Mount the roots of the running BE's zones; for snapbe-zones.service."`
	Share   bootShareCmd   `cmd:"" hidden:"" help:"Mount the share and place the running BE's directories on it; for snapbe-share.service."`
}

type bootUpdateCmd struct{ changing }

// Run writes the boot menu.
func (c *bootUpdateCmd) Run(a *app) error { return a.change(be.BootUpdate{}, c.changing) }

type bootInstallCmd struct{ changing }

// Run installs GRUB.
func (c *bootInstallCmd) Run(a *app) error { return a.change(be.BootInstall{}, c.changing) }

type bootMountCmd struct{ changing }

// Run mounts /boot early at boot.
func (c *bootMountCmd) Run(a *app) error { return a.change(be.BootMount{}, c.changing) }

type bootShareCmd struct{ changing }

// Run mounts the share early at boot.
func (c *bootShareCmd) Run(a *app) error {
	a.anyConfig = true
	return a.change(be.ShareMount{}, c.changing)
}

type bootZonesCmd struct{ changing }

// Run mounts the zones before they start; a slip in the configuration does not
// keep all of them from it.
func (c *bootZonesCmd) Run(a *app) error {
	a.anyConfig = true
	return a.change(be.ZoneMount{}, c.changing)
}

type bootCheckCmd struct{ asJSON }

// Help is shown below the summary.
func (bootCheckCmd) Help() string {
	return `Says nothing where all is well; with a problem, it is named and the exit code is 1.`
}

// Run checks the boot menu.
func (c *bootCheckCmd) Run(a *app) error {
	m, err := a.life()
	if err != nil {
		return err
	}
	problems, err := m.Check(a.ctx)
	if err != nil {
		return reading("check the boot menu", err)
	}
	if c.JSON {
		err = a.tui.json(checkJSON{Schema: schema, Problems: orEmpty(problems)})
	} else {
		c.show(a.tui, problems)
	}
	if err == nil && len(problems) > 0 {
		return errTold
	}
	return err
}

type checkJSON struct {
	Schema   int          `json:"schema"`
	Problems []be.Problem `json:"problems"`
}

func (c *bootCheckCmd) show(t *terminal, problems []be.Problem) {
	for _, p := range problems {
		t.print(fmt.Sprintf("%s: %s", printable(cmp.Or(p.Entry, "menu")), printable(p.Text)))
		if p.Hint != "" {
			t.print("  hint: " + printable(p.Hint))
		}
	}
}
