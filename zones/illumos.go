package zones

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"snapbe/internal/command"
)

// indexFile is where illumos keeps the list of zones, below /.
const indexFile = "etc/zones/index"

// Illumos is zones on illumos, by zoneadm(8) and zonecfg(8).
//
// It has not been run on illumos yet: it follows the man pages and illumos'
// sources, and is tested on Linux, on texts in the form of what the programs
// print.
type Illumos struct {
	run  command.Runner
	tree func() (*os.Root, error)
	// Zones is the directory where new zones get their zonepaths.
	Zones string
}

var _ Platform = (*Illumos)(nil)

// NewIllumos makes the platform of an illumos host, with new zones below
// /zones; tree opens the host's file tree, from /.
func NewIllumos(run command.Runner, tree func() (*os.Root, error)) *Illumos {
	return &Illumos{run: run, tree: tree, Zones: "/zones"}
}

// RootDir is zonepath/root, with the zonepath of /etc/zones/index or, for a
// zone that is not there, the one that it would get.
func (z *Illumos) RootDir(name string) string {
	if root, err := z.tree(); err == nil {
		defer root.Close()
		if text, _, err := readSmall(root, indexFile); err == nil {
			if zone := ParseIndex(string(text)).Find(name); zone != nil {
				return zone.Root()
			}
		}
	}
	return path.Join(z.zonepath(name), "root")
}

func (z *Illumos) zonepath(name string) string { return path.Join(z.Zones, name) }

// CheckName takes what zonecfg(8) takes for a zonename; "global" is the host.
func (z *Illumos) CheckName(name string) error { return checkZonename(name) }

// List asks zoneadm(8) for all zones, and zonecfg(8) for each whether it starts
// with the host.
func (z *Illumos) List(ctx context.Context) ([]Machine, error) {
	machines, err := z.machines(ctx)
	if err != nil {
		return nil, fmt.Errorf("list zones: %w", err)
	}
	for i, m := range machines {
		c, err := z.export(ctx, m.Name)
		if err != nil {
			return nil, fmt.Errorf("list zones: zone %q: %w", m.Name, err)
		}
		machines[i].Autoboot = c.Get("autoboot") == "true"
	}
	return machines, nil
}

// machines are all zones, sorted, without Autoboot.
func (z *Illumos) machines(ctx context.Context) ([]Machine, error) {
	out, err := z.run.Run(ctx, command.Cmd{Argv: []string{"zoneadm", "list", "-pc"}})
	if err != nil {
		return nil, err
	}
	machines, err := parseZoneadm(string(out))
	slices.SortFunc(machines, func(a, b Machine) int { return cmp.Compare(a.Name, b.Name) })
	return machines, err
}

