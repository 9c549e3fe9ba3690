package zones

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Zonecfg is a zone's settings as zonecfg(8) exports them.
type Zonecfg struct {
	// Settings are the properties of the zone itself, in their order.
	Settings []Property
	// Resources are what it has besides: net, fs, rctl, capped-memory.
	Resources []Resource
}

// Resource is a block of a zone's settings, from "add net" to "end".
type Resource struct {
	Type       string
	Properties []Property
}

// Property is a name with a value, which is a text or, where Parts is not
// empty, a group such as (priv=privileged,limit=10,action=deny).
type Property struct {
	Name, Value string
	Parts       []Part
	// Added is a value of a property that can have many: it is written with
	// "add", not with "set". A list [ro,nodevices] is one of these for each.
	Added bool
}

// Part is one of the values of a group.
type Part struct{ Name, Value string }

// Get is a setting's value; "" where it is not set.
func (c Zonecfg) Get(name string) string {
	for _, p := range c.Settings {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Set gives a setting a value, in its place or else after all others.
func (c *Zonecfg) Set(name, value string) {
	p := Property{Name: name, Value: value}
	if i := slices.IndexFunc(c.Settings, func(p Property) bool { return p.Name == name }); i >= 0 {
		c.Settings[i] = p
		return
	}
	c.Settings = append(c.Settings, p)
}

// Clear takes a setting out.
func (c *Zonecfg) Clear(name string) {
	c.Settings = slices.DeleteFunc(c.Settings, func(p Property) bool { return p.Name == name })
}

// zonecfgNew is the command that every export begins with: nothing is taken
// from a template.
const zonecfgNew = "create -b"

// zonecfgWord is the form of names of properties and resources.
var zonecfgWord = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// zonecfgKeywords are words that zonecfg(8) does not take for a value without
// quotes: its grammar has them as tokens.
var zonecfgKeywords = strings.Fields(`
	action address admin allowed-address attr auths autoboot bootargs brand
	capped-cpu capped-memory cpu-shares dataset dedicated-cpu default defrouter
	device dir fs fs-allowed global-nic hostid importance inherit-pkg-dir ip-type
	limit limitpriv locked lower mac-addr match max-lwps max-msg-ids max-processes
	max-sem-ids max-shm-ids max-shm-memory name ncpus net options physical pool
	priv property raw rctl scheduling-class security-flags special swap type upper
	user uuid value vlan-id zfs-io-priority zonename zonepath`)

// Encode is the settings as commands that zonecfg(8) takes. A name or a value
// that these cannot say is an error.
func (c Zonecfg) Encode() (string, error) {
	e := zonecfgEncoder{}
	e.line(zonecfgNew)
	for _, p := range c.Settings {
		if p.Added {
			return "", fmt.Errorf("setting %q is not of a resource and cannot be added to", p.Name)
		}
		e.property(p)
	}
	for _, r := range c.Resources {
		e.line("add " + e.word(r.Type))
		for _, p := range r.Properties {
			e.property(p)
		}
		e.line("end")
	}
	return e.text.String(), e.err
}

type zonecfgEncoder struct {
	text strings.Builder
	err  error
}

func (e *zonecfgEncoder) line(s string) { e.text.WriteString(s + "\n") }

func (e *zonecfgEncoder) property(p Property) {
	value := ""
	switch {
	case len(p.Parts) > 0:
		parts := make([]string, len(p.Parts))
		for i, part := range p.Parts {
			parts[i] = e.word(part.Name) + "=" + e.value(part.Value, ",")
		}
		value = "(" + strings.Join(parts, ",") + ")"
		if !p.Added || p.Value != "" {
			e.fail(fmt.Errorf("property %q has a group that is not added, or a text besides it", p.Name))
		}
	default:
		value = e.value(p.Value, "")
	}
	if p.Added {
		e.line("add " + e.word(p.Name) + " " + value)
	} else {
		e.line("set " + e.word(p.Name) + "=" + value)
	}
}

// value is a value with quotes where zonecfg(8)'s grammar needs them; special
// is what is not plain in this place besides.
func (e *zonecfgEncoder) value(s, special string) string {
	if err := checkValue(s); err != nil {
		e.fail(err)
	}
	if s == "" || strings.ContainsAny(s, " \t;=[]()"+special) || slices.Contains(zonecfgKeywords, s) {
		return `"` + s + `"`
	}
	return s
}

func (e *zonecfgEncoder) word(s string) string {
	if !zonecfgWord.MatchString(s) {
		e.fail(fmt.Errorf("%q is not the name of a property or a resource", s))
	}
	return s
}

func (e *zonecfgEncoder) fail(err error) { e.err = errors.Join(e.err, err) }

// checkValue refuses what cannot stand in a value: zonecfg(8) has no way to
// quote a quote, and a command is one line.
func checkValue(s string) error {
	for _, c := range []byte(s) {
		if c == '"' || c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("value %q has a quote or a control character", s)
		}
	}
	return nil
}
