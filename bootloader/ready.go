package bootloader

// Installable tells why GRUB cannot be put on the disk, or nil.
func (g *GRUB) Installable(d Device) error { return g.installable(d) }

// Hooked tells whether grub.cfg shows the fragment, and goes on doing so after
// the next grub-mkconfig.
func (g *GRUB) Hooked() bool {
	sourced, err := g.sourced()
	return err == nil && sourced && len(g.checkHook()) == 0
}
