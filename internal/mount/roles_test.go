//go:build linux

package mount

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec" //nolint:depguard // the tests are their own programs
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// roles are what the test program does instead of testing, when a test starts
// it as a process of its own; the roles' arguments are in the environment.
var roles = map[string]func() int{
	"hostile": hostile,
	"chroot":  inmate(leaveChroot, ""),
	"work":    inmate(work, "worked"),
	"dial":    inmate(dial, ""),
	"program": inmate(changeProgram, ""),
	"send":    inmate(sendFiles, ""),
	// view shows the tree until it is killed.
	"view": func() int {
		err := View(roleTree(), false, func(root *os.Root) error {
			fmt.Println("ready")
			forever()
			return nil
		})
		fmt.Println(err)
		return 1
	},
	// attach attaches the tree and ends.
	"attach": func() int {
		fmt.Println("ready")
		if err := Attach(roleTree(), os.Getenv("DIR")); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	},
	"exec":    execRole,
	"lacking": lacking,
	// other is a process in a mount namespace of its own, as services and
	// containers are.
	"other": func() int {
		err := ownThread(func() error {
			if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
				return err
			}
			fmt.Println("ready", unix.Gettid())
			forever()
			return nil
		})
		fmt.Println(err)
		return 1
	},
	// hold has DIR as its current directory.
	"hold": func() int {
		if err := os.Chdir(os.Getenv("DIR")); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("ready")
		forever()
		return 0
	},
}

// execRole runs the shell command CMD in the tree, confined where CONFINED says so,
// and with GRACE.
func execRole() int {
	grace, _ := time.ParseDuration(os.Getenv("GRACE"))
	code, err := Exec(context.Background(), roleTree(), ExecSpec{
		Argv: []string{"/bin/sh", "-c", os.Getenv("CMD")}, Confined: os.Getenv("CONFINED") == "true", Grace: grace})
	if err != nil {
		fmt.Println(err)
		return 99
	}
	return code
}

// forever waits; an empty select would be a deadlock to the runtime.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}

func roleTree() Tree {
	var t Tree
	for _, e := range strings.Split(os.Getenv("TREE"), "\n") {
		dir, ds, _ := strings.Cut(e, "=")
		t = append(t, Entry{Dataset: ds, Dir: dir})
	}
	return t
}

// role is a process that plays one of the roles.
func role(t *testing.T, name string, tree Tree, env ...string) *exec.Cmd {
	t.Helper()
	var entries []string
	for _, e := range tree {
		entries = append(entries, e.Dir+"="+e.Dataset)
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "MOUNT_TEST_ROLE="+name, "TREE="+strings.Join(entries, "\n"))
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// ready starts the process, and returns what follows once it said "ready".
func ready(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, line)
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), "ready")
	require.True(t, ok, line)
	return strings.TrimSpace(rest)
}

// gone waits until no process has a mount of the tree in its namespace.
func gone(t *testing.T, tree Tree) {
	t.Helper()
	var found []string
	for range 500 {
		found = nil
		tables, err := filepath.Glob("/proc/[0-9]*/mountinfo")
		require.NoError(t, err)
		for _, name := range tables {
			text, _ := os.ReadFile(name) // it may have ended
			for _, e := range tree {
				if strings.Contains(string(text), path(e.Dataset)+" ") {
					found = append(found, name+": "+e.Dataset)
				}
			}
		}
		if len(found) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	require.Empty(t, found)
}

// newSession starts a process without a controlling terminal.
var newSession = &syscall.SysProcAttr{Setsid: true}
