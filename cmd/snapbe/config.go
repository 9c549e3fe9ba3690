package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

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
	Trial          struct {
		// Enable makes activate put a BE on trial where nothing else is said.
		Enable bool `toml:"enable"`
		// Cmdline are kernel parameters of a BE on trial.
		Cmdline []string `toml:"cmdline"`
		// Uptime is how long the machine is to have run before it is confirmed by
		// itself, CheckLimit how long a health check may take.
		Uptime     duration `toml:"uptime"`
		CheckLimit duration `toml:"check_limit"`
	} `toml:"trial"`
	Upgrade struct {
		// Commands are by ID of os-release(5).
		Commands map[string]string `toml:"commands"`
	} `toml:"upgrade"`
	Zones map[string]zoneConfig `toml:"zones"`
}

// duration is one such as "90s" or "5m".
type duration time.Duration

// UnmarshalText reads it.
func (d *duration) UnmarshalText(text []byte) error {
	t, err := time.ParseDuration(string(text))
	if err == nil && (t < 0 || t > time.Hour) {
		err = fmt.Errorf("%q is not between 0 and an hour", text)
	}
	*d = duration(t)
	return err
}

// zoneConfig is what is said of a zone by its name.
type zoneConfig struct {
	// Policy is be.System's; "" follows.
	Policy be.ZonePolicy `toml:"policy"`
	// Upgrade is a shell command that upgrades it.
	Upgrade string `toml:"upgrade"`
}

// policies are those of the zones that have one.
func (c config) policies() map[string]be.ZonePolicy {
	all := map[string]be.ZonePolicy{}
	for name, z := range c.Zones {
		if z.Policy != "" {
			all[name] = z.Policy
		}
	}
	return all
}

// zoneUpgrades are the commands of the zones that have one of their own.
func (c config) zoneUpgrades() map[string]string {
	all := map[string]string{}
	for name, z := range c.Zones {
		if z.Upgrade != "" {
			all[name] = z.Upgrade
		}
	}
	return all
}

// kernelParameter is one that needs no quotes anywhere.
var kernelParameter = regexp.MustCompile(`^[A-Za-z0-9_.,:/=+-]+$`)

// mistake is what is wrong with a value, "" where nothing is.
func (c config) mistake() string {
	if c.ShareSnapshots < 0 {
		return fmt.Sprintf("share_snapshots is %d, and must be 0 or more", c.ShareSnapshots)
	}
	for _, p := range c.Trial.Cmdline {
		if !kernelParameter.MatchString(p) {
			return fmt.Sprintf("trial.cmdline has %q, and must have kernel parameters such as systemd.watchdog_sec=180", p)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.Upgrade.Commands)) {
		if command := c.Upgrade.Commands[id]; strings.TrimSpace(command) == "" || strings.ContainsRune(command, 0) {
			return fmt.Sprintf("upgrade.commands.%s is %q, and must be a command", id, command)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Zones)) {
		z := c.Zones[name]
		switch z.Policy {
		case "", be.ZoneFollows, be.ZonePinned, be.ZoneExcluded:
		default:
			return fmt.Sprintf("zones.%s.policy is %q, and must be follow, pin or exclude", name, z.Policy)
		}
		if strings.ContainsRune(z.Upgrade, 0) {
			return fmt.Sprintf("zones.%s.upgrade is %q, and must be a command", name, z.Upgrade)
		}
	}
	return ""
}

// withoutFile is the configuration where there is none.
var withoutFile = func() (c config) {
	c.ShareSnapshots = 20
	c.Trial.Cmdline = []string{"systemd.watchdog_sec=180"}
	return c
}()

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
	if bad := c.mistake(); bad != "" {
		return config{}, &usage{text: fmt.Sprintf("cannot read %s: %s", file, bad)}
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
