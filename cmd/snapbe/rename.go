package main

import "snapbe/be"

type renameCmd struct {
	From string `arg:"" name:"be" complete:"be" help:"The BE; not the one that runs."`
	To   string `arg:"" name:"new" help:"Its new name."`
	changing
}

// Run gives a boot environment another name.
func (c *renameCmd) Run(a *app) error {
	return a.change(be.Rename{From: c.From, To: c.To}, c.changing)
}
