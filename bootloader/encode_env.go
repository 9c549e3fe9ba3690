package bootloader

// functions are what the prologue does with a disk's environment, in GRUB's
// language. Its functions share all variables; arguments are their own. A
// pattern that fits no device stands for itself, which probe would complain of.
const functions = `
insmod fat
insmod loadenv
insmod test
function snapbe_find {
	set snapbe_found=
	for snapbe_part in (*,gpt$1); do
		set snapbe_id=
		if [ "$snapbe_part" != "(*,gpt$1)" ]; then
			probe --set=snapbe_id --part-uuid "$snapbe_part"
		fi
		if [ "$snapbe_id" = "$2" ]; then
			set snapbe_found="$snapbe_part"
		fi
	done
}
function snapbe_load {
	set snapbe_env=
	set snapbe_trial=
	set snapbe_tried=
	set snapbe_generation=
	snapbe_find "$1" "$2"
	if [ -n "$snapbe_found" ]; then
		if [ -f "$snapbe_found/` + envDir + "/" + envName + `" ]; then
			set snapbe_env="$snapbe_found/` + envDir + "/" + envName + `"
			load_env -f "$snapbe_env" --skip-sig snapbe_trial snapbe_tried snapbe_generation
		fi
	fi
}
function snapbe_newer {
	snapbe_load "$1" "$2"
	if [ -n "$snapbe_generation" ]; then
		if [ "$snapbe_generation" -gt "$snapbe_newest" ]; then
			snapbe_find "$3" "$4"
			if [ -n "$snapbe_found" ]; then
				if [ "$snapbe_found" != "($snapbe_root)" ]; then
					set snapbe_newest="$snapbe_generation"
					set snapbe_open="$snapbe_found"
				fi
			fi
		fi
	fi
}
function snapbe_look {
	snapbe_load "$1" "$2"
	if [ "$snapbe_trial" = "$3" ]; then
		set snapbe_armed=yes
	fi
	if [ "$snapbe_tried" = "$3" ]; then
		set snapbe_over=yes
	fi
}
function snapbe_disarm {
	snapbe_load "$1" "$2"
	if [ -n "$snapbe_env" ]; then
		if [ -n "$snapbe_trial$snapbe_taken" ]; then
			set snapbe_trial=
			if [ -n "$snapbe_taken" ]; then
				set snapbe_tried="$snapbe_taken"
			fi
			save_env -f "$snapbe_env" snapbe_trial snapbe_tried
			snapbe_load "$1" "$2"
			if [ -n "$snapbe_trial" ]; then
				set snapbe_stuck=yes
			fi
		fi
	fi
}
`

// environment writes what GRUB does with the disks' environments before it
// shows the menu: a disk whose half of the mirror is newer has its menu opened,
// and a trial is taken, which clears it on every disk that is there. Disks that
// are not are passed over.
//
// A trial is taken once. It is not where it cannot be cleared, or else it would
// be for ever; and not where a disk says that it was, or else a disk that was
// away would have it tried again.
func (w *script) environment(m Menu) {
	// A menu without a generation is of a host that arms nothing yet.
	if !m.remembers() || m.Generation == 0 && m.Trial == "" {
		return
	}
	w.WriteString(functions[1:])
	w.line(`if [ -z "$snapbe_opened" ]; then`)
	w.depth++
	w.newestMenu(m)
	w.depth--
	w.line("fi")
	for _, name := range []string{"armed", "over", "taken", "stuck"} {
		w.line("set snapbe_%s=", name)
	}
	if e := m.trial(); e != nil {
		w.eachEnv(m, func(d Disk) { w.line("snapbe_look %d %s %s", d.EnvPart, quote(d.EnvUUID), quote(e.UUID)) })
		w.line(`if [ -n "$snapbe_armed" ]; then`)
		w.line(`	if [ -z "$snapbe_over" ]; then`)
		w.line("\t\tset snapbe_taken=%s", quote(e.UUID))
		w.line("\tfi")
		w.line("fi")
	}
	w.eachEnv(m, func(d Disk) { w.line("snapbe_disarm %d %s", d.EnvPart, quote(d.EnvUUID)) })
}

// newestMenu opens the menu of the newest half, once: who opens another by hand
// wants that one. Where it cannot be read, this menu goes on.
func (w *script) newestMenu(m Menu) {
	w.line("set snapbe_newest=%d", m.Generation)
	w.line("set snapbe_open=")
	w.eachEnv(m, func(d Disk) {
		w.line("snapbe_newer %d %s %d %s", d.EnvPart, quote(d.EnvUUID), d.Part, quote(d.PartUUID))
	})
	w.line(`if [ -n "$snapbe_open" ]; then`)
	w.line("\tset snapbe_opened=yes")
	w.line("\texport snapbe_opened")
	w.line("\techo 'Another disk has a newer menu. Opening it ...'")
	w.line("\tconfigfile \"$snapbe_open\"%s", quote(m.GrubPath+"/grub.cfg"))
	w.line("fi")
}

func (w *script) eachEnv(m Menu, f func(Disk)) {
	for _, d := range m.Disks {
		if d.EnvUUID != "" {
			f(d)
		}
	}
}
