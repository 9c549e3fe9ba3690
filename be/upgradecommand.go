package be

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"snapbe/bootloader"
)

// apt upgrades Debian and what is made of it. It first configures what an upgrade
// that was interrupted has left, and lets apt mend the rest. An index that cannot
// be had is an error: by old ones there would be nothing to upgrade. The last
// command takes the shell's place, so that it is told itself when it is to end.
var apt = strings.Join([]string{
	"export DEBIAN_FRONTEND=noninteractive",
	"set -e",
	"dpkg --force-confdef --force-confold --configure -a || true",
	"apt-get -o APT::Update::Error-Mode=any update",
	"exec apt-get -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold --fix-broken dist-upgrade",
}, "; ")

// builtin are the commands of the distributions that are known.
var builtin = map[string]string{"debian": apt, "ubuntu": apt}

// upgradeCommand is what upgrades a target: what the configuration says of the
// zone, or of its distribution or one that is like it, or what is built in.
func (m *Manager) upgradeCommand(t UpgradeTarget) (command string, err error) {
	var ids []string
	err = m.sys.Host.View(bootTree(t.tree), true, func(root *os.Root) error {
		ids = bootloader.Distributions(root)
		return refuseShifted(root)
	})
	if err != nil {
		return "", err
	}
	if own := m.sys.ZoneUpgrades[t.Zone]; t.Zone != "" && own != "" {
		return own, nil
	}
	for _, id := range ids {
		if command := cmp.Or(m.sys.Upgrades[id], builtin[id]); command != "" {
			return command, nil
		}
	}
	if len(ids) == 0 {
		return "", errors.New("no command: its os-release names no distribution")
	}
	return "", fmt.Errorf("no command for %s: snapbe.toml names it in [upgrade.commands]", ids[0])
}
