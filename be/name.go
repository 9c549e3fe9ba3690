package be

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// maxName is libbe's limit of a BE's name; maxDataset is ZFS's of a dataset
// with its snapshot (ZFS_MAX_DATASET_NAME_LEN less the closing NUL).
const (
	maxName    = 64
	maxDataset = 255
)

// nameRule is what ZFS, libbe, GRUB's paths and the initramfs' root= all bear:
// GRUB ends a dataset's path at "@", the initramfs takes "+" for a space, and
// a leading dash is taken for an option.
var nameRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]*$`)

// checkName tells why a name cannot be a BE's.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the name is empty")
	case len(name) > maxName:
		return fmt.Errorf("the name has %d characters, %d are allowed", len(name), maxName)
	case !nameRule.MatchString(name):
		return fmt.Errorf("a name begins with a letter or digit and has only letters, digits, and _ . : -")
	}
	return nil
}

// checkSnapName tells why a name cannot be a snapshot's.
func checkSnapName(name string) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("snapshot %q: %w", name, err)
	}
	return nil
}

// checkNew tells why a name cannot be that of a new BE, or as BE@SNAP that of a
// new snapshot. It needs no pool.
func checkNew(name string) error {
	if _, snap, isSnap := splitName(name); isSnap {
		return checkSnapName(snap)
	}
	return checkName(name)
}

var numbered = regexp.MustCompile(`^(.*)-([0-9]{1,9})$`)

// nextName is the next free name after a BE's: the name without a trailing
// -N, and the highest N in use plus one (libbe's rule), with zeros in front
// where the others have them.
func nextName(from string, used []string) string {
	base := from
	if m := numbered.FindStringSubmatch(from); m != nil {
		base = m[1]
	}
	high, width := 0, 1
	for _, u := range used {
		if m := numbered.FindStringSubmatch(u); m != nil && m[1] == base {
			n, _ := strconv.Atoi(m[2])
			high = max(high, n)
			if m[2][0] == '0' {
				width = max(width, len(m[2]))
			}
		}
	}
	return fmt.Sprintf("%s-%0*d", base, width, high+1)
}

// splitName splits BE@SNAP; snap is "" where there is no @.
func splitName(name string) (be, snap string, isSnap bool) {
	return strings.Cut(name, "@")
}
