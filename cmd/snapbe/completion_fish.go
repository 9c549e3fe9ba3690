package main

import (
	"fmt"
	"strings"
)

// fishCompletion has a line for each command and flag, with their conditions.
func fishCompletion(commands []*verb) string {
	var b strings.Builder
	b.WriteString(fishHead)
	fmt.Fprintf(&b, "set -g __snapbe_commands %s\n\n", strings.Join(fishPaths(commands), " "))
	for _, c := range commands {
		at := fmt.Sprintf("-n '__snapbe_at %s'", strings.Join(append([]string{c.path}, c.aliases...), "; or __snapbe_at "))
		if c.path == "" {
			at = "" // snapbe's own flags go with every command
		}
		for _, f := range c.flags {
			if c.path == "" || f.long != "help" {
				b.WriteString(fishFlag(at, f))
			}
		}
		for _, s := range c.subs {
			if !s.hidden {
				fmt.Fprintf(&b, "complete -c snapbe -n '__snapbe_at %s' -a %s -d %s\n", c.path, last(s.path), fishQuote(s.help))
			}
		}
		for _, a := range c.args {
			if action := fishAction(a.kind); action != "" {
				fmt.Fprintf(&b, "complete -c snapbe %s %s\n", at, action)
			}
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

const fishHead = `# fish completion for snapbe, made by "snapbe completion fish"

complete -c snapbe -f

# __snapbe_at is true where the words name this command.
function __snapbe_at
    set -l words (commandline -opc)
    set -e words[1]
    set -l path
    for w in $words
        if contains -- (string join _ $path $w) $__snapbe_commands
            set path $path $w
        end
    end
    test "$path" = "$argv"
end

function __snapbe_bes
    snapbe list -H 2>/dev/null | string split -f 1 ';'
end

function __snapbe_zones
    snapbe zone list -H 2>/dev/null | string split -f 1 ';' | uniq
end

function __snapbe_snapshots
    snapbe list -H -s 2>/dev/null | string match '*@*' | string replace -r '^([^;]*);[^@]*@([^;]*);.*' '$1@$2' | sort -u
end

`

// fishPaths are all commands, aliases too, with "_" between their words.
func fishPaths(commands []*verb) (paths []string) {
	for _, c := range commands {
		if c.path == "" {
			continue
		}
		paths = append(paths, strings.ReplaceAll(c.path, " ", "_"))
		paths = append(paths, c.aliases...)
	}
	return paths
}

func fishFlag(at string, f flagInfo) string {
	line := "complete -c snapbe"
	if at != "" {
		line += " " + at
	}
	line += " -l " + f.long
	if f.short != "" {
		line += " -s " + f.short
	}
	if f.value {
		line += " -x"
		if f.kind == "file" {
			line = strings.TrimSuffix(line, "x") + "r"
		}
		if action := fishAction(f.kind); action != "" {
			line += " " + action
		}
	}
	return line + " -d " + fishQuote(f.help) + "\n"
}

func fishAction(kind string) string {
	switch kind {
	case "be":
		return "-a '(__snapbe_bes)'"
	case "zone":
		return "-a '(__snapbe_zones)'"
	case "snap":
		return "-a '(__snapbe_snapshots)'"
	case "source":
		return "-a '(__snapbe_bes; __snapbe_snapshots)'"
	case "dir":
		return "-a '(__fish_complete_directories)'"
	case "file":
		return "-F"
	case "command":
		return "-a '(__fish_complete_command)'"
	case "", "dataset":
		return ""
	}
	return "-a " + fishQuote(strings.TrimSpace(kind))
}

// fishQuote quotes for fish, which escapes inside single quotes.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
