package be

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"snapbe/internal/journal"
	"snapbe/internal/treecopy"
	"snapbe/sharedvar"
)

// ZoneClone makes a new zone of a zone, as it is in the running boot environment:
// by a ZFS clone, with an identity of its own.
type ZoneClone struct{ From, Name string }

func (r ZoneClone) plan(ctx context.Context, m *Manager) (*operation, error) {
	what := fmt.Sprintf("clone the zone %q to %q", r.From, r.Name)
	st, b, err := m.readZonesToChange(ctx, what)
	if err != nil {
		return nil, err
	}
	src, err := st.zone(r.From, what)
	if err != nil {
		return nil, err
	}
	from, err := src.Active(b.UUID)
	if m.policy(src.Name) == ZonePinned {
		from, err = pinned(src, b.UUID)
	}
	if err != nil {
		return nil, refuseZone(what, src, b, err)
	}
	container := parent(src.Dataset)
	if err := m.refuseTaken(ctx, st, r.Name, container, what); err != nil {
		return nil, err
	}
	op, err := m.planRoot(ctx, rootArgs{Kind: "zone-clone", Zone: r.Name, From: from.Dataset, To: container + "/" + r.Name + "/ROOT/zbe",
		Snap: m.autoSnap(), UUID: b.UUID, Show: true, Src: src.Name}, what)
	if err != nil {
		return nil, err
	}
	op.plan.root, op.plan.Title = st.root, what
	op.plan.Notes = append(op.plan.Notes, fmt.Sprintf("it gets a machine ID of its own, and no SSH host keys: ssh-keygen -A in it makes new ones, where its sshd does not by itself; it does not start with the host: machinectl enable %s", r.Name))
	if src.Share != "" {
		op.plan.Notes = append(op.plan.Notes, "it has no share: what "+src.Name+" keeps in "+src.Share+" is not cloned, and the directories of its /var that lie there are empty ones of its own")
	}
	return op, nil
}

// refuseTaken refuses a name that a new zone cannot have.
func (m *Manager) refuseTaken(ctx context.Context, st *state, name, container, what string) error {
	if err := m.sys.Zones.CheckName(name); err != nil {
		return refuse(Invalid, "", "%s: %v", what, err)
	}
	for _, z := range st.zones {
		if z.Name == name {
			return refuse(Exists, "take another name", "%s: there is a zone of that name", what)
		}
	}
	machines, err := m.sys.Zones.List(ctx)
	if err != nil {
		return &Error{Code: Failed, Text: what, Err: err}
	}
	for _, x := range machines {
		if x.Name == name {
			return refuse(Exists, "take another name, or machinectl remove "+name, "%s: there is a machine of that name, or settings of one", what)
		}
	}
	return m.refuseDataset(ctx, container+"/"+name, what)
}

// refuseDataset refuses where a dataset that is to be made exists.
func (m *Manager) refuseDataset(ctx context.Context, dataset, what string) error {
	_, ok, err := m.byDataset(ctx, dataset)
	if ok {
		return refuse(Exists, "zfs rename it, or zfs destroy it if nothing needs it", "%s: the dataset %s exists", what, dataset)
	}
	return err
}

// ownStep gives the clone's files an identity of their own.
func (c *rootClone) ownStep(op *operation) journal.Step {
	return journal.Step{Name: "make a machine of its own of it", Do: func(context.Context) error {
		return c.m.viewTree(c.tree, false, func(t *treecopy.Tree) error {
			keys, err := makeOwn(t, c.args.Src, c.args.Zone)
			if keys > 0 {
				op.result.Notes = append(op.result.Notes, count(keys, "file")+" with SSH host keys went")
			}
			if err == nil {
				_, err = sharedvar.Without(t)
			}
			return err
		})
	}}
}

// makeOwn takes from a machine's tree what tells it from others (machine-id(5),
// hostname(5)), and tells how many files with host keys were removed.
func makeOwn(t *treecopy.Tree, src, name string) (keys int, err error) {
	if err := emptyFile(t, "etc/machine-id"); err != nil {
		return 0, err
	}
	for _, own := range []string{"var/lib/dbus/machine-id", "var/lib/systemd/random-seed"} {
		if info, err := t.Peek(own); err == nil && info.Kind == treecopy.File {
			if err := t.Remove(own); err != nil {
				return 0, err
			}
		}
	}
	names, err := t.Names("etc/ssh")
	if err != nil && !absent(err) {
		return 0, err
	}
	for _, n := range names {
		if ok, _ := path.Match("ssh_host_*_key*", n); ok {
			if err := t.Remove("etc/ssh/" + n); err != nil {
				return keys, err
			}
			keys++
		}
	}
	return keys, renameHost(t, src, name)
}

// emptyFile empties a regular file; systemd makes a new machine ID then.
func emptyFile(t *treecopy.Tree, name string) error {
	info, err := t.Lstat(name)
	if absent(err) || err == nil && info.Kind != treecopy.File {
		return nil
	} else if err != nil {
		return err
	}
	_, err = t.Write(name, strings.NewReader(""), info)
	return err
}

// renameHost puts the new name where the old one stood as the host's.
func renameHost(t *treecopy.Tree, src, name string) error {
	const file = "etc/hostname"
	info, err := t.Lstat(file)
	if absent(err) || err == nil && (info.Kind != treecopy.File || info.Size > 1024) {
		return nil
	} else if err != nil {
		return err
	}
	f, err := t.OpenFile(file)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(f, info.Size))
	if err = errors.Join(err, f.Close()); err != nil || strings.TrimSpace(string(text)) != src {
		return err
	}
	_, err = t.Write(file, strings.NewReader(name+"\n"), info)
	return err
}

// settingsStep comes when the clone counts: from there on it is only done, and
// settings that somebody has made meanwhile stay.
func (c *rootClone) settingsStep() journal.Step {
	copied := false
	return journal.Step{
		Name: "give it the settings of " + c.args.Src,
		Do: func(ctx context.Context) error {
			err := c.m.sys.Zones.CopySettings(ctx, c.args.Src, c.args.Zone)
			if c.args.recovering && errors.Is(err, fs.ErrExist) {
				return nil
			}
			copied = err == nil || !errors.Is(err, fs.ErrExist)
			return err
		},
		Undo: func(ctx context.Context) error {
			if !copied {
				return nil
			}
			return c.m.sys.Zones.RemoveSettings(ctx, c.args.Zone)
		},
	}
}
