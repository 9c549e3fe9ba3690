package zones

import (
	"path"
	"strings"
)

// Index is /etc/zones/index, the list of zones that zonecfg(8) and zoneadm(8)
// keep, line by line. Comments, and lines that these would pass over, are kept
// as they are. Only those programs may write it.
type Index []IndexLine

// IndexLine is a line with its end, and the zone that it tells of; nil where
// it tells of none.
type IndexLine struct {
	Text string
	Zone *IndexZone
}

// IndexZone is a zone of the index. The file has no more states than
// Configured, Incomplete and Installed.
type IndexZone struct {
	Name  string
	State State
	// Path is the zonepath: the directory whose root is the zone's /.
	Path string
	// UUID is "" before an installation.
	UUID string
}

// ParseIndex reads an index: name:state:path:uuid, where a field with a colon
// is between quotes. Like libzonecfg it has no errors: what is no zone is
// passed over.
func ParseIndex(text string) Index {
	var x Index
	for line := range strings.Lines(text) {
		x = append(x, IndexLine{Text: line, Zone: parseIndexZone(line)})
	}
	return x
}

func parseIndexZone(line string) *IndexZone {
	// A line without an end is one that was cut, to libzonecfg.
	end := strings.IndexAny(line, "\r\n")
	if end < 0 || line[0] == '#' {
		return nil
	}
	rest := line[:end]
	var z IndexZone
	z.Name, rest = cutField(rest)
	state, rest := cutField(rest)
	z.State = State(state)
	z.Path, rest = cutField(rest)
	z.UUID, _ = cutField(rest)
	if checkZonename(z.Name) != nil && z.Name != globalZone || z.State.Up() {
		return nil
	}
	return &z
}

// cutField takes the first field off a line. What stands between the quote
// that ends a field and the next colon is lost, as in libzonecfg.
func cutField(line string) (field, rest string) {
	if inner, ok := strings.CutPrefix(line, `"`); ok {
		field, rest, _ = strings.Cut(inner, `"`)
		_, rest, _ = strings.Cut(rest, ":")
		return field, rest
	}
	field, rest, _ = strings.Cut(line, ":")
	return field, rest
}

// Find is the zone with that name; nil where there is none.
func (x Index) Find(name string) *IndexZone {
	for _, l := range x {
		if l.Zone != nil && l.Zone.Name == name {
			return l.Zone
		}
	}
	return nil
}

// Encode is the file's text, byte for byte as it was read.
func (x Index) Encode() string {
	var b strings.Builder
	for _, l := range x {
		b.WriteString(l.Text)
	}
	return b.String()
}

// Encode is the zone's line, with its end, as zonecfg(8) writes it.
func (z IndexZone) Encode() string {
	return z.Name + ":" + string(z.State) + ":" + quoteField(z.Path) + ":" + quoteField(z.UUID) + "\n"
}

// quoteField puts quotes around a field that has a colon. There is no way to
// write one that has a quote too.
func quoteField(s string) string {
	if strings.Contains(s, ":") {
		return `"` + s + `"`
	}
	return s
}

// Root is the zone's root directory.
func (z IndexZone) Root() string { return path.Join(z.Path, "root") }
