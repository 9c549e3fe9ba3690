package be

import (
	"context"
	"time"

	"snapbe/internal/mount"
	"snapbe/synclist"
)

// Request is something to do: one of the types below.
type Request interface {
	// plan checks everything that can be refused and returns the steps;
	// it changes nothing.
	plan(ctx context.Context, m *Manager) (*operation, error)
}

// Options say how Do goes about a request.
type Options struct {
	// DryRun plans only.
	DryRun bool
	// Confirm, where set, is asked about the plan; false ends Do with
	// ErrDeclined. Others may work while it waits for an answer.
	Confirm func(Plan) bool
	// Announce, where set, is shown the plan right before the first change.
	Announce func(Plan)
	// Patience is how long another command that is at work is waited for,
	// such as the ones that run at boot. Waiting, where set, is told who that
	// is before the wait begins.
	Patience time.Duration
	Waiting  func(holder string)
	// Step, where set, is told of each step after it was done.
	Step func(StepDone)
}

// Plan is what an operation is going to do.
type Plan struct {
	// Title says it in a line: `create "2026-11" from "debian"`.
	Title string `json:"title"`
	// Steps are the steps by name, in order; none where all is as asked.
	Steps []string `json:"steps"`
	// Frees is the least space that comes free, in bytes; for destroy.
	Frees uint64 `json:"frees,omitempty"`
	// Notes are what the user should know before: what is left out, what
	// goes along.
	Notes []string `json:"notes,omitempty"`

	// root is the BE root container that the operation works in.
	root string
}

// StepDone tells of one step that was carried out.
type StepDone struct {
	Name     string
	Duration time.Duration
}

// Result is what came of a request.
type Result struct {
	Plan Plan `json:"plan"`
	// Name is the BE or snapshot that was made or changed.
	Name string `json:"name,omitempty"`
	// Dir is where a BE was mounted.
	Dir string `json:"dir,omitempty"`
	// Notes are what the user should know after.
	Notes []string `json:"notes,omitempty"`
	// Sync is what a sync did to each file that it had to do with, or would do.
	Sync *synclist.Report `json:"sync,omitempty"`
	// Zones are that for the zones, each by its own synclist.
	Zones []ZoneSync `json:"zones,omitempty"`
}

// Create makes a BE, or with a name of the form BE@SNAP a snapshot.
type Create struct {
	// Name is the new BE; "" takes the next free name.
	Name string
	// From is a BE or BE@SNAP; "" is the running BE.
	From        string
	Description string
	// Props are further properties of the new root dataset, prop=value.
	Props    map[string]string
	Activate bool
	// Zones are those that are cloned along.
	Zones ZoneChoice
}

// Activate makes a BE the one that boots from now on, with the files of the
// synclist as they are in the one that runs.
type Activate struct {
	Name string
	// Reboot follows; before it, the host is brought to rescue.target, so that
	// nothing changes any more.
	Reboot bool
	// Trial boots it once, and then only when it was confirmed; NoTrial does not,
	// whatever System.Trials says. Once boots it once and leaves it at that.
	Trial, NoTrial, Once bool
	// Force takes one whose trial was no good.
	Force bool
	Syncing
}

// Syncing says how an activation goes about the synclist.
type Syncing struct {
	// Strict refuses where a file has changed on both sides.
	Strict bool
	// Without leaves the sync out, now and at the first boot.
	Without bool
}

// Failback makes the previous BE the one that boots from now on.
type Failback struct {
	Reboot bool
	// Share is a snapshot that the share goes back to at the first boot; ""
	// leaves the share as it is.
	Share string
	Syncing
}

// Sync brings the files of the synclist from the BE that runs to another one.
type Sync struct {
	Name   string
	Strict bool
}

// Handover does what an activation left for the first boot: it syncs once more,
// from the other BE as it was shut down.
type Handover struct {
	// Boot tells that no service runs yet: only then a share goes back.
	Boot bool
}

// ShareInit makes the share, or adds directories of /var to it. What is below
// them moves when a BE boots.
type ShareInit struct {
	// Dirs are those to share; none takes the default ones.
	Dirs []string
	// Zone is the zone whose share is meant, which must not run: it is put in
	// place at once. "" is the host's.
	Zone string
}

// ShareMount mounts the share and places the running BE's directories on it,
// early at boot.
type ShareMount struct{}

// ShareSnapshot makes a snapshot of the share, of the user's own; Name "" is the
// time, Zone a zone whose share is meant.
type ShareSnapshot struct{ Name, Zone string }

// ShareRestore brings paths of the share, such as mail/alice, back to what they
// were in a snapshot; no path is all of it.
type ShareRestore struct {
	Snap  string
	Paths []string
	// Zone is the zone whose share is meant; "" is the host's.
	Zone string
}

