package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"snapbe/be"
	"snapbe/internal/mount"
)

type execCmd struct {
	Zones   allOrSome `help:"Run it in the zones of the BE, one after the other; --zones=A,B in these."`
	Zone    []string  `placeholder:"NAME" help:"Run it in this zone of the BE. May be given several times."`
	Name    string    `arg:"" name:"be" complete:"be" help:"The BE."`
	Command []string  `arg:"" passthrough:"all" name:"command" complete:"command" help:"The command and its arguments."`
}

// Help is shown below the summary.
func (execCmd) Help() string {
	return `Flags go before the command: snapbe exec BE --zone web -- COMMAND. The command sees the whole BE at /, with /dev, /proc and /sys. Services are not started inside, and nothing is left behind when it ends. The exit code is the command's own: 126 where it cannot be run, 127 where it is not found, and 125 where snapbe itself failed. In zones it is that of the first that failed.`
}

// Run runs a command in a boot environment.
func (c *execCmd) Run(a *app) error {
	argv := c.Command
	if len(argv) > 0 && argv[0] == "--" {
		argv = argv[1:]
	}
	if len(argv) == 0 {
		return &execError{&usage{text: "no command was given", hint: "snapbe exec BE -- COMMAND"}}
	}
	if err := refuseInside(); err != nil {
		return &execError{err}
	}
	m, err := a.life()
	if err != nil {
		return &execError{err}
	}
	x := be.Exec{Name: c.Name, ExecSpec: mount.ExecSpec{Argv: argv}, Patience: a.cli.Wait}
	if c.Zones.asked || len(c.Zone) > 0 {
		x.Zones = &be.ZoneChoice{Names: c.names()}
		x.Begin = func(zone string) error {
			if a.ctx.Err() != nil { // which has ended the command in the one before
				return errors.New("interrupted")
			}
			a.tui.tell("zone " + printable(zone) + ":")
			return nil
		}
	}
	// Signals are for the command, which may outlive a Ctrl-C; they must not
	// end the context too, or it would be killed.
	code, notes, err := m.Exec(context.WithoutCancel(a.ctx), x)
	a.tui.notes(notes)
	switch {
	case err != nil && code != 0:
		// What came after the command failed too; its own code counts.
		a.tui.fail(describe(err).Error(), hintOf(err))
		return commandCode(code)
	case err != nil:
		return &execError{err}
	case code != 0:
		return commandCode(code)
	}
	return nil
}

// names are the zones that were named; none is all.
func (c *execCmd) names() []string {
	if c.Zones.asked && len(c.Zones.names) == 0 {
		return nil
	}
	return slices.Concat(c.Zones.names, c.Zone)
}

// allOrSome is a flag that may have names, --zones=a,b, or none, for all.
type allOrSome struct {
	asked bool
	names []string
}

// IsBool tells kong that the next word is no value of it.
func (*allOrSome) IsBool() bool { return true }

// Decode is kong's.
func (z *allOrSome) Decode(ctx *kong.DecodeContext) error {
	z.asked = true
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	for name := range strings.SplitSeq(fmt.Sprint(ctx.Scan.Pop().Value), ",") {
		if name == "" {
			return errors.New("--zones= takes names with commas between; --zones alone is all")
		}
		z.names = append(z.names, name)
	}
	return nil
}
