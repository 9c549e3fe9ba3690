// Package be is the life of a boot environment: created by snapshot and clone,
// mounted and changed, activated, booted, failed back from, destroyed. Every
// operation is a list of named steps that is journaled on the pool before it
// runs; the pool's user properties are the only state.
package be

import (
	"context"
	"os"
	"time"

	"snapbe/bootloader"
	"snapbe/internal/mount"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// User properties; the libbe ones are those of illumos' beadm(8), so that tools
// which know them agree with snapbe.
const (
	propUUID   = "org.opensolaris.libbe:uuid"
	propPolicy = "org.opensolaris.libbe:policy"

	propDescription = "org.snapbe:description"
	// propOp is local on what an unfinished operation made or is taking
	// away, and stays on the snapshots that snapbe made for itself.
	propOp       = "org.snapbe:op"
	propDefault  = "org.snapbe:default"
	propPrevious = "org.snapbe:previous"
	// propTrial says which BE boots once; see trial.go. propFailed says, on a BE,
	// when and why its trial was no good.
	propTrial   = "org.snapbe:trial"
	propFailed  = "org.snapbe:failed"
	propJournal = "org.snapbe:journal"
	propBooted  = "org.snapbe:booted"
	// propHandover says, on the BE root container, what is to be done at the
	// first boot of the activated BE; see handover.go.
	propHandover = "org.snapbe:handover"
	// propSynced says, on a BE, which state of another one it has taken over;
	// see syncpoint.go.
	propSynced = zones.PropSynced
	// propHad is a BE's history, and on a sync point's snapshot that of the BE
	// which was snapshotted.
	propHad = zones.PropHad
	// propPartly says, on a BE, which states of others it has begun to take over;
	// see partly.go.
	propPartly = zones.PropPartly
	// propShare and propShareDirs name, on the BE root container, the dataset
	// of the share and the directories of /var that are in it; propShareFor,
	// on a snapshot of it, the BE whose activation it was made for.
	propShare     = "org.snapbe:share"
	propShareDirs = "org.snapbe:sharedirs"
	propShareFor  = "org.snapbe:for"
	// propShareFrom is the BE whose directories go to the share, and
	// propShared those of them that have: before that, those of no other BE do.
	propShareFrom = "org.snapbe:sharefrom"
	propShared    = "org.snapbe:shared"
	// propBootRoot and propGrub name, on the BE root container, where boot
	// datasets and GRUB's directory are, as init found or made them.
	propBootRoot = "org.snapbe:bootroot"
	propGrub     = "org.snapbe:grub"
)

// System is what a Manager works with.
type System struct {
	ZFS  zfs.ZFS
	Boot Bootloader
	Host Host
	// Root is the BE root container, such as rpool/ROOT; "" takes the one
	// that the running BE lies in.
	Root string
	// LockFile is where a changing command writes who it is.
	LockFile string
	// Command is how the user called snapbe, for the lock's holder.
	Command string
	// ShareSnapshots is how many snapshots of the share are kept that snapbe
	// made by itself; 0 keeps all.
	ShareSnapshots int
	// TrialOver is a file that stops the units which leave a trial; it is gone with
	// the next start.
	TrialOver string
	// Trials makes Activate put a BE on trial where nothing else is said;
	// TrialCmdline are kernel parameters of a BE on trial.
	Trials       bool
	TrialCmdline []string
	// Zones is how the operating system keeps zones; ZonePolicy says, by name,
	// which of them do not follow.
	Zones      zones.Platform
	ZonePolicy map[string]ZonePolicy
	// Upgrades are shell commands that upgrade a system, by the distribution's
	// ID in os-release(5); they go before the built-in ones. ZoneUpgrades are
	// those of zones, by name, and go before all others.
	Upgrades     map[string]string
	ZoneUpgrades map[string]string
	// LogDir is where the logs of upgrades lie, such as /var/log/snapbe.
	LogDir string
	// ZoneTime is how long a boot waits for what a zone takes over, for all of them four
	// times that, and for what is moved to the shares of zones; 0 is five minutes.
	ZoneTime time.Duration
	// BeforeFile, where set, is asked before each change of a file in a BE or
	// the share; for tests.
	BeforeFile func(what string) error
	Now        func() time.Time
	UUID       func() string
}

// Bootloader is what the life cycle asks of the boot loader; bootloader.GRUB
// documents it.
type Bootloader interface {
	Read() (bootloader.Menu, error)
	Write(m bootloader.Menu) (changed bool, err error)
	Directory() string
	Disks(ctx context.Context, leaves []string) ([]bootloader.Disk, error)
	Devices(ctx context.Context, leaves []string) ([]bootloader.Device, error)
	Install(ctx context.Context, d bootloader.Device, pool uint64, path string) error
	Installable(d bootloader.Device) error
	Hooked() bool
	Installed(d bootloader.Device, pool uint64, path string) error
	CanRead(ctx context.Context, path string) error
	Hook(ctx context.Context) (changed bool, err error)
	WriteTrialInitrd() (changed bool, err error)
	ReadEnv(ctx context.Context, d bootloader.Device) (bootloader.Env, error)
	WriteEnv(ctx context.Context, d bootloader.Device, e bootloader.Env) error
	Check(ctx context.Context, want bootloader.Menu, look bootloader.Look) []bootloader.Problem
}

// Host is what the life cycle asks of the operating system.
type Host interface {
	// Root tells which dataset is mounted at / ("" where / is not ZFS).
	Root() (dataset string, err error)
	// Tree is the running system's own file tree.
	Tree() (*os.Root, error)
	// Privileged tells whether the caller may change things.
	Privileged() bool
	// Mounts lists where datasets are mounted for everybody.
	Mounts() ([]mount.Mounted, error)
	// View, Attach, Detach and Exec are those of package mount.
	View(t mount.Tree, readOnly bool, f func(*os.Root) error) error
	Attach(t mount.Tree, dir string) error
	Detach(dir string, force bool) error
	Exec(ctx context.Context, t mount.Tree, x mount.ExecSpec) (code int, err error)
	// ConfinementGaps is that of package mount.
	ConfinementGaps() []string
	// Units lists those of snapbe's systemd units that are not enabled;
	// EnableUnits enables them.
	Units(ctx context.Context) (missing []string, err error)
	EnableUnits(ctx context.Context, units []string) error
	// ConfigMissing tells whether there is no configuration file;
	// WriteConfig writes the commented default one.
	ConfigMissing() bool
	WriteConfig() error
	// HasGRUB tells whether GRUB's tools are installed.
	HasGRUB() bool
	// Reboot asks the service manager for a reboot and returns.
	Reboot(ctx context.Context) error
	// Quiesce ends all that is not needed for single-user work, and returns
	// when it has ended; Resume starts it again.
	Quiesce(ctx context.Context) error
	Resume(ctx context.Context) error
}

// BE is a boot environment as it stands on the pool.
type BE struct {
	Name    string `json:"name"`
	UUID    string `json:"uuid"`
	Dataset string `json:"dataset"`
	// BootDataset holds /boot where that is on a pool of its own.
	BootDataset string `json:"boot_dataset,omitempty"`
	// Running, Default and Previous: the BE that runs, the one that boots
	// next, and the one that failback goes to.
	Running  bool `json:"running"`
	Default  bool `json:"default"`
	Previous bool `json:"previous"`
	// Mountpoint is where it shows now; "" where it is not mounted.
	Mountpoint string `json:"mountpoint,omitempty"`
	// Space is what destroying the BE would free, in bytes; Referenced is
	// what it refers to (zfsprops(7) "referenced"), nested datasets not
	// counted.
	Space      uint64    `json:"space"`
	Referenced uint64    `json:"referenced"`
	Created    time.Time `json:"created"`
	// Booted is when it last came up healthy; zero where it never did.
	Booted time.Time `json:"booted,omitzero"`
	// Trial tells that it boots once, or has, and is to be confirmed; Failed that
	// its trial was no good.
	Trial  bool     `json:"trial,omitempty"`
	Failed *Failure `json:"failed,omitempty"`
	// Upgraded is when snapbe upgraded it; zero where it did not.
	Upgraded    time.Time `json:"upgraded,omitzero"`
	Policy      string    `json:"policy"`
	Description string    `json:"description,omitempty"`
	// Origin is the snapshot that the root dataset was cloned from.
	Origin string `json:"origin,omitempty"`
	// Unfinished is the operation that made it or is destroying it and has
	// not ended; such a BE cannot be used.
	Unfinished string `json:"unfinished,omitempty"`
	// Datasets and Snapshots are filled where asked for.
	Datasets  []Dataset  `json:"datasets,omitempty"`
	Snapshots []Snapshot `json:"snapshots,omitempty"`

	synced string
	had    facts
	partly []syncPoint
	// zones are its zone BEs, active or not, where they were read.
	zones []zones.BE
}

// Dataset is one of the datasets of a BE.
type Dataset struct {
	Name       string    `json:"name"`
	Mountpoint string    `json:"mountpoint,omitempty"`
	Space      uint64    `json:"space"`
	Referenced uint64    `json:"referenced"`
	Created    time.Time `json:"created"`
	Policy     string    `json:"policy"`
}

// Snapshot is a snapshot of one of a BE's datasets.
type Snapshot struct {
	Name string `json:"name"`
	// Own is true for one that snapbe made as an origin for a clone.
	Own     bool      `json:"own"`
	Space   uint64    `json:"space"`
	Created time.Time `json:"created"`
	Policy  string    `json:"policy"`
}

// Manager reads and changes the boot environments of one container.
type Manager struct {
	sys System
	// zonesUntil bounds what zones may take of one boot.
	zonesUntil time.Time
}

// New makes a Manager; it reads nothing yet.
func New(sys System) *Manager { return &Manager{sys: sys} }
