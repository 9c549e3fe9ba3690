package zfs

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"snapbe/internal/command"
)

// changeScript is the channel program (zfs-program(8)) that makes several
// changes in one transaction group, all or none.
//
//go:embed scripts/change.lua
var changeScript string

// The most that ZFS lets a channel program use; a script that is stopped at a
// limit leaves its work half done.
const (
	instructionLimit = "100000000"
	memoryLimit      = "104857600"
)

// refusal is what the script returns where it changed nothing.
type refusal struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
	// By is what stands in the way.
	By   string `json:"by"`
	Code int    `json:"code"`
}

// program runs changeScript. Its arguments are the operations, each a word
// and what it applies to; nothing becomes part of the script's text.
func (t *Tools) program(ctx context.Context, verb, name string, ops []string) error {
	argv := []string{
		"zfs", "program", "-j", "-t", instructionLimit, "-m", memoryLimit,
		"--", PoolOf(name), "-",
	}
	out, err := t.runner.Run(ctx, command.Cmd{
		Argv:  append(argv, ops...),
		Stdin: strings.NewReader(changeScript),
	})
	if err != nil {
		return refused(verb, name, err)
	}
	var result struct {
		Return *refusal `json:"return"`
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return &Error{Verb: verb, Name: name, Err: fmt.Errorf("channel program answered %q: %w", out, err)}
	}
	if result.Return == nil {
		return nil
	}
	return result.Return.error(verb)
}

func (r *refusal) error(verb string) error {
	e := &Error{Verb: verb, Name: r.Name}
	switch r.Reason {
	case "notfound":
		e.Reason, e.Err = NotFound, errors.New("dataset does not exist")
	case "exists":
		e.Reason, e.Err = Exists, fmt.Errorf("snapshot %q is there already", r.By)
	case "busy":
		e.Reason, e.Err = Busy, errors.New("dataset is busy")
	case "dependents":
		e.Reason, e.Err = Dependents, fmt.Errorf("%q depends on it", r.By)
	case "newer":
		e.Reason, e.Err = Dependents, fmt.Errorf("%q is newer", r.By)
	case "nospace":
		e.Reason, e.Err = NoSpace, errors.New("out of space")
	default:
		e.Err = fmt.Errorf("%s (errno %d)", r.Reason, r.Code)
	}
	return e
}

// setOps writes a change as operations of the script.
func setOps(c Change) []string {
	var ops []string
	for _, prop := range slices.Sorted(maps.Keys(c.Set)) {
		ops = append(ops, "set", c.Dataset, prop, c.Set[prop])
	}
	for _, prop := range c.Inherit {
		ops = append(ops, "inherit", c.Dataset, prop)
	}
	return ops
}

// Destroy is the promise of ZFS, by one channel program.
func (t *Tools) Destroy(ctx context.Context, r Removal) error {
	if err := r.Check(); err != nil {
		return err
	}
	names := slices.Concat(r.Promote, r.Datasets)
	var ops, props []string
	for _, name := range r.Promote {
		ops = append(ops, "promote", name)
	}
	for _, name := range r.Datasets {
		ops = append(ops, "destroy", name)
	}
	for _, c := range r.Then {
		ops = append(ops, setOps(c)...)
		names = append(names, c.Dataset)
		props = slices.AppendSeq(append(props, c.Inherit...), maps.Keys(c.Set))
	}
	if len(ops) == 0 {
		return nil
	}
	if err := check("destroy", names, props...); err != nil {
		return err
	}
	return t.program(ctx, "destroy", names[0], ops)
}

// Rollback is the promise of ZFS, by one channel program.
func (t *Tools) Rollback(ctx context.Context, snapshots, destroy []string) error {
	if len(snapshots) == 0 {
		return nil
	}
	if err := CheckRollback(snapshots, destroy); err != nil {
		return err
	}
	if err := check("rollback", slices.Concat(snapshots, destroy)); err != nil {
		return err
	}
	var ops []string
	for _, name := range destroy {
		ops = append(ops, "destroy", name)
	}
	for _, name := range snapshots {
		ops = append(ops, "rollback", name)
	}
	return t.program(ctx, "rollback", snapshots[0], ops)
}
