// Package bootloader makes GRUB show and boot the boot environments: the menu
// fragment and its text form, what is read from a boot environment to boot
// it, GRUB's installation on every disk of the mirror, and the check that
// what the menu names is there. It knows nothing of ZFS's verbs: it is told
// the state and writes what follows from it.
package bootloader
