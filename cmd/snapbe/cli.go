package main

import "time"

// cli is the command line. The order of the commands is that of the help and
// follows a boot environment's life.
type cli struct {
	BERoot  string `name:"beroot" short:"r" placeholder:"DATASET" complete:"dataset" help:"The BE root container, such as rpool/ROOT; without it, that of the running BE."`
	Config  string `placeholder:"FILE" default:"${config}" complete:"file" help:"The configuration file (${default})."`
	Verbose bool   `short:"v" help:"Tell on stderr which programs are run."`
	// One snapbe runs at every boot, and apt starts one after each kernel;
	// who comes then need not try again.
	Wait time.Duration `default:"2m" placeholder:"TIME" help:"How long a change waits for another snapbe that is at work (${default})."`

	Init     initCmd     `cmd:"" help:"Adopt this host: prepare its pool and its GRUB for boot environments."`
	Create   createCmd   `cmd:"" help:"Create a BE, or with BE@SNAP a snapshot of one."`
	List     listCmd     `cmd:"" help:"List the BEs."`
	Status   statusCmd   `cmd:"" help:"Show what runs, what boots next, and what needs attention."`
	Mount    mountCmd    `cmd:"" help:"Mount a BE with all that belongs to it, and print where."`
	Unmount  unmountCmd  `cmd:"" aliases:"umount" help:"Unmount a BE."`
	Exec     execCmd     `cmd:"" help:"Run a command in a BE."`
	Upgrade  upgradeCmd  `cmd:"" help:"Upgrade the packages of a BE and of its zones."`
	Sync     syncCmd     `cmd:"" help:"Bring the files of the synclist from the BE that runs to another one."`
	Activate activateCmd `cmd:"" help:"Make a BE the one that boots from now on."`
	Confirm  confirmCmd  `cmd:"" help:"Make the BE that runs on trial the one that boots from now on."`
	Reject   rejectCmd   `cmd:"" help:"End a trial: the next start is one of the old BE."`
	Handover handoverCmd `cmd:"" help:"Do what an activation left for the first boot; runs by itself."`
	Failback failbackCmd `cmd:"" help:"Make the previous BE the one that boots from now on."`
	Share    shareCmd    `cmd:"" help:"Look after the directories of /var that all BEs share."`
	Zone     zoneCmd     `cmd:"" help:"Look after the zones: machines with a root for each BE."`
	Rename   renameCmd   `cmd:"" help:"Give a BE another name."`
	Destroy  destroyCmd  `cmd:"" help:"Destroy a BE, or with BE@SNAP a snapshot of one."`
	Rollback rollbackCmd `cmd:"" help:"Bring a BE back to one of its snapshots."`
	Recover  recoverCmd  `cmd:"" help:"End an operation that was interrupted."`
	Boot     bootCmd     `cmd:"" help:"Look after the boot menu."`

	Completion completionCmd `cmd:"" help:"Print a completion script for a shell."`
	Version    versionCmd    `cmd:"" help:"Print snapbe's version."`
}

// asJSON is for commands that have something to say.
type asJSON struct {
	JSON bool `name:"json" help:"Print the answer as JSON."`
}

// changing is for commands that change something.
type changing struct {
	asJSON
	DryRun bool `short:"n" help:"Print what would be done, and do nothing."`
}

// asking is for changes that are asked about before the first of them.
type asking struct {
	changing
	Yes bool `short:"y" help:"Do not ask."`
}