// ShareDestroy takes a snapshot of the share away, Zone as with ShareSnapshot.
type ShareDestroy struct{ Snap, Zone string }

// Rename gives an inactive BE another name.
type Rename struct{ From, To string }

// Destroy takes a BE away, or with BE@SNAP a snapshot of it.
type Destroy struct {
	// Name is BE or BE@SNAP.
	Name string
	// Snapshots agrees to the loss of every snapshot of the user's own;
	// With names those, as BE@SNAP, that may go.
	Snapshots bool
	With      []string
	// Force unmounts the BE first where it is mounted.
	Force bool
	// Origin takes the snapshot along that the BE was cloned from, even
	// where the user made it.
	Origin bool
}

// Rollback brings an inactive BE back to one of its snapshots, BE@SNAP.
type Rollback struct {
	Name string
	// Newer agrees to the loss of snapshots that are newer than it.
	Newer bool
}

// Mount shows a BE at a directory; Dir "" takes one below /run/snapbe.
type Mount struct{ Name, Dir string }

// Unmount takes a mounted BE away; Name is a BE or the directory.
type Unmount struct {
	Name  string
	Force bool
}

// Recover ends an operation that was interrupted.
type Recover struct{}

// BootMount mounts the running BE's boot dataset at /boot, early at boot.
type BootMount struct{}

// ZoneMount mounts the roots that the zones have in the running BE, before they
// start.
type ZoneMount struct{}

// BootUpdate writes the boot menu again from the pool's state.
type BootUpdate struct{}

// BootInstall installs GRUB on every disk of the mirror.
type BootInstall struct{}

// Init adopts the host.
type Init struct{}

// Exec runs a command in a BE; see Manager.Exec.
type Exec struct {
	Name string
	// Zones, where set, are those in which the command runs, one after the other,
	// and not in the BE itself. Begin, where set, is told of each before; an error
	// ends it there.
	Zones *ZoneChoice
	Begin func(zone string) error
	mount.ExecSpec
	// Patience is how long another command that is at work is waited for
	// when the menu is written afterwards.
	Patience time.Duration
}

// ListOptions say what List reads beside the BEs themselves.
type ListOptions struct {
	// Name limits the list to one BE; "" lists all.
	Name string
	// Datasets and Snapshots read deeper.
	Datasets  bool
	Snapshots bool
}

// Status is the state of the host as snapbe sees it.
type Status struct {
	// Root is the BE root container, BootRoot that of the boot datasets
	// where /boot is on a pool of its own, Grub the dataset of GRUB's
	// directory.
	Root     string `json:"root"`
	BootRoot string `json:"boot_root,omitempty"`
	Grub     string `json:"grub,omitempty"`
	// Adopted tells whether init has run here.
	Adopted  bool   `json:"adopted"`
	Running  string `json:"running,omitempty"`
	Default  string `json:"default,omitempty"`
	Previous string `json:"previous,omitempty"`
	// Trial is the BE that is on trial, or boots once at the next start.
	Trial string `json:"trial,omitempty"`
	// Share is the dataset of the share, "" where there is none, ShareDirs the
	// directories of /var that are in it.
	Share     string   `json:"share,omitempty"`
	ShareDirs []string `json:"share_dirs,omitempty"`
	// Zones are the names of the zones, ZonesIn the datasets that they lie in.
	Zones   []string `json:"zones,omitempty"`
	ZonesIn []string `json:"zones_in,omitempty"`
	// Waits are what a boot is to do, each a sentence.
	Waits []string `json:"waits,omitempty"`
	// Pending describes an operation that was interrupted; "" where none.
	Pending string `json:"pending,omitempty"`
	// Busy tells who holds the lock; "" where nobody does.
	Busy  string       `json:"busy,omitempty"`
	Disks []DiskStatus `json:"disks"`
	// Problems are what needs the administrator, each a sentence.
	Problems []string `json:"problems,omitempty"`
}

// DiskStatus is one leaf of the pool that the machine boots from.
type DiskStatus struct {
	// Leaf is the partition, Disk its disk's short name.
	Leaf  string `json:"leaf"`
	Disk  string `json:"disk"`
	State string `json:"state"`
	// Boots tells whether GRUB is installed on the disk, "yes", "no", or
	// "unknown" where the caller may not read the disk.
	Boots       string `json:"boots"`
	Resilvering bool   `json:"resilvering,omitempty"`
}

// Problem is one thing that boot check found.
type Problem struct {
	// Entry is the BE concerned, "" for the menu as a whole.
	Entry string `json:"entry,omitempty"`
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"`
}
