package bootloader

import (
	"os"
	"regexp"
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

// distribution is a name that os-release(5) allows; what else is there is none.
var distribution = regexp.MustCompile(`^[a-z0-9._-]{1,64}$`)

// Distributions are ID and then ID_LIKE of os-release(5): the system's own name
// first, such as "ubuntu", "debian". It is empty where the file tells none.
func Distributions(root *os.Root) (ids []string) {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		text, err := readText(root, name)
		if err != nil {
			continue
		}
		a := newAssignments()
		a.read("os-release", text)
		for _, key := range []string{"ID", "ID_LIKE"} {
			v, _ := a.value(key) // one that cannot be read names none
			for _, id := range strings.Fields(v) {
				if distribution.MatchString(id) && len(ids) < maxDistributions {
					ids = append(ids, id)
				}
			}
		}
		break
	}
	return ids
}

// maxDistributions bounds what a file may name.
const maxDistributions = 16

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
