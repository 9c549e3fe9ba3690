package bootloader

// Menu is everything that the boot menu's text is made from. The same Menu
// gives the same text, byte for byte.
type Menu struct {
	// PoolGUID identifies the pool that holds the boot files and GRUB's
	// directory (zpoolprops(7) "guid").
	PoolGUID uint64
	// GrubPath is GRUB's directory as GRUB names it, such as "/GRUB@".
	GrubPath string
	// Default and Previous are UUIDs of entries; Previous may be "".
	Default  string
	Previous string
	// Trial is the UUID of the entry that GRUB boots once where a disk's Env
	// asks for it; "" where no BE is on trial. It is not the default.
	Trial string
	// TrialCmdline holds the kernel parameters that the trial's entry has beside
	// those of its BE and of every trial.
	TrialCmdline []string
	// Generation rises with each menu that differs from the one before; 0 is
	// that of a menu which no other gives way to. Env's is compared with it.
	Generation uint64
	// Entries are the boot environments; Encode sorts them.
	Entries []Entry
	// Disks are the boot disks, in the order of the mirror's leaves.
	Disks []Disk
}

// Entry is one boot environment of the menu.
type Entry struct {
	UUID        string
	Name        string
	Description string
	// Dataset is the root dataset, such as rpool/ROOT/debian.
	Dataset string
	// Path is the directory of the kernels as GRUB names it, such as
	// "/ROOT/debian@/boot" or, with a boot pool, "/BOOT/debian@".
	Path string
	Boot
}

// Boot is what a boot environment says of how it wants to be booted.
type Boot struct {
	// Title is the system's name, by os-release(5) PRETTY_NAME.
	Title string
	// Kernel and Initrd are file names in the directory of the kernels.
	Kernel string
	Initrd string
	// Cmdline holds the kernel parameters beside root=.
	Cmdline []string
}

// Disk is a boot disk, told apart without the firmware's numbering.
type Disk struct {
	// Name is shown, such as "vda".
	Name string
	// PartUUID is the GPT unique id of the partition with the pool's leaf,
	// lower case, and Part its number.
	PartUUID string
	Part     int
	// ESP is the volume id of the disk's FAT partition as GRUB's search
	// knows it, such as "1A2B-3C4D"; "" where there is none.
	ESP string
	// EnvUUID is the GPT unique id of that partition, lower case, and EnvPart
	// its number; "" and 0 where the disk has none for its Env.
	EnvUUID string `json:",omitempty"`
	EnvPart int    `json:",omitempty"`
}
