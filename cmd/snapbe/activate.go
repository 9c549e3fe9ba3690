package main

import "snapbe/be"

type activateCmd struct {
	Name   string `arg:"" name:"be" complete:"be" help:"The BE."`
	Reboot bool   `help:"Go to rescue.target first, and reboot into it when all is done."`
	// With none of these the configuration says.
	Trial     bool `xor:"trial" help:"Boot it once, and go on with the old one unless it is confirmed."`
	NoTrial   bool `xor:"trial" help:"Boot it from now on, without a trial."`
	Temporary bool `short:"t" xor:"trial" help:"Boot it once, and then the old one again."`
	Force     bool `short:"f" help:"Also where its trial was no good."`
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
	return `The files of the synclist (/etc/snapbe/synclist) are brought from the BE that runs, now and once more at the first boot. What has changed on both sides is said before, and the new side's stays. With --reboot the services end first, so that they change nothing any more.

On trial, it boots at the next start only, and what boots by itself stays the old one: whatever goes wrong, the start after that is one of the old one. When it has come up and the checks in /etc/snapbe/health.d are good, it is confirmed by itself (snapbe confirm). GRUB remembers that on a FAT partition of the boot disks.`
}

// Run makes a boot environment the one that boots from now on.
func (c *activateCmd) Run(a *app) error {
	if err := outlive(c.Reboot && !c.DryRun); err != nil {
		return err
	}
	return a.change(be.Activate{Name: c.Name, Reboot: c.Reboot, Trial: c.Trial, NoTrial: c.NoTrial, Once: c.Temporary,
		Force: c.Force, Syncing: c.request()}, c.changing)
}
