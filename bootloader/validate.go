package bootloader

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var (
	uuidForm = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)
	partForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	espForm  = regexp.MustCompile(`^[0-9A-F]{4}-[0-9A-F]{4}$`)
	diskForm = regexp.MustCompile(`^[0-9A-Za-z._:+-]{1,128}$`)
)

// Validate names what keeps m from being a menu that boots: an id that is
// missing, doubled or malformed, a path that GRUB could not follow.
func (m Menu) Validate() error {
	if m.PoolGUID == 0 {
		return errors.New("the menu has no pool")
	}
	if err := checkPath("GRUB's directory", m.GrubPath); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, e := range m.Entries {
		if err := e.validate(); err != nil {
			return fmt.Errorf("BE %q: %w", e.Name, err)
		}
		if seen[e.UUID] {
			return fmt.Errorf("BE %q: uuid %s is in the menu twice", e.Name, e.UUID)
		}
		seen[e.UUID] = true
	}
	switch {
	case !seen[m.Default]:
		return fmt.Errorf("the default %q is no BE of the menu", m.Default)
	case m.Previous != "" && !seen[m.Previous]:
		return fmt.Errorf("the previous BE %q is not in the menu", m.Previous)
	case m.Previous == m.Default:
		return fmt.Errorf("the default %q is the previous BE too", m.Default)
	}
	if err := m.validateTrial(seen); err != nil {
		return err
	}
	return validateDisks(m.Disks)
}

func (m Menu) validateTrial(entries map[string]bool) error {
	switch {
	case m.Generation > MaxGeneration:
		return fmt.Errorf("the menu's generation %d is more than %d", m.Generation, MaxGeneration)
	case m.Trial != "" && !entries[m.Trial]:
		return fmt.Errorf("the BE on trial %q is not in the menu", m.Trial)
	case m.Trial == m.Default:
		return fmt.Errorf("the BE on trial %q is the default too", m.Trial)
	case m.Trial == "" && len(m.TrialCmdline) > 0:
		return errors.New("the menu has kernel parameters for a trial, and no trial")
	}
	return validateWords(m.TrialCmdline)
}

func (e Entry) validate() error {
	if !uuidForm.MatchString(e.UUID) {
		return fmt.Errorf("malformed uuid %q", e.UUID)
	}
	for _, s := range []struct{ what, text string }{
		{"name", e.Name}, {"dataset", e.Dataset}, {"kernel", e.Kernel}, {"initrd", e.Initrd},
	} {
		if s.text == "" || !isClean(s.text) {
			return fmt.Errorf("malformed %s %q", s.what, s.text)
		}
	}
	if strings.Contains(e.Kernel+e.Initrd, "/") {
		return fmt.Errorf("kernel %q and initrd %q must be file names", e.Kernel, e.Initrd)
	}
	if err := validateWords(e.Cmdline); err != nil {
		return err
	}
	return checkPath("the directory of the kernels", e.Path)
}

func validateWords(cmdline []string) error {
	for _, word := range cmdline {
		if word == "" || !isClean(word) {
			return fmt.Errorf("malformed kernel parameter %q", word)
		}
	}
	return nil
}

func validateDisks(disks []Disk) error {
	names, parts := map[string]bool{}, map[string]bool{}
	for _, d := range disks {
		switch {
		case !diskForm.MatchString(d.Name):
			return fmt.Errorf("malformed disk name %q", d.Name)
		case !partForm.MatchString(d.PartUUID):
			return fmt.Errorf("disk %s: malformed partition id %q", d.Name, d.PartUUID)
		case d.Part < 1:
			return fmt.Errorf("disk %s: malformed partition number %d", d.Name, d.Part)
		case d.ESP != "" && !espForm.MatchString(d.ESP):
			return fmt.Errorf("disk %s: malformed volume id %q", d.Name, d.ESP)
		case d.EnvUUID != "" && !partForm.MatchString(d.EnvUUID):
			return fmt.Errorf("disk %s: malformed id %q of the FAT partition", d.Name, d.EnvUUID)
		case (d.EnvUUID != "") != (d.EnvPart > 0):
			return fmt.Errorf("disk %s: malformed number %d of the FAT partition", d.Name, d.EnvPart)
		case names[d.Name] || parts[d.PartUUID]:
			return fmt.Errorf("disk %s is in the menu twice", d.Name)
		}
		names[d.Name], parts[d.PartUUID] = true, true
	}
	return nil
}

func checkPath(what, path string) error {
	if !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || !isClean(path) {
		return fmt.Errorf("malformed path %q of %s", path, what)
	}
	return nil
}
