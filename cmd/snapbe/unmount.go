package main

import (
	"strings"

	"snapbe/be"
)

type unmountCmd struct {
	Name  string `arg:"" name:"be|dir" complete:"be" help:"The BE, or the directory that it is mounted at; a directory has a slash in it."`
	Force bool   `short:"f" help:"Unmount it even where it is in use."`
	changing
}

// Run unmounts a boot environment.
func (c *unmountCmd) Run(a *app) error {
	what := c.Name
	if strings.Contains(what, "/") {
		dir, err := absolute(what)
		if err != nil {
			return err
		}
		what = dir
	}
	return a.change(be.Unmount{Name: what, Force: c.Force}, c.changing)
}
