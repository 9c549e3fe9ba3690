package bootloader

import "fmt"

const (
	// trialID is the id of the trial's entry, trialIndex its place.
	trialID    = "snapbe-trial"
	trialIndex = 1

	// envDir and envName are where each disk's Env is on its FAT partition.
	envDir  = "snapbe"
	envName = "grubenv"
)

// trial is the entry to boot once, if there is one.
func (m Menu) trial() *Entry {
	for i := range m.Entries {
		if m.Trial != "" && m.Entries[i].UUID == m.Trial && m.Trial != m.Default {
			return &m.Entries[i]
		}
	}
	return nil
}

// trialEntry boots e so that nothing it does wrong stops the machine: a kernel
// that panics starts it anew, and the initramfs looks after the rest (see
// initramfs). That archive stands before the BE's initrd, not after: a kernel
// takes what follows an initrd compressed by lz4 for more of it.
func (w *script) trialEntry(m Menu, e Entry) {
	more := append([]string{"snapbe.trial=" + e.UUID, "panic=10"}, m.TrialCmdline...)
	w.start(e, "Trial: "+beTitle(e), trialID, []string{m.GrubPath + "/" + trialInitrdName}, more)
}

// choose sets the entry that GRUB takes by itself, and those after it by
// number, since GRUB does not find a fallback by its id.
func (w *script) choose(m Menu) {
	if len(m.Entries) == 0 || m.Entries[0].UUID != m.Default {
		return
	}
	back := ""
	if m.failback() != nil {
		back = "1"
	}
	if m.trial() != nil && back != "" {
		back = fmt.Sprint(trialIndex + 1)
	}
	w.line("set default=%s", quote(id(m.Default)))
	if back != "" {
		w.line("set fallback=%s", back)
	}
	e := m.trial()
	if e == nil || !m.remembers() {
		return
	}
	w.line(`if [ -n "$snapbe_taken" ]; then`)
	w.line(`	if [ -z "$snapbe_stuck" ]; then`)
	w.line("\t\tset default=%s", trialID)
	if back == "" {
		w.line("\t\tset fallback=0")
	} else {
		w.line("\t\tset fallback='0 %s'", back)
	}
	w.line("\telse")
	w.line("\t\techo %s", quote("BE "+e.Name+" is not tried: what asks for it cannot be cleared on every disk."))
	w.line("\t\tsleep --interruptible 5")
	w.line("\tfi")
	w.line("fi")
}

// remembers tells whether any disk has a place for an Env.
func (m Menu) remembers() bool {
	for _, d := range m.Disks {
		if d.EnvUUID != "" {
			return true
		}
	}
	return false
}
