package main

import (
	"fmt"
	"strings"

	"snapbe/be"
)

type createCmd struct {
	Name        string   `arg:"" optional:"" name:"name" help:"The new BE, or BE@SNAP for a snapshot; without it, the next free name."`
	Activate    bool     `short:"a" help:"Activate the new BE."`
	Description string   `short:"d" placeholder:"TEXT" help:"A description."`
	From        string   `name:"from" short:"e" placeholder:"BE|BE@SNAP" complete:"source" help:"Clone this BE or snapshot; without it, the running BE."`
	Props       []string `name:"property" short:"o" sep:"none" placeholder:"PROP=VALUE" help:"Set a ZFS property of the new BE; may be given several times."`
	Zones       []string `name:"zone" placeholder:"NAME" sep:"," complete:"none" xor:"zones" help:"Clone these zones along; without it, all that follow."`
	NoZones     bool     `name:"no-zones" xor:"zones" help:"Clone no zone."`
	changing
}

// Help is shown below the summary.
func (createCmd) Help() string {
	return `Without NAME, the name that was chosen is printed.`
}

// Run creates a BE or a snapshot.
func (c *createCmd) Run(a *app) error {
	props, err := c.props()
	if err != nil {
		return err
	}
	res, err := a.do(be.Create{
		Name:        c.Name,
		From:        c.From,
		Description: c.Description,
		Props:       props,
		Activate:    c.Activate,
		Zones:       be.ZoneChoice{Names: c.Zones, None: c.NoZones},
	}, c.changing, false)
	if err == nil && c.Name == "" && !c.JSON && !c.DryRun {
		a.tui.print(res.Name)
	}
	return err
}

// props splits the properties at the first "=" and lets none be given twice.
func (c *createCmd) props() (map[string]string, error) {
	if len(c.Props) == 0 {
		return nil, nil
	}
	props := map[string]string{}
	for _, p := range c.Props {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, &usage{text: fmt.Sprintf("-o takes PROP=VALUE, not %q", p), hint: "snapbe create --help"}
		}
		if _, twice := props[name]; twice {
			return nil, &usage{text: fmt.Sprintf("the property %q is given twice", name)}
		}
		props[name] = value
	}
	return props, nil
}
