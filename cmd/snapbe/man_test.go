package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// manual is what the man page says of the commands.
type manual struct {
	// flags are those that a command's section names, "-v" and "--verbose".
	flags map[string][]string
	// pairs are flags that an item gives in both forms, "-v --verbose".
	pairs map[string][]string
}

// In the page's source, a command's section begins with ".Ss NAME", and a flag
// is what follows the macro Fl; the part OPTIONS goes for every command.
func readManual(t *testing.T) manual {
	t.Helper()
	text, err := os.ReadFile("../../docs/snapbe.8")
	require.NoError(t, err)
	m := manual{flags: map[string][]string{}, pairs: map[string][]string{}}
	part, section := "", ""
	for _, line := range strings.Split(string(text), "\n") {
		switch macro, rest, _ := strings.Cut(line, " "); {
		case macro == ".Sh":
			part, section = rest, rest
		case macro == ".Ss" && part == "COMMANDS":
			section = rest
			m.flags[section] = nil
		case part == "COMMANDS" || part == "OPTIONS":
			found := flagsIn(line)
			m.flags[section] = append(m.flags[section], found...)
			if macro == ".It" {
				m.pairs[section] = append(m.pairs[section], strings.Join(found, " "))
			}
		}
	}
	return m
}

var flagMacro = regexp.MustCompile(`\bFl (-?[A-Za-z-]+)`)

func flagsIn(line string) (flags []string) {
	for _, m := range flagMacro.FindAllStringSubmatch(line, -1) {
		if strings.HasPrefix(m[1], "-") {
			flags = append(flags, "-"+m[1])
			continue
		}
		for _, letter := range m[1] { // "Fl Ffso" is four flags
			flags = append(flags, "-"+string(letter))
		}
	}
	return flags
}

func forms(f flagInfo) string {
	if f.short == "" {
		return "--" + f.long
	}
	return "-" + f.short + " --" + f.long
}

// The man page and the command line have the same commands and flags.
func TestManual(t *testing.T) {
	m := readManual(t)
	commands := commandsOf(model(t))
	var sections []string
	for _, c := range commands {
		if c.path == "" {
			for _, f := range c.flags {
				assert.Contains(t, m.pairs["OPTIONS"], forms(f))
			}
			continue
		}
		if c.hidden || len(c.subs) > 0 {
			continue
		}
		sections = append(sections, c.path)
		assert.Contains(t, m.flags, c.path, "the man page lacks a command")
		var known []string
		for _, f := range c.flags {
			if f.long == "help" {
				continue
			}
			known = append(known, "-"+f.short, "--"+f.long)
			said := slices.Contains(m.flags[c.path], "--"+f.long) || slices.Contains(m.flags[c.path], "-"+f.short)
			assert.True(t, said, "the man page lacks %s --%s", c.path, f.long)
			explained := slices.Concat(m.pairs[c.path], m.pairs["OPTIONS"])
			assert.Contains(t, explained, forms(f), "the man page does not explain %s --%s", c.path, f.long)
		}
		for _, f := range m.flags[c.path] {
			assert.Contains(t, known, f, "the man page has a flag that %s does not know", c.path)
		}
	}
	for section := range m.flags {
		if section != "COMMANDS" && section != "OPTIONS" {
			assert.Contains(t, sections, section, "the man page has a command that there is not")
		}
	}
}

// The exit codes of the man page are those of the program.
func TestManualExitCodes(t *testing.T) {
	text, err := os.ReadFile("../../docs/snapbe.8")
	require.NoError(t, err)
	_, after, _ := strings.Cut(string(text), ".Sh EXIT STATUS")
	part, _, _ := strings.Cut(after, ".Sh ")
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^\.It ([0-9]+)$`).FindAllStringSubmatch(part, -1) {
		got = append(got, m[1])
	}
	assert.Equal(t, []string{"0", "1", "2", "3", "4", "5", "6"}, got)
	assert.Contains(t, part, "125")
}

func TestManualLint(t *testing.T) {
	runShell(t, []string{"mandoc", "-Tlint", "-Wwarning", "../../docs/snapbe.8"})
}