// state is how far a zone is; fs.ErrNotExist where there is none.
func (z *Illumos) state(ctx context.Context, name string) (State, error) {
	machines, err := z.machines(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range machines {
		if m.Name == name {
			return m.State, nil
		}
	}
	return "", fmt.Errorf("zone %q: %w", name, fs.ErrNotExist)
}

func (z *Illumos) zoneadm(ctx context.Context, name, verb string) error {
	_, err := z.run.Run(ctx, command.Cmd{Argv: []string{"zoneadm", "-z", name, verb}})
	return err
}

// Boot returns when zoneadm(8) does.
func (z *Illumos) Boot(ctx context.Context, name string) error {
	if err := checkZonename(name); err != nil {
		return err
	}
	if err := z.zoneadm(ctx, name, "boot"); err != nil {
		return fmt.Errorf("boot %q: %w", name, err)
	}
	return nil
}

// Halt lets a zone shut down, and halts it where it does not do so in time, or
// where zoneadm(8) has no shutdown yet (illumos before 2014). A halt alone runs
// none of the zone's shutdown scripts.
func (z *Illumos) Halt(ctx context.Context, name string) error {
	if err := checkZonename(name); err != nil {
		return err
	}
	if err := z.halt(ctx, name); err != nil {
		return fmt.Errorf("halt %q: %w", name, err)
	}
	return nil
}

func (z *Illumos) halt(ctx context.Context, name string) error {
	state, err := z.state(ctx, name)
	if err != nil || !state.Up() {
		return err
	}
	if state == Running {
		// Its error is told by the state that the zone is left in.
		_ = z.zoneadm(ctx, name, "shutdown")
		if state, err = z.state(ctx, name); err != nil || !state.Up() {
			return err
		}
	}
	if err := z.zoneadm(ctx, name, "halt"); err != nil {
		return err
	}
	if state, err = z.state(ctx, name); err == nil && state.Up() {
		err = fmt.Errorf("it is still %s", state)
	}
	return err
}

// export reads a zone's settings.
func (z *Illumos) export(ctx context.Context, name string) (Zonecfg, error) {
	out, err := z.run.Run(ctx, command.Cmd{Argv: []string{"zonecfg", "-z", name, "export"}})
	if err != nil {
		return Zonecfg{}, err
	}
	return ParseZonecfg(string(out))
}

// CopySettings makes the zone dst as a copy of the settings of src, with a
// zonepath of its own. It does not copy the host id and the UUID, nor delegated
// datasets, which would belong to two zones. The network stays as it is: where
// both zones have the same address or link, zoneadm(8) boots one of them only.
func (z *Illumos) CopySettings(ctx context.Context, src, dst string) error {
	if err := errors.Join(checkZonename(src), checkZonename(dst)); err != nil {
		return err
	}
	if err := z.copySettings(ctx, src, dst); err != nil {
		return fmt.Errorf("copy the settings of %q to %q: %w", src, dst, err)
	}
	return nil
}

func (z *Illumos) copySettings(ctx context.Context, src, dst string) error {
	if _, err := z.state(ctx, dst); err == nil {
		return fmt.Errorf("zone %q: %w", dst, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c, err := z.export(ctx, src)
	if err != nil {
		return err
	}
	c.forNew(z.zonepath(dst))
	text, err := c.Encode()
	if err != nil {
		return err
	}
	_, err = z.run.Run(ctx, command.Cmd{
		Argv: []string{"zonecfg", "-z", dst, "-f", "-"}, Stdin: strings.NewReader(text + "commit\n"),
	})
	if err != nil {
		return err
	}
	return z.checkCopied(ctx, dst, c)
}

// forNew takes away what a copy must not have, and gives it what is its own.
func (c *Zonecfg) forNew(zonepath string) {
	c.Set("zonepath", zonepath)
	c.Set("autoboot", "false")
	c.Clear("hostid")
	c.Clear("uuid") // SmartOS
	c.Resources = slices.DeleteFunc(c.Resources, func(r Resource) bool { return r.Type == "dataset" })
}

// checkCopied reads back what zonecfg(8) has made of the commands: with "-f -"
// it goes on after one that it refuses, as in a session at a terminal.
func (z *Illumos) checkCopied(ctx context.Context, name string, want Zonecfg) error {
	got, err := z.export(ctx, name)
	if err != nil {
		return err
	}
	missing, more := difference(want.flat(), got.flat()), difference(got.flat(), want.flat())
	if len(missing)+len(more) > 0 {
		return fmt.Errorf("zonecfg did not take all: missing %q, not asked for %q", missing, more)
	}
	return nil
}

// flat is each setting and each resource as a text; their order means nothing.
func (c Zonecfg) flat() []string {
	var all []string
	for _, p := range c.Settings {
		all = append(all, fmt.Sprintf("%s=%s", p.Name, p.Value))
	}
	for _, r := range c.Resources {
		all = append(all, fmt.Sprintf("%s %v", r.Type, r.Properties))
	}
	return all
}

func difference(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// RemoveSettings deletes a zone from zonecfg(8). One that is installed, or may
// be, is not deleted.
func (z *Illumos) RemoveSettings(ctx context.Context, name string) error {
	if err := checkZonename(name); err != nil {
		return err
	}
	state, err := z.state(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && state != Configured {
		err = fmt.Errorf("it is %s", state)
	}
	if err == nil { // -F asks nothing; it would delete an installed zone too
		_, err = z.run.Run(ctx, command.Cmd{Argv: []string{"zonecfg", "-z", name, "delete", "-F"}})
	}
	if err != nil {
		return fmt.Errorf("remove the settings of %q: %w", name, err)
	}
	return nil
}
