package zones

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ParseZonecfg reads what zonecfg -z NAME export prints (zonecfg(8)): "create
// -b", a "set" for each setting, and the resources. Anything else is an error,
// since what is not understood would be lost. An export puts quotes only around
// some of the values that need them; so the value of a "set" goes on to the end
// of its line.
func ParseZonecfg(text string) (Zonecfg, error) {
	var p zonecfgParser
	number := 0
	for line := range strings.Lines(text) {
		number++
		if err := p.line(strings.Trim(line, " \t\r\n")); err != nil {
			return Zonecfg{}, fmt.Errorf("parse zonecfg's export: line %d: %w", number, err)
		}
	}
	switch {
	case !p.created:
		return Zonecfg{}, errors.New("parse zonecfg's export: it is empty")
	case p.open:
		return Zonecfg{}, errors.New("parse zonecfg's export: the last resource has no end")
	}
	return p.c, nil
}

type zonecfgParser struct {
	c Zonecfg
	// created tells that the first command was read, open that the last
	// resource goes on.
	created, open bool
}

// line takes one command in.
func (p *zonecfgParser) line(line string) error {
	verb, rest := cutSpace(line)
	switch {
	case line == "" || line[0] == '#':
	case !p.created:
		if !slices.Equal(strings.Fields(line), strings.Fields(zonecfgNew)) {
			return fmt.Errorf("%q is not %q", line, zonecfgNew)
		}
		p.created = true
	case verb == "set":
		return p.set(rest)
	case verb == "add" && p.open:
		return p.add(rest)
	case verb == "add" && zonecfgWord.MatchString(rest):
		p.c.Resources = append(p.c.Resources, Resource{Type: rest})
		p.open = true
	case line == "end" && p.open:
		p.open = false
	default:
		return fmt.Errorf("%q is not known", line)
	}
	return nil
}

func (p *zonecfgParser) put(props ...Property) {
	to := &p.c.Settings
	if p.open {
		to = &p.c.Resources[len(p.c.Resources)-1].Properties
	}
	*to = append(*to, props...)
}

// set takes in name=value.
func (p *zonecfgParser) set(text string) error {
	name, value, err := cutPair(text)
	if err == nil {
		p.put(Property{Name: name, Value: value})
	}
	return err
}

// add takes in a value for a property that can have many, or a list of them.
func (p *zonecfgParser) add(text string) error {
	name, value := cutSpace(text)
	if !zonecfgWord.MatchString(name) || value == "" {
		return fmt.Errorf("%q is not a property with a value", text)
	}
	values := []string{value}
	if inner, ok := between(value, "[", "]"); ok {
		var err error
		if values, err = splitValues(inner); err != nil {
			return err
		}
	}
	for _, v := range values {
		prop := Property{Name: name, Added: true}
		inner, isGroup := between(v, "(", ")")
		var err error
		if isGroup {
			prop.Parts, err = parseParts(inner)
		} else {
			prop.Value, err = plainValue(v)
		}
		if err != nil {
			return err
		}
		p.put(prop)
	}
	return nil
}

func parseParts(text string) ([]Part, error) {
	values, err := splitValues(text)
	if err != nil {
		return nil, err
	}
	var parts []Part
	for _, v := range values {
		name, value, ok := strings.Cut(v, "=")
		name = strings.TrimSpace(name)
		if !ok || !zonecfgWord.MatchString(name) {
			return nil, fmt.Errorf("%q is not name=value", v)
		}
		if value, err = plainValue(strings.Trim(value, " \t")); err != nil {
			return nil, err
		}
		parts = append(parts, Part{name, value})
	}
	return parts, nil
}

// splitValues splits at the commas that are in neither quotes nor parentheses.
func splitValues(text string) ([]string, error) {
	var values []string
	quoted, depth, from := false, 0, 0
	for i, c := range []byte(text) {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			values = append(values, strings.Trim(text[from:i], " \t"))
			from = i + 1
		}
		if depth < 0 || depth > 1 {
			return nil, fmt.Errorf("the parentheses of %q do not match", text)
		}
	}
	if quoted || depth != 0 {
		return nil, fmt.Errorf("%q does not end", text)
	}
	return append(values, strings.Trim(text[from:], " \t")), nil
}

// plainValue is one value, with quotes or without; what would be more than one
// is refused.
func plainValue(s string) (string, error) {
	if !strings.HasPrefix(s, `"`) && (s == "" || strings.ContainsAny(s, " \t;=[](),")) {
		return "", fmt.Errorf("%q is not one value", s)
	}
	return unquote(s)
}

// cutPair splits name=value, and takes the quotes off the value.
func cutPair(text string) (name, value string, err error) {
	name, value, ok := strings.Cut(text, "=")
	name = strings.TrimRight(name, " \t")
	if !ok || !zonecfgWord.MatchString(name) {
		return "", "", fmt.Errorf("%q is not name=value", text)
	}
	value, err = unquote(strings.Trim(value, " \t"))
	return name, value, err
}

func unquote(s string) (string, error) {
	if inner, ok := between(s, `"`, `"`); ok {
		s = inner
	}
	return s, checkValue(s)
}

// between is what stands between two marks, where a text has them at its ends.
func between(s, open, shut string) (string, bool) {
	if len(s) < len(open)+len(shut) || !strings.HasPrefix(s, open) || !strings.HasSuffix(s, shut) {
		return "", false
	}
	return s[len(open) : len(s)-len(shut)], true
}

// cutSpace splits after the first word.
func cutSpace(s string) (word, rest string) {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimLeft(s[i:], " \t")
	}
	return s, ""
}
