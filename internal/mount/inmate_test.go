//go:build linux

package mount

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec" //nolint:depguard // the tests are their own programs
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// These are what the test program does inside a tree, beside hostile.

// leaveChroot tries to leave the root directory, and tells where it is then.
func leaveChroot() error {
	up, err := os.Open("/")
	if err == nil {
		err = errors.Join(unix.Chroot("/jail"), up.Chdir())
	}
	for range 64 {
		err = errors.Join(err, os.Chdir(".."))
	}
	var root unix.Stat_t
	err = errors.Join(err, unix.Chroot("."), unix.Stat("/", &root))
	marker, _ := os.ReadFile("/marker")
	fmt.Println(root.Ino, string(marker))
	return err
}

// capable is the capability to open raw sockets, of a file (capabilities(7)).
var capable = []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")

// work is what packages do.
func work() error {
	const file = "/owned"
	err := errors.Join(os.WriteFile(file, nil, 0o600), os.Chown(file, 1234, 4321), os.Chmod(file, os.ModeSetuid|0o750),
		unix.Setxattr(file, "security.capability", capable, 0), unix.Mkfifo("/fifo", 0o600),
		os.WriteFile("/dev/null", []byte("x"), 0), os.WriteFile("/dev/shm/x", nil, 0), os.Mkdir("/root/new", 0o700))
	if err != nil {
		return err
	}
	for _, line := range []string{
		"chroot / true",
		`setpriv --reuid 42 --regid 43 --groups 44,45 sh -c '[ "$(id -u):$(id -G)" = "42:43 44 45" ] && ! ls /root/new 2>/dev/null'`,
		"setpriv --reuid 42 --regid 43 --clear-groups sh -c 'echo x >/dev/stderr 2>/dev/null; cat /dev/stdin </dev/null'",
		"[ $(head -c 7 /dev/urandom | wc -c)$(head -c 3 /dev/zero | wc -c) = 73 ]",
		"! echo x 2>/dev/null >/dev/full",
		"[ $(script -qec tty /dev/null | tr -d '\\r') = /dev/pts/0 ]",
		"setpriv --reuid 42 --regid 43 --clear-groups script -qec true /dev/null",
		"mkdir /a && mv /a /b && ln /fifo /b/hard && rm -r /b",
		"cp /usr/bin/id /suid && chmod 4755 /suid && [ $(setpriv --reuid 42 --clear-groups /suid -u) = 0 ]",
		"sleep 1000 & kill $! && ! wait $!",
		"[ $(systemd-detect-virt --container) = container-other ]",
		"systemctl restart ssh 2>&1 | grep -q 'Running in chroot'",
	} {
		if out, e := exec.Command("bash", "-c", line).CombinedOutput(); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w: %s", line, e, out))
		}
	}
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65533, Gid: 65533}, Chroot: "/"}
	return errors.Join(err, cmd.Run())
}

// inmate is the role of a function.
func inmate(f func() error, well string) func() int {
	return func() int {
		err := f()
		if err == nil && well != "" {
			fmt.Println(well)
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	}
}

func dial() error {
	c, err := net.Dial("unix", os.Getenv("SOCKET"))
	if err == nil {
		c.Close()
	}
	fmt.Println(strings.TrimSpace(fmt.Sprint(err)))
	return nil
}

func changeProgram() error {
	fmt.Println(os.Chmod("/proc/self/exe", 0o777))
	return nil
}
