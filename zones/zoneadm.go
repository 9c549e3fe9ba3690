package zones

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// globalZone is the host itself in what illumos lists.
const globalZone = "global"

// zonenameForm is the form that zonecfg(8) asks of a zone's name.
var zonenameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// checkZonename refuses what zonecfg(8) would: "zonename".
func checkZonename(name string) error {
	if !zonenameForm.MatchString(name) || name == globalZone {
		return fmt.Errorf("%q is not a zone's name: at most 63 letters, digits and _ - ., the first one a letter or a digit", name)
	}
	return nil
}

// parseZoneadm reads what zoneadm list -pc prints (zoneadm(8)), one zone a
// line, in its order:
//
//	zoneid:zonename:state:zonepath:uuid:brand:ip-type
//
// The global zone is left out, and so are fields after these. A line that has
// less is an error. The zoneid tells nothing: illumos has "-" for zones that do
// not run, SmartOS a number.
func parseZoneadm(out string) ([]Machine, error) {
	var machines []Machine
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		f := splitEscaped(line)
		if len(f) < 7 {
			return nil, fmt.Errorf("parse zoneadm's list: %q is not a zone", line)
		}
		m := Machine{Name: f[1], State: State(f[2]), UUID: f[4], Brand: f[5]}
		if m.Name == globalZone {
			continue
		}
		if err := checkZonename(m.Name); err != nil {
			return nil, fmt.Errorf("parse zoneadm's list: %w", err)
		}
		if !path.IsAbs(f[3]) || m.State == "" {
			return nil, fmt.Errorf("parse zoneadm's list: zone %q has state %q and zonepath %q", m.Name, f[2], f[3])
		}
		m.Root = path.Join(f[3], "root")
		machines = append(machines, m)
	}
	return machines, nil
}

// splitEscaped splits at colons, but for those with a backslash before them,
// which it takes away. A backslash itself is not escaped, so a zonepath cannot
// be told that ends with one.
func splitEscaped(line string) []string {
	var fields []string
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		switch {
		case strings.HasPrefix(line[i:], `\:`):
			b.WriteByte(':')
			i++
		case line[i] == ':':
			fields = append(fields, b.String())
			b.Reset()
		default:
			b.WriteByte(line[i])
		}
	}
	return append(fields, b.String())
}
