package main

import (
	"strconv"
	"strings"

	"snapbe/be"
)

type zoneCmd struct {
	List           zoneListCmd           `cmd:"" help:"List the zones with all of their roots."`
	Adopt          zoneAdoptCmd          `cmd:"" help:"Make a zone of a machine."`
	Attach         zoneAttachCmd         `cmd:"" help:"Give a zone a root in a BE."`
	Failback       zoneFailbackCmd       `cmd:"" help:"Give a zone the root back that it had in the previous BE."`
	Clone          zoneCloneCmd          `cmd:"" help:"Make a new zone of a zone."`
	Destroy        zoneDestroyCmd        `cmd:"" help:"Destroy a zone with its roots in all BEs."`
	DestroyOrphans zoneDestroyOrphansCmd `cmd:"" help:"Destroy the roots of zones that belong to no BE."`
}

type zoneListCmd struct {
	Script bool `name:"parsable" short:"H" help:"For scripts: no header, columns end at \";\", sizes in bytes, times in seconds."`
	asJSON
}

// Help is shown below the summary.
func (zoneListCmd) Help() string {
	return `A zone has a root for each BE, its zone BEs. Active is N for the one that boots in the BE that runs, R for the one in the BE that boots next, ! for one that cannot boot (it is unfinished, or one of two that claim to be active), and O for an orphan, whose BE is not on this host. The lines of -H are zone;zbe;active;be;space;created;state;dataset.`
}

// Run lists the zones.
func (c *zoneListCmd) Run(a *app) error {
	m, err := a.life()
	if err != nil {
		return err
	}
	list, err := m.Zones(a.ctx)
	if err != nil {
		return reading("list the zones", err)
	}
	list.BEs = orEmpty(list.BEs)
	if c.JSON {
		return a.tui.json(zoneListJSON{Schema: schema, ZoneList: list})
	}
	for _, absent := range list.Absent {
		a.tui.tell("the zones below " + printable(absent) + " are not there")
	}
	if c.Script {
		for _, z := range list.BEs {
			a.tui.print(strings.Join([]string{field(z.Zone), field(z.Name), zoneFlags(z), field(z.ParentName), strconv.FormatUint(z.Space, 10),
				strconv.FormatInt(z.Created.Unix(), 10), field(string(z.State)), field(z.Dataset)}, ";"))
		}
		return nil
	}
	if len(list.BEs) == 0 {
		a.tui.tell("there are no zones; snapbe zone adopt makes one of a machine")
		return nil
	}
	lines := [][]string{{"Zone", "ZBE", "Active", "BE", "Space", "Created", "State"}}
	for _, z := range list.BEs {
		lines = append(lines, []string{printable(z.Zone), printable(z.Name), dash(zoneFlags(z)), printable(dash(z.ParentName)), size(z.Space), moment(z.Created), dash(zoneState(z))})
	}
	a.tui.table(lines, 4)
	return nil
}

type zoneListJSON struct {
	Schema int `json:"schema"`
	be.ZoneList
}

// zoneState is the machine's, on the line of the root that it has.
func zoneState(z be.ZoneBE) string {
	switch {
	case !z.Now || z.State == "":
		return ""
	case z.State.Up():
		return printable(string(z.State))
	}
	return "halted"
}

// zoneFlags are those of list, and O for an orphan.
func zoneFlags(z be.ZoneBE) string {
	s := ""
	for _, f := range []struct {
		is   bool
		flag string
	}{{z.Now, "N"}, {z.Next, "R"}, {z.Unbootable, "!"}, {z.Orphan, "O"}} {
		if f.is {
			s += f.flag
		}
	}
	return s
}

type zoneAdoptCmd struct {
	Name      string `arg:"" name:"name" complete:"none" help:"The machine, as machinectl has it."`
	Container string `placeholder:"DATASET" complete:"dataset" help:"Where the zone's datasets go; without it, zones on the pool."`
	changing
}

// Help is shown below the summary.
func (zoneAdoptCmd) Help() string {
	return `The machine must not run. One in a plain directory is copied with all its attributes, and the directory removed when the zone is in place; one on a dataset of its own is renamed, and nothing is copied. From then on each new BE gets a clone of it.`
}

// Run makes a zone.
func (c *zoneAdoptCmd) Run(a *app) error {
	return a.change(be.ZoneAdopt{Name: c.Name, Container: c.Container}, c.changing)
}

