package main

import (
	"fmt"
	"strings"

	"snapbe/be"
	"snapbe/sharedvar"
)

type shareCmd struct {
	Init     shareInitCmd     `cmd:"" help:"Make the share, or add directories of /var to it."`
	List     shareListCmd     `cmd:"" help:"List the snapshots of the share."`
	Snapshot shareSnapshotCmd `cmd:"" help:"Make a snapshot of the share."`
	Diff     shareDiffCmd     `cmd:"" help:"Show what has changed in the share since a snapshot."`
	Restore  shareRestoreCmd  `cmd:"" help:"Bring paths of the share back from a snapshot."`
	Destroy  shareDestroyCmd  `cmd:"" help:"Destroy a snapshot of the share."`
}

type shareInitCmd struct {
	Dirs []string `name:"dir" placeholder:"NAME" sep:"none" complete:"none" help:"A directory of /var; may be given several times. Without it: log, mail, spool and crash, those that there are."`
	ofZone
	asking
}

// Help is shown below the summary.
func (shareInitCmd) Help() string {
	return `The share is a dataset at /var/share that all BEs have. A directory of /var that is in it is a link, such as /var/mail -> share/mail. Nothing moves before the next boot: then each BE moves its directories before any service starts, and keeps beside the share what the share has already. That of a zone, which must not run, is put in place at once.`
}

// Run makes the share.
func (c *shareInitCmd) Run(a *app) error {
	return a.ask(be.ShareInit{Dirs: c.Dirs, Zone: c.Zone}, c.asking)
}

// ofZone is for commands about the share of the host, or that of a zone.
type ofZone struct {
	Zone string `placeholder:"NAME" complete:"none" help:"The share of this zone, in the place of the host's."`
}

type shareListCmd struct {
	ofZone
	asJSON
}

// Run lists the snapshots of the share.
func (c *shareListCmd) Run(a *app) error {
	m, err := a.life()
	if err != nil {
		return err
	}
	s, err := m.Share(a.ctx, c.Zone)
	if err != nil {
		return reading("list the snapshots of the share", err)
	}
	s.Dirs, s.Snapshots = orEmpty(s.Dirs), orEmpty(s.Snapshots)
	if c.JSON {
		return a.tui.json(shareJSON{Schema: schema, ShareState: s})
	}
	if s.Dataset == "" {
		a.tui.tell("there is no share; snapbe share init makes it")
		return nil
	}
	lines := [][]string{{"Snapshot", "Space", "Created", "Made by", "For BE"}}
	for _, x := range s.Snapshots {
		by := "user"
		if x.Own {
			by = "snapbe"
		}
		lines = append(lines, []string{printable(x.Name), size(x.Space), moment(x.Created), by, printable(dash(x.For))})
	}
	a.tui.table(lines, 1)
	return nil
}

type shareJSON struct {
	Schema int `json:"schema"`
	be.ShareState
}

type shareSnapshotCmd struct {
	Name string `arg:"" optional:"" name:"snap" complete:"none" help:"Its name; without it, the time."`
	ofZone
	changing
}

// Run makes a snapshot of the share and prints its name.
func (c *shareSnapshotCmd) Run(a *app) error {
	res, err := a.do(be.ShareSnapshot{Name: c.Name, Zone: c.Zone}, c.changing, false)
	if err == nil && !c.JSON && !c.DryRun {
		a.tui.print(res.Name)
	}
	return err
}

type shareDiffCmd struct {
	Snap string `arg:"" optional:"" name:"snap" complete:"none" help:"The snapshot; without it, the newest that snapbe made for an activation or a first boot."`
	ofZone
	asJSON
}

// Run shows what differs in the share.
func (c *shareDiffCmd) Run(a *app) error {
	m, err := a.life()
	if err != nil {
		return err
	}
	snap, changes, err := m.ShareDiff(a.ctx, c.Zone, c.Snap)
	if err != nil {
		return reading("compare the share", err)
	}
	if c.JSON {
		return a.tui.json(shareDiffJSON{Schema: schema, Snapshot: snap, Changes: orEmpty(changes)})
	}
	a.tui.tell("since " + printable(snap) + ":")
	var lines [][]string
	for _, x := range changes {
		lines = append(lines, []string{string(x.Kind), printable(x.Path), sizes(x)})
	}
	a.tui.table(lines)
	return nil
}

// sizes tells how a file's size changed.
func sizes(x sharedvar.Change) string {
	if x.OldSize == x.NewSize {
		return ""
	}
	return fmt.Sprintf("%s -> %s", size(uint64(x.OldSize)), size(uint64(x.NewSize)))
}

type shareDiffJSON struct {
	Schema   int                `json:"schema"`
	Snapshot string             `json:"snapshot"`
	Changes  []sharedvar.Change `json:"changes"`
}

type shareRestoreCmd struct {
	Snap  string   `arg:"" name:"snap" complete:"none" help:"The snapshot."`
	Paths []string `arg:"" optional:"" name:"path" complete:"file" help:"Such as /var/mail/alice; without it, all of the share."`
	ofZone
	asking
}

// Help is shown below the summary.
func (shareRestoreCmd) Help() string {
	return `Each path is put in place whole; a directory is gone for a moment. What is there now stays in a snapshot that is made first, and whose name is printed. Stop what writes there before.`
}

// Run brings paths of the share back. Since what is there now is kept, only the
// whole share is asked about.
func (c *shareRestoreCmd) Run(a *app) error {
	r := be.ShareRestore{Snap: c.Snap, Paths: c.Paths, Zone: c.Zone}
	for _, p := range c.Paths {
		if strings.TrimSpace(p) == "" {
			return &usage{text: "a path is empty", hint: "name it as /var/mail/alice"}
		}
	}
	res, err := a.do(r, c.changing, !c.Yes && len(c.Paths) == 0)
	if err == nil && !c.JSON && !c.DryRun {
		a.tui.print(res.Name)
	}
	return err
}

type shareDestroyCmd struct {
	Snap string `arg:"" name:"snap" complete:"none" help:"The snapshot."`
	ofZone
	asking
}

// Run destroys a snapshot of the share.
func (c *shareDestroyCmd) Run(a *app) error {
	return a.ask(be.ShareDestroy{Snap: c.Snap, Zone: c.Zone}, c.asking)
}
