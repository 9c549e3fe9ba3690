package bootloader

// disks writes what is bound to one disk, whatever number the firmware gives
// it: an entry that opens the disk's own menu, for the day when the disk in
// front is stale and does not know the newer BEs, and all BEs from that disk.
func (w *script) disks(m Menu) {
	if len(m.Disks) == 0 {
		return
	}
	for _, d := range m.Disks {
		w.openMenu(m, d)
	}
	w.block("submenu 'Boot from one disk' --unrestricted --id snapbe-disks", func() {
		for _, d := range m.Disks {
			w.oneDisk(m, d)
		}
	})
}

// openMenu leaves prefix as it is: the modules must fit the GRUB that runs,
// which is the one of the disk in front. The menu finds its own files by
// config_directory.
func (w *script) openMenu(m Menu, d Disk) {
	w.block("menuentry "+quote("Open the menu on disk "+d.Name)+
		" --unrestricted --id "+quote("snapbe-open-"+d.Name), func() {
		w.findDisk(d, func() {
			w.line(`set root="$snapbe_disk"`)
			w.line("set snapbe_opened=yes")
			w.line("export snapbe_opened")
			w.line(`configfile "($snapbe_disk)"%s`, quote(m.GrubPath+"/grub.cfg"))
		})
	})
}

// oneDisk is a submenu, since that has variables of its own: the entries in
// it are those of the menu, with another snapbe_root.
func (w *script) oneDisk(m Menu, d Disk) {
	w.block("submenu "+quote("Disk "+d.Name)+
		" --unrestricted --id "+quote("snapbe-disk-"+d.Name), func() {
		w.findDisk(d, func() {
			w.line(`set snapbe_root="$snapbe_disk"`)
			w.line("export snapbe_root")
			for _, e := range m.Entries {
				w.entry(e, "Disk "+d.Name+": "+title(e), id(e.UUID)+"-"+d.Name)
			}
		})
	})
}

// findDisk writes a search for the disk's partition by its GPT id, and found
// for the case that it is there. The pattern yields only devices that exist,
// so that no absent disk is waited for or complained of.
func (w *script) findDisk(d Disk, found func()) {
	w.line("insmod part_gpt")
	w.line("insmod regexp")
	w.line("insmod probe")
	w.line("set snapbe_disk=")
	w.line("for snapbe_part in (*,gpt%d); do", d.Part)
	w.line("\tset snapbe_id=")
	w.line(`	probe --set=snapbe_id --part-uuid "$snapbe_part"`)
	w.line("\tif [ \"$snapbe_id\" = %s ]; then", quote(d.PartUUID))
	w.line(`		regexp --set=1:snapbe_disk '^\(([^)]*)\)' "$snapbe_part"`)
	w.line("\tfi")
	w.line("done")
	w.line(`if [ -n "$snapbe_disk" ]; then`)
	w.depth++
	found()
	w.depth--
	w.line("else")
	w.line("\techo %s", quote("Disk "+d.Name+" is not there, or its partition table is not what it was."))
	w.line("\techo 'Back to the menu in 5 seconds ...'")
	w.line("\tsleep --interruptible 5")
	w.line("fi")
}