type zoneAttachCmd struct {
	Name      string   `arg:"" name:"zone" complete:"zone" help:"The zone."`
	BE        string   `name:"be" placeholder:"BE" complete:"be" help:"The BE; without it, the one that runs."`
	ZBE       string   `name:"zbe" placeholder:"ZBE" complete:"none" help:"The root to take, by its name in zone list."`
	Container string   `placeholder:"DATASET" complete:"dataset" help:"Where the zone was received, if no other zone of this host is there; without it, zones on the pool."`
	Choices   []string `name:"choice" short:"x" placeholder:"CHOICE" enum:"attach-last-booted-zbe,force-zbe-clone,deny-zbe-clone,destroy-orphan-zbes" help:"As with zoneadm attach: attach-last-booted-zbe, force-zbe-clone, deny-zbe-clone or destroy-orphan-zbes; may be given several times."`
	asking
}

// Help is shown below the summary.
func (zoneAttachCmd) Help() string {
	return `An orphan, such as of a zone that was moved here, is taken over; a root of another BE is cloned. Where there are several to choose from, or an orphan beside the root that the BE has, they are compared and none is taken, until one is named with --zbe or by -x attach-last-booted-zbe.`
}

// Run attaches a zone. What goes for good is asked about.
func (c *zoneAttachCmd) Run(a *app) error {
	r := be.ZoneAttach{Name: c.Name, BE: c.BE, ZBE: c.ZBE, Container: c.Container}
	ask := false
	for _, x := range c.Choices {
		r.Choices = append(r.Choices, be.AttachChoice(x))
		ask = ask || be.AttachChoice(x) == be.DestroyOrphans
	}
	_, err := a.do(r, c.changing, ask && !c.Yes)
	return err
}

type zoneFailbackCmd struct {
	Name string `arg:"" name:"zone" complete:"zone" help:"The zone."`
	changing
}

// Help is shown below the summary.
func (zoneFailbackCmd) Help() string {
	return `The host stays in the BE that runs. The zone must not run. What it has now stays, and snapbe zone attach --zbe takes it back.`
}

// Run fails one zone back.
func (c *zoneFailbackCmd) Run(a *app) error {
	return a.change(be.ZoneFailback{Name: c.Name}, c.changing)
}

type zoneCloneCmd struct {
	From string `arg:"" name:"zone" complete:"zone" help:"The zone to clone."`
	Name string `arg:"" name:"new" complete:"none" help:"The new zone."`
	changing
}

// Help is shown below the summary.
func (zoneCloneCmd) Help() string {
	return `By a ZFS clone, in seconds; the zone may run. The new one gets a machine ID at its first start, no SSH host keys (ssh-keygen -A in it makes new ones), its own host name where the other one's stood, and a copy of the settings. It does not start with the host: machinectl enable NEW has it do so.`
}

// Run clones a zone.
func (c *zoneCloneCmd) Run(a *app) error {
	return a.change(be.ZoneClone{From: c.From, Name: c.Name}, c.changing)
}

type zoneDestroyCmd struct {
	Name      string `arg:"" name:"zone" complete:"zone" help:"The zone."`
	NoAsk     bool   `name:"no-ask" short:"F" help:"Do not ask, as -y."`
	Snapshots bool   `short:"s" help:"Your own snapshots of it may go along."`
	asking
}

// Help is shown below the summary.
func (zoneDestroyCmd) Help() string {
	return `The zone must not run. Its roots in all BEs go, its share with all that is in it, and its settings; what goes and the space that comes free is shown before. Zones that were cloned from it are promoted first and stay. Your own snapshots stop it, unless let go with -s.`
}

// Run destroys a zone.
func (c *zoneDestroyCmd) Run(a *app) error {
	c.Yes = c.Yes || c.NoAsk
	return a.ask(be.ZoneDestroy{Name: c.Name, Snapshots: c.Snapshots}, c.asking)
}

type zoneDestroyOrphansCmd struct {
	Names     []string `arg:"" optional:"" name:"zone" complete:"zone" help:"Of these zones; without it, of all."`
	NoAsk     bool     `name:"no-ask" short:"F" help:"Do not ask, as -y."`
	Snapshots bool     `short:"s" help:"Your own snapshots of them may go along."`
	asking
}

// Help is shown below the summary.
func (zoneDestroyOrphansCmd) Help() string {
	return `What goes, how old it is and when it was booted last is shown before. Your own snapshots stop it, unless let go with -s.`
}

// Run destroys orphans.
func (c *zoneDestroyOrphansCmd) Run(a *app) error {
	c.Yes = c.Yes || c.NoAsk
	return a.ask(be.ZoneDestroyOrphans{Names: c.Names, Snapshots: c.Snapshots}, c.asking)
}
