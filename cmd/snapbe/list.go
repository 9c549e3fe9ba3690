package main

import (
	"cmp"
	"errors"
	"slices"
	"strconv"

	"snapbe/be"
)

type listCmd struct {
	Name      string `arg:"" optional:"" name:"be" complete:"be" help:"List this BE only."`
	All       bool   `short:"a" help:"Show datasets and snapshots too."`
	Datasets  bool   `short:"d" help:"Show each BE's datasets."`
	Snapshots bool   `short:"s" help:"Show each BE's snapshots."`
	Script    bool   `name:"parsable" short:"H" help:"For scripts: no header, columns end at \";\", sizes in bytes, times in seconds."`
	Up        string `name:"sort" short:"k" placeholder:"KEY" enum:"date,name,space," default:"" help:"Sort by date, name or space; without it, by date."`
	Down      string `name:"sort-down" short:"K" placeholder:"KEY" enum:"date,name,space," default:"" help:"The same, the other way round."`
	asJSON
}

// Help is shown below the summary.
func (listCmd) Help() string {
	return `Active is N for the BE that runs now, R for the one that boots by itself (on reboot), T for one on trial, which boots once or has, F for one whose trial was no good, and ! for one that an interrupted operation has left unfinished. Space is what destroying the BE would free, Refers what its root refers to. The lines of -H are name;uuid;active;mountpoint;space;policy;created;description as beadm(8) has them, with the description added; datasets and snapshots have their name in place of the uuid.`
}

// Validate lets one of the two be given.
func (c *listCmd) Validate() error {
	if c.Up != "" && c.Down != "" {
		return errors.New("-k and -K cannot be used together")
	}
	return nil
}

// Run lists the boot environments.
func (c *listCmd) Run(a *app) error {
	m, err := a.life()
	if err != nil {
		return err
	}
	bes, err := m.List(a.ctx, be.ListOptions{
		Name:      c.Name,
		Datasets:  c.Datasets || c.All,
		Snapshots: c.Snapshots || c.All,
	})
	if err != nil {
		return reading("list the boot environments", err)
	}
	c.sort(bes)
	switch {
	case c.JSON:
		return a.tui.json(listJSON{Schema: schema, BEs: orEmpty(bes)})
	case c.Script:
		c.script(a.tui, bes)
	default:
		c.table(a.tui, bes)
	}
	return nil
}

type listJSON struct {
	Schema int     `json:"schema"`
	BEs    []be.BE `json:"bes"`
}

// sort keeps the order of age, oldest first, where a key has equals.
func (c *listCmd) sort(bes []be.BE) {
	by := func(x, y be.BE) int { return 0 }
	switch cmp.Or(c.Up, c.Down) {
	case "name":
		by = func(x, y be.BE) int { return cmp.Compare(x.Name, y.Name) }
	case "space":
		by = func(x, y be.BE) int { return cmp.Compare(x.Space, y.Space) }
	}
	slices.SortStableFunc(bes, by)
	if c.Down != "" {
		slices.Reverse(bes)
	}
}

// row is a line of the list: a BE, or something of it.
type row struct {
	be.BE
	// item is the dataset's or snapshot's name, "" for the BE itself.
	item string
}

// rows puts below each BE what was read of it.
func rows(bes []be.BE) (out []row) {
	for _, b := range bes {
		out = append(out, row{BE: b})
		for _, d := range b.Datasets {
			out = append(out, row{item: d.Name, BE: be.BE{Name: b.Name, Mountpoint: d.Mountpoint,
				Space: d.Space, Referenced: d.Referenced, Policy: d.Policy, Created: d.Created}})
		}
		for _, s := range b.Snapshots {
			out = append(out, row{item: s.Name, BE: be.BE{Name: b.Name,
				Space: s.Space, Policy: s.Policy, Created: s.Created}})
		}
	}
	return out
}

func (c *listCmd) table(t *terminal, bes []be.BE) {
	lines := [][]string{{"BE", "Active", "Mountpoint", "Space", "Refers", "Policy", "Created", "Description"}}
	for _, r := range rows(bes) {
		name, refers := printable(r.Name), size(r.Referenced)
		if r.item != "" {
			name = "  " + printable(r.item)
		}
		if r.item != "" && r.Referenced == 0 {
			refers = "-"
		}
		lines = append(lines, []string{
			name, dash(flags(r.BE)), printable(dash(r.Mountpoint)), size(r.Space), refers,
			dash(r.Policy), moment(r.Created), printable(r.Description),
		})
	}
	t.table(lines, 3, 4)
}

// script prints what scripts for beadm(8) read, with the description added as
// the last column, where they do not look.
func (c *listCmd) script(t *terminal, bes []be.BE) {
	for _, r := range rows(bes) {
		second := r.UUID
		if r.item != "" {
			second = r.item
		}
		t.print(field(r.Name) + ";" + field(second) + ";" + flags(r.BE) + ";" + field(r.Mountpoint) + ";" +
			strconv.FormatUint(r.Space, 10) + ";" + field(r.Policy) + ";" +
			strconv.FormatInt(r.Created.Unix(), 10) + ";" + field(r.Description))
	}
}

// flags are beadm's, N for now, R for on reboot and T for once; F for a trial that was
// no good, and ! for a BE that cannot be used.
func flags(b be.BE) string {
	s := ""
	if b.Running {
		s += "N"
	}
	if b.Default {
		s += "R"
	}
	if b.Trial {
		s += "T"
	}
	if b.Failed != nil {
		s += "F"
	}
	if b.Unfinished != "" {
		s += "!"
	}
	return s
}

// orEmpty makes JSON show a list without entries as such, and not as null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
