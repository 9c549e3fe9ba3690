// Demo shows the whole patch cycle on a machine of the lab, narrated: a plain
// Debian on a mirrored ZFS root is adopted, patched in a new boot environment,
// booted into it, and brought back. What it prints is what the machine said.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"snapbe/internal/lab"
)

const bootTime = 5 * time.Minute

func main() {
	n := &narrator{}
	code := n.run(func() { show(n) })
	n.cleanUp()
	os.Exit(code)
}

// show is the story.
func show(n *narrator) {
	n.say("A plain Debian 13 on a mirrored ZFS root, as the OpenZFS guide leaves it. (The first time, its image is built, which takes ten minutes or more; then it boots, a minute or two without KVM.)")
	m := lab.Start(n, lab.Config{Image: lab.Base(n, "trixie", "single"), CPUs: 2})
	m.WaitSSH(bootTime)
	n.shell(m, "zpool status rpool | grep -A8 NAME; zfs list -o name,mountpoint,origin")

	n.say("snapbe comes as a Debian package, and says before what adopting the host will change.")
	found, _ := filepath.Glob("dist/snapbe_*.deb")
	if len(found) != 1 {
		n.Fatalf("run it as make demo, which builds the package first")
	}
	m.Copy(found[0], "/root/snapbe.deb", 0o644)
	n.quiet(m, "apt-get install -y --no-install-recommends /root/snapbe.deb")
	n.shell(m, "snapbe init --dry-run")
	n.shell(m, "snapbe init -y")

	n.say("Mail, queues and logs are to outlive a change of boot environment: they get a share, which the next boot puts in place.")
	n.quiet(m, "useradd -m ann && echo ann:secret | chpasswd")
	n.shell(m, "snapbe share init -y")
	m.SkipConsole()
	n.reboot(m)
	n.shell(m, "ls -l /var | grep share; systemctl --failed --no-legend")

	n.say("A new boot environment, by snapshot and clone. The host goes on working.")
	n.shell(m, "snapbe create -d 'November patches' 2026-11")
	n.shell(m, "snapbe list")

	n.say("It is patched while the old one runs: here a new greeting stands for the packages of the month.")
	n.shell(m, "snapbe exec 2026-11 -- sh -c 'echo patched in November > /etc/motd'")
	n.shell(m, "grep -c patched /etc/motd || echo 'not in the one that runs'")

	n.say("The host has lived on meanwhile: somebody guesses at ann's password, and the account is locked. The clone does not know of that; what would be brought to it can be seen.")
	n.shell(m, "usermod -L ann; snapbe sync --dry-run 2026-11")

	n.say("It becomes the one that boots, and the machine reboots. GRUB shows both, with the way back at the top. (Another minute or two.)")
	m.SkipConsole()
	n.shell(m, "snapbe activate 2026-11")
	n.reboot(m)
	n.shell(m, "findmnt -no SOURCE /; cat /etc/motd; passwd -S ann; snapbe list; snapbe status; systemctl --failed --no-legend")

	n.say("Say it was no good: one command, one reboot, and the old one is back. The new one is kept.")
	n.shell(m, "snapbe failback")
	n.reboot(m)
	n.shell(m, "findmnt -no SOURCE /; passwd -S ann; snapbe list; snapbe share list")
	m.PowerOff()
	n.say("That was all. The machine and its disks are gone again.")
}

// reboot shows GRUB's menu as it appeared on the console.
func (n *narrator) reboot(m *lab.Machine) {
	began := time.Now()
	before := len(m.Console())
	m.Reboot()
	n.printf("\n  GRUB's menu, as the serial console had it:\n\n")
	seen := map[string]bool{}
	for line := range strings.Lines(m.Console()[before:]) {
		line = strings.TrimRight(line, " \r\n")
		entry := strings.HasPrefix(strings.TrimSpace(line), "*") || strings.Contains(line, "BE ") || strings.Contains(line, "Open the menu") || strings.Contains(line, "Boot from")
		name := strings.Trim(line, " *|")
		if strings.Contains(line, "Booting `") || strings.Contains(line, "Loading") || strings.Contains(line, "Linux version") {
			break
		}
		if entry && name != "" && !seen[name] {
			seen[name] = true
			n.printf("    %s\n", strings.TrimSpace(line))
		}
	}
	n.printf("\n  (from the reboot to an answer: %s)\n", time.Since(began).Round(time.Second))
}

// shell runs a command in the guest and shows both.
func (n *narrator) shell(m *lab.Machine, command string) {
	n.printf("\n  # %s\n", command)
	began := time.Now()
	for line := range strings.Lines(m.MustRun(command)) {
		n.printf("  %s", line)
	}
	n.printf("  (%.1f s)\n", time.Since(began).Seconds())
}

// quiet runs a command whose output is of no interest.
func (n *narrator) quiet(m *lab.Machine, command string) {
	n.printf("\n  # %s\n", command)
	m.MustRun(command)
}

func (n *narrator) say(text string) { n.printf("\n== %s\n", text) }

func (n *narrator) printf(format string, args ...any) { fmt.Printf(format, args...) }
