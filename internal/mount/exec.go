package mount

import (
	"os"
	"time"
)

// ContainerEnv is in the environment of the process with number 1 that a command
// of Exec sees, whatever the command's own environment is.
const ContainerEnv = "container=" + container

const container = "snapbe"

// ExecSpec is a command that runs inside a tree.
type ExecSpec struct {
	// Argv is the command and its arguments. A command without a slash is
	// looked for in the tree, along PATH of Env.
	Argv []string
	// Env is the whole environment, as NAME=value pairs; nil is the
	// caller's own, and of a confined command none. SYSTEMD_OFFLINE=1 is
	// added, and PATH where it is missing.
	Env []string
	// Dir is the directory to start in, as seen inside; "" is "/".
	Dir string
	// Extra is datasets shown in the tree beside its own, after them.
	Extra []Entry
	// Hostname is the host name that the command sees; "" keeps the host's.
	Hostname string
	// Resolver shows the host's /etc/resolv.conf in place of the tree's own
	// where that is a file: a tree that runs with a network of its own names
	// servers which are not reached from the host's. A tree that has none gets
	// none.
	Resolver bool
	// Confined is for a tree whose programs are not trusted, whoever wrote them.
	// The command is root in the tree, and can give files away and become
	// another user, but nothing outside is within its reach: it has a user
	// namespace of its own and in that no capability to mount, to trace, to
	// load modules or to make devices; of devices it sees null, zero, full,
	// random, urandom and terminals of its own, and it cannot write to /proc
	// and /sys. Its standard files are pipes and terminals of its own, which are
	// copied, so that none of the host is open in it; of what is to be read, more may
	// be taken than the command reads. That what it said could not be written is
	// an error where it ended with 0. The network is the host's.
	Confined bool
	// Stdin, Stdout and Stderr are handed to the command; nil is the
	// caller's own.
	Stdin, Stdout, Stderr *os.File
	// Grace is how long the command has to end after its context ended and
	// it was sent SIGTERM, before it is killed, and a confined one also after the
	// caller got SIGTERM or SIGHUP; 0 is 10 seconds.
	Grace time.Duration
}

// Exit codes of Exec for a command that did not run, as shells have them.
const (
	ExitNotExecutable = 126
	ExitNotFound      = 127
	// exitSignal is added to the number of the signal that ended a command.
	exitSignal = 128
)

const (
	defaultPath  = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	defaultGrace = 10 * time.Second
)
