package bootloader

import (
	"os"
	"strings"
)

// titleLimit bounds the system's name in the menu, in runes.
const titleLimit = 60

// osTitle is the system's name by os-release(5), "" where it tells none. The
// name is for show, so that a file that cannot be read is no error.
func osTitle(root *os.Root) string {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		if text, err := readText(root, name); err == nil {
			return prettyName(text)
		}
	}
	return ""
}

// prettyName is PRETTY_NAME, or else NAME and VERSION, of os-release's text.
func prettyName(text string) string {
	values := map[string]string{}
	// os-release has the shell's syntax for plain assignments alone.
	a := newAssignments()
	a.read("os-release", text)
	for _, name := range []string{"PRETTY_NAME", "NAME", "VERSION"} {
		if v, err := a.value(name); err == nil {
			values[name] = strings.TrimSpace(clean(v))
		}
	}
	title := values["PRETTY_NAME"]
	if title == "" {
		title = strings.TrimSpace(values["NAME"] + " " + values["VERSION"])
	}
	return shorten(title, titleLimit)
}
