package main

import (
	"cmp"
	"strings"

	"snapbe/be"
)

type statusCmd struct{ asJSON }

// Run shows the state of the host.
func (c *statusCmd) Run(a *app) error {
	m, err := a.life()
	if err != nil {
		return err
	}
	st, err := m.Status(a.ctx)
	if err != nil {
		return reading("read the status", err)
	}
	if c.JSON {
		st.Disks = orEmpty(st.Disks)
		return a.tui.json(statusJSON{Schema: schema, Status: st})
	}
	c.show(a.tui, st)
	return nil
}

type statusJSON struct {
	Schema int `json:"schema"`
	be.Status
}

// show puts first what is asked most, and last what needs somebody.
func (c *statusCmd) show(t *terminal, st be.Status) {
	lines := [][]string{
		{"Running:", name(st.Running)},
		{"Boots next:", name(st.Default)},
		{"Failback to:", name(st.Previous)},
		{"BEs in:", printable(st.Root)},
	}
	if st.BootRoot != "" {
		lines = append(lines, []string{"/boot in:", printable(st.BootRoot)})
	}
	if st.Grub != "" {
		lines = append(lines, []string{"GRUB in:", printable(st.Grub)})
	}
	if st.Share != "" {
		lines = append(lines, []string{"Share:", printable(st.Share + " (" + strings.Join(st.ShareDirs, ", ") + ")")})
	}
	if len(st.ZonesIn) > 0 {
		lines = append(lines, []string{"Zones:", printable(dash(strings.Join(st.Zones, ", ")) + " in " + strings.Join(st.ZonesIn, ", "))})
	}
	for i, w := range st.Waits {
		lines = append(lines, []string{map[bool]string{true: "Waits:"}[i == 0], printable(w)})
	}
	if st.Busy != "" {
		lines = append(lines, []string{"Busy:", printable(st.Busy)})
	}
	if st.Pending != "" {
		lines = append(lines, []string{"Interrupted:", printable(st.Pending)})
	}
	t.table(lines)
	if len(st.Disks) > 0 {
		t.print("")
		t.table(disks(st.Disks))
	}
	t.print("")
	verdict(t, st)
}

func disks(list []be.DiskStatus) [][]string {
	lines := [][]string{{"Disk", "Partition", "State", "Boots"}}
	for _, d := range list {
		state := d.State
		if d.Resilvering {
			state += ", resilvering"
		}
		lines = append(lines, []string{printable(dash(d.Disk)), printable(d.Leaf), printable(state), dash(d.Boots)})
	}
	return lines
}

// verdict says in a line whether there is something to do, and what.
func verdict(t *terminal, st be.Status) {
	if st.Pending != "" {
		t.print("! an operation was interrupted: snapbe recover")
	}
	for _, p := range st.Problems {
		t.print("! " + printable(p))
	}
	if st.Pending == "" && len(st.Problems) == 0 {
		t.print("All is well.")
	}
}

func name(s string) string { return printable(cmp.Or(s, "-")) }
