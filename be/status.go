package be

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"snapbe/bootloader"
	"snapbe/internal/journal"
	"snapbe/internal/zfs"
)

// Status reads the state of the host. Without privileges it tells what may be
// read: whether GRUB is on a disk stays unknown.
func (m *Manager) Status(ctx context.Context) (Status, error) {
	st, err := m.read(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{Root: st.root, BootRoot: st.bootRoot, Grub: st.grub, Adopted: st.adopted(), Busy: m.busy(), Share: st.share, ShareDirs: st.shareDirs}
	for _, b := range st.bes {
		switch {
		case b.Running:
			s.Running = b.Name
		case b.Unfinished != "":
			s.Problems = append(s.Problems, fmt.Sprintf("%q is unfinished: %s", b.Name, st.afterUnfinished(b)))
		}
		if twin := st.twins[b.Name]; twin != "" {
			s.Problems = append(s.Problems, fmt.Sprintf("%q has the UUID of %q, as a received copy does, and is not in the boot menu: snapbe activate gives it one of its own", b.Name, twin))
		}
		if b.Default {
			s.Default = b.Name
		}
		if b.Trial {
			s.Trial = b.Name
		}
		if b.Failed != nil {
			s.Problems = append(s.Problems, fmt.Sprintf("the trial of %q on %s was no good: %s. It is kept: snapbe destroy, or activate --force", b.Name, b.Failed.At.UTC().Format("2006-01-02 15:04"), b.Failed.Why))
		}
		if b.Previous {
			s.Previous = b.Name
		}
	}
	// While somebody is at work, it is what they are at.
	if text := st.props.Local(propJournal); text != "" && s.Busy == "" {
		s.Pending = pendingText(text)
	}
	if err := m.statusZones(ctx, st, &s); err != nil {
		return s, err
	}
	s.Waits = st.waits()
	if h, ok := st.handover(); ok && h.due(st) && len(h.Left) > 0 {
		s.Problems = append(s.Problems, st.stillLeft(h))
	} else if ok && h.due(st) {
		s.Problems = append(s.Problems, "what was left for the first boot of this boot environment is not done, and its synced files may be old: snapbe handover")
	}
	switch {
	case !s.Adopted:
		s.Problems = append(s.Problems, "this host is not adopted yet: snapbe init")
	case s.Default == "":
		s.Problems = append(s.Problems, "the default boot environment has gone: snapbe activate NAME")
	}
	if s.Adopted {
		s.Problems = append(s.Problems, m.menuProblems(st, s)...)
		missing, err := m.sys.Host.Units(ctx)
		if err != nil {
			return s, err
		}
		for _, u := range missing {
			s.Problems = append(s.Problems, u+" is not enabled: snapbe init")
		}
	}
	return s, m.statusDisks(ctx, st, &s)
}

// waits are what a boot is to do.
func (st *state) waits() (lines []string) {
	if b, _, ok := st.trial(); ok && !b.Running {
		lines = append(lines, fmt.Sprintf("the next start is one of %q, on trial; the one after it is of %s, unless that is confirmed", b.Name, st.nameOf(st.props.Local(propDefault))))
	} else if ok {
		lines = append(lines, fmt.Sprintf("%q is on trial; unless it is confirmed, the next start is one of %s", b.Name, st.nameOf(st.props.Local(propDefault))))
	}
	if h, ok := st.handover(); ok && !h.due(st) {
		switch {
		case len(h.Left) > 0:
			lines = append(lines, fmt.Sprintf("the next boot of %s takes over what changed last in %s", st.nameOf(h.To), st.leftIn(h)))
		case h.From != "":
			lines = append(lines, fmt.Sprintf("the first boot of %s takes over what changes in %s until then", st.nameOf(h.To), st.nameOf(h.From)))
		}
		if h.Restore != "" {
			lines = append(lines, fmt.Sprintf("the first boot of %s brings the share back to %s", st.nameOf(h.To), h.Restore))
		}
	}
	if dirs := st.unmoved(); len(dirs) > 0 {
		lines = append(lines, fmt.Sprintf("the next boot of %s moves /var/%s to the share", st.nameOf(st.shareFrom), strings.Join(dirs, ", /var/")))
	}
	return lines
}

func pendingText(text string) string {
	r, err := journal.Decode(text)
	if err != nil {
		return "a record that cannot be read"
	}
	return describe(r)
}

// menuProblems compares the menu's default with the pool's; all else is for
// boot check.
func (m *Manager) menuProblems(st *state, s Status) []string {
	menu, err := m.sys.Boot.Read()
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil
	case err != nil:
		return []string{fmt.Sprintf("the boot menu cannot be read (%v): snapbe boot update", err)}
	case s.Default != "" && menu.Default != st.props.Local(propDefault):
		return []string{"the boot menu has another default than the pool: snapbe boot update"}
	}
	return nil
}

func (m *Manager) statusDisks(ctx context.Context, st *state, s *Status) error {
	leaves, err := m.bootLeaves(ctx, st)
	if err != nil {
		return err
	}
	guid, err := m.poolGUID(ctx, st)
	if err != nil {
		return err
	}
	for _, l := range leaves {
		d := DiskStatus{Leaf: l.Path, Disk: path.Base(l.Path), State: l.State, Resilvering: l.Resilvering, Boots: "unknown"}
		switch {
		case !present(l):
			d.Boots = "no"
			s.Problems = append(s.Problems, fmt.Sprintf("disk %s is %s", d.Disk, l.State))
		case l.Resilvering:
			s.Problems = append(s.Problems, fmt.Sprintf("disk %s is being resilvered; boot from the other one until that is done", d.Disk))
		}
		if present(l) {
			m.diskBoots(ctx, st, l, guid, &d, s)
		}
		s.Disks = append(s.Disks, d)
	}
	return nil
}

func (m *Manager) diskBoots(ctx context.Context, st *state, l zfs.Leaf, guid uint64, d *DiskStatus, s *Status) {
	devices, err := m.sys.Boot.Devices(ctx, []string{l.Path})
	if err != nil || len(devices) != 1 {
		s.Problems = append(s.Problems, fmt.Sprintf("leaf %s: %v", l.Path, err))
		return
	}
	d.Disk = devices[0].Name
	if st.grub == "" {
		return
	}
	err = m.sys.Boot.Installed(devices[0], guid, grubPath(st.grub, ""))
	switch {
	case err == nil:
		d.Boots = "yes"
	case errors.Is(err, bootloader.ErrNotInstalled):
		d.Boots = "no"
		s.Problems = append(s.Problems, fmt.Sprintf("disk %s does not boot (%v): snapbe boot install", d.Disk, err))
	}
}
