package zones

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"snapbe/internal/command"
)

// running are the containers that run, whatever started them (machinectl(1)
// "list"). It is nil where machinectl is not installed.
func (n *Nspawn) running(ctx context.Context) (map[string]bool, error) {
	out, err := n.run.Run(ctx, command.Cmd{
		Argv: []string{"machinectl", "list", "--output=json", "--no-pager"},
		Env:  []string{"SYSTEMD_COLORS=0"}, // colours would go into the JSON
	})
	if errors.Is(err, command.ErrNotInstalled) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	names, err := parseMachinectl(out)
	if err != nil {
		return nil, fmt.Errorf("parse machinectl's list: %w", err)
	}
	up := map[string]bool{}
	for _, name := range names {
		if n.CheckName(name) == nil {
			up[name] = true
		}
	}
	return up, nil
}

// parseMachinectl reads the names of the containers in what machinectl prints
// as JSON: an array with an object for each machine, since systemd 240. Virtual
// machines are in the list too.
func parseMachinectl(out []byte) ([]string, error) {
	var machines []struct{ Machine, Class string }
	if err := json.Unmarshal(out, &machines); err != nil {
		return nil, err
	}
	var names []string
	for _, m := range machines {
		if m.Machine == "" || m.Class == "" {
			return nil, errors.New("a machine without a name or a class")
		}
		if m.Class == "container" {
			names = append(names, m.Machine)
		}
	}
	return names, nil
}

// Boot starts the machine's service. It is of Type=notify, and started when
// the machine's init runs; the machine's own services may still be starting.
func (n *Nspawn) Boot(ctx context.Context, name string) error {
	if err := n.CheckName(name); err != nil {
		return err
	}
	if _, err := n.run.Run(ctx, command.Cmd{Argv: []string{"systemctl", "start", nspawnUnit(name)}}); err != nil {
		return fmt.Errorf("boot %q: %w", name, err)
	}
	return nil
}

// Halt stops the machine's service, which has the machine shut down
// (systemd-nspawn(1), --kill-signal=) and kills it after 90 seconds
// (systemd.service(5), TimeoutStopSec=). One that something else has started is
// powered off, and killed after as long.
func (n *Nspawn) Halt(ctx context.Context, name string) error {
	if err := n.CheckName(name); err != nil {
		return err
	}
	if err := n.halt(ctx, name); err != nil {
		return fmt.Errorf("halt %q: %w", name, err)
	}
	return nil
}

func (n *Nspawn) halt(ctx context.Context, name string) error {
	if up, err := n.running(ctx); up == nil {
		return err
	}
	// Listed or not: a machine that is about to start is not in the list yet.
	if _, err := n.run.Run(ctx, command.Cmd{Argv: []string{"systemctl", "stop", nspawnUnit(name)}}); err != nil {
		return err
	}
	if gone, err := n.ended(ctx, name, n.settle); gone || err != nil {
		return err
	}
	last := errors.New("it still runs")
	for _, by := range []struct {
		verb string
		wait time.Duration
	}{{"poweroff", n.patience}, {"terminate", n.settle}} {
		_, err := n.run.Run(ctx, command.Cmd{Argv: []string{"machinectl", by.verb, name}})
		if err != nil {
			last, by.wait = err, 0 // unless it ended meanwhile
		}
		if gone, err := n.ended(ctx, name, by.wait); gone || err != nil {
			return err
		}
	}
	return last
}

// ended waits for a machine to be listed no more, for as long as it may take.
func (n *Nspawn) ended(ctx context.Context, name string, wait time.Duration) (bool, error) {
	for end := time.Now().Add(wait); ; {
		up, err := n.running(ctx)
		if err != nil || !up[name] {
			return err == nil, err
		}
		if time.Now().After(end) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(n.poll):
		}
	}
}
