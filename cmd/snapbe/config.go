package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"snapbe/be"
)

// defaultConfigFile may be missing; another one that was named may not.
const defaultConfigFile = "/etc/snapbe/snapbe.toml"

// defaultConfig is the file that the package and init install: all comments.
//
//go:embed snapbe.toml
var defaultConfig []byte

// config is the configuration file; a flag goes before its key.
type config struct {
	BERoot string `toml:"beroot"`
	// ShareSnapshots is how many snapshots of the share are kept that snapbe
	// made by itself; 0 keeps all.
	ShareSnapshots int `toml:"share_snapshots"`
	// Zones are those zones that do not simply follow, by name.
	Zones map[string]zoneConfig `toml:"zones"`
}

// zoneConfig is what is said of one zone.
type zoneConfig struct {
	Policy be.ZonePolicy `toml:"policy"`
}

func (c config) policies() map[string]be.ZonePolicy {
	p := map[string]be.ZonePolicy{}
	for name, z := range c.Zones {
		p[name] = z.Policy
	}
	return p
}

// check refuses what go-toml cannot.
func (c config) check() error {
	if c.ShareSnapshots < 0 {
		return fmt.Errorf("share_snapshots is %d, and must be 0 or more", c.ShareSnapshots)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Zones)) {
		switch p := c.Zones[name].Policy; p {
		case be.ZoneFollows, be.ZonePinned, be.ZoneExcluded:
		default:
			return fmt.Errorf("the policy of the zone %q is %q, and must be follow, pin or exclude", name, p)
		}
	}
	return nil
}

// withoutFile is the configuration where there is none.
var withoutFile = config{ShareSnapshots: 20}

// readConfig reads the configuration and takes no key that it does not know:
// a misspelled one would be left out in silence.
func readConfig(file string) (config, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && file == defaultConfigFile {
		return withoutFile, nil
	}
	if err != nil {
		return config{}, &usage{text: fmt.Sprintf("cannot read the configuration: %v", err)}
	}
	c := withoutFile
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&c); err != nil {
		return config{}, &usage{text: fmt.Sprintf("cannot read %s: %s", file, configMistake(err))}
	}
	if err := c.check(); err != nil {
		return config{}, &usage{text: fmt.Sprintf("cannot read %s: %v", file, err)}
	}
	return c, nil
}

// configMistake names the line of a mistake, and the key where it is unknown.
func configMistake(err error) string {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		first := unknown.Errors[0]
		row, _ := first.Position()
		return fmt.Sprintf("line %d: unknown key %q", row, dotted(first.Key()))
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		row, _ := bad.Position()
		return fmt.Sprintf("line %d: %v", row, bad)
	}
	return err.Error()
}

func dotted(key toml.Key) string {
	s := ""
	for i, part := range key {
		if i > 0 {
			s += "."
		}
		s += part
	}
	return s
}
