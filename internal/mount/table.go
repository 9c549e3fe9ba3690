package mount

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Mounted is one line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type Mounted struct {
	// ID is the mount's own number, Parent that of the one it sits on.
	ID, Parent int
	// Dataset is what is mounted: the dataset, where FSType is "zfs", a
	// device or any word otherwise.
	Dataset string
	// Root is the directory of the dataset that shows at Dir; "/" but for
	// bind mounts.
	Root string
	// Dir is the mount point, as the reading process sees it.
	Dir    string
	FSType string
	// Options is the mount's own options followed by the file system's.
	Options []string
}

// Table lists what is mounted in the caller's mount namespace, in the order
// of mounting as far as the kernel keeps it.
func Table() ([]Mounted, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	table, err := parseTable(string(text))
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return table, nil
}

// At lists the mount points where a dataset shows whole.
func At(dataset string) ([]string, error) {
	table, err := Table()
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, m := range table {
		if m.FSType == "zfs" && m.Dataset == dataset && m.Root == "/" {
			dirs = append(dirs, m.Dir)
		}
	}
	return dirs, nil
}

func parseTable(text string) ([]Mounted, error) {
	var table []Mounted
	for line := range strings.Lines(text) {
		m, err := parseMount(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		table = append(table, m)
	}
	return table, nil
}

// parseMount reads a line such as
//
//	36 35 0:98 /root /mnt/a\040b rw,noatime shared:1 - zfs rpool/a rw,xattr
//
// where any number of fields such as shared:1 may stand before the dash. An
// empty source is written as nothing at all, so fields end at single spaces.
func parseMount(line string) (Mounted, error) {
	var m Mounted
	fields := strings.Split(line, " ")
	var rest []string
	if len(fields) > 6 {
		if dash := slices.Index(fields[6:], "-"); dash >= 0 {
			rest = fields[6+dash+1:]
		}
	}
	if len(rest) != 3 {
		return m, fmt.Errorf("cannot read mountinfo line %q", line)
	}
	var err error
	if m.ID, err = strconv.Atoi(fields[0]); err != nil {
		return m, fmt.Errorf("cannot read mountinfo line %q: %w", line, err)
	}
	if m.Parent, err = strconv.Atoi(fields[1]); err != nil {
		return m, fmt.Errorf("cannot read mountinfo line %q: %w", line, err)
	}
	m.Root, m.Dir = Unescape(fields[3]), Unescape(fields[4])
	m.FSType, m.Dataset = Unescape(rest[0]), Unescape(rest[1])
	m.Options = append(strings.Split(fields[5], ","), strings.Split(rest[2], ",")...)
	return m, nil
}

// Unescape undoes the \ooo for space, tab, newline, backslash and # that the
// kernel writes into mountinfo, and people into fstab(5).
func Unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
