package main

import (
	"context"

	"snapbe/be"
	"snapbe/internal/mount"
)

type execCmd struct {
	Name    string   `arg:"" name:"be" complete:"be" help:"The BE."`
	Command []string `arg:"" passthrough:"all" name:"command" complete:"command" help:"The command and its arguments."`
}

// Help is shown below the summary.
func (execCmd) Help() string {
	return `The command sees the whole BE at /, with /dev, /proc and /sys. Services are not started inside, and nothing is left behind when it ends. The exit code is the command's own: 126 where it cannot be run, 127 where it is not found, and 125 where snapbe itself failed.`
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
	// Signals are for the command, which may outlive a Ctrl-C; they must not
	// end the context too, or it would be killed.
	ctx := context.WithoutCancel(a.ctx)
	code, notes, err := m.Exec(ctx, be.Exec{Name: c.Name, ExecSpec: mount.ExecSpec{Argv: argv}, Patience: a.cli.Wait})
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
