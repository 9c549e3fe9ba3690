package main

import (
	"path/filepath"

	"snapbe/be"
)

type mountCmd struct {
	Name string `arg:"" name:"be" complete:"be" help:"The BE."`
	Dir  string `arg:"" optional:"" name:"dir" complete:"dir" help:"Where to mount it; without it, below /run/snapbe."`
	changing
}

// Run mounts a boot environment and prints only where.
func (c *mountCmd) Run(a *app) error {
	dir, err := absolute(c.Dir)
	if err != nil {
		return err
	}
	res, err := a.do(be.Mount{Name: c.Name, Dir: dir}, c.changing, false)
	if err == nil && !c.JSON && !c.DryRun {
		a.tui.print(res.Dir)
	}
	return err
}

// absolute makes a directory good for another working directory; "" stays.
func absolute(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	return filepath.Abs(dir)
}
