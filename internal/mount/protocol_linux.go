package mount

// spec is what the parent tells the child to do.
type spec struct {
	Tree       Tree
	Argv, Env  []string
	Dir        string
	Hostname   string
	ResolvConf []byte
	Resolver   bool
	Confined   bool
	Terminal   terminalMode
}

// order is what the parent tells the child afterwards: to pass on a signal,
// or to go on after a stop, in the terminal's foreground or not.
type order struct {
	Signal int
	// Group is whether the signal is for all of the command's group.
	Group      bool
	Continue   bool
	Foreground bool
}

// report is what the child tells the parent: that it cannot run the command,
// that the command was stopped, or that it ended.
type report struct {
	Error   string
	Stopped bool
	Ended   bool
	Code    int
	// Foreground is whether the terminal is the command's.
	Foreground bool
}

// files are descriptors 3 and up of the child. The last two need not be open: the
// terminal that the command is to have, and of a confined command a mount of
// terminals of its own.
const (
	fdOrders = 3 + iota
	fdReports
	fdTerminal
	fdTerminals
)

// childEnv is the environment of PID 1. Without the first, Go's runtime keeps
// a file of the host's cgroup open. The second says "container" to
// systemd-detect-virt, as the pid namespace does to systemd 257 and later: so
// the maintainer scripts of kernels and of GRUB leave the host's boot sectors
// and the menu alone, which all boot environments share.
var childEnv = []string{"GODEBUG=containermaxprocs=0", ContainerEnv}

// childName is argv[0] of the process that sets up the namespaces.
const childName = "snapbe: init of a boot environment"
