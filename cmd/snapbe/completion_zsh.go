package main

import (
	"fmt"
	"strings"
)

// zshCompletion has one function for each command, and gives the help texts
// beside the words.
func zshCompletion(commands []*verb) string {
	var b strings.Builder
	b.WriteString(zshHead)
	for _, c := range commands {
		fmt.Fprintf(&b, "%s() {\n\tlocal curcontext=$curcontext state line ret=1\n\t_arguments -C -s", zshFunc(c))
		for _, f := range c.flags {
			b.WriteString(zshFlag(f))
		}
		if c.path != "" {
			for _, f := range commands[0].flags {
				if f.long != "help" {
					b.WriteString(zshFlag(f))
				}
			}
		}
		for i, a := range c.args {
			b.WriteString(zshArg(i, a))
		}
		if len(c.subs) > 0 {
			b.WriteString(" \\\n\t\t'1:command:->command' '*::arguments:->arguments'")
		}
		b.WriteString(" && ret=0\n")
		writeZshSubs(&b, c)
		b.WriteString("\treturn ret\n}\n\n")
	}
	b.WriteString("if [ \"$funcstack[1]\" = _snapbe ]; then\n\t_snapbe \"$@\"\nelse\n\tcompdef _snapbe snapbe\nfi")
	return b.String()
}

const zshHead = `#compdef snapbe
# zsh completion for snapbe, made by "snapbe completion zsh"

_snapbe_bes() {
	local -a bes
	bes=(${(f)"$(snapbe list -H 2>/dev/null | cut -d ';' -f 1)"})
	compadd -a bes
}

_snapbe_zones() {
	local -a zones
	zones=(${(fu)"$(snapbe zone list -H 2>/dev/null | cut -d ';' -f 1)"})
	compadd -a zones
}

_snapbe_snapshots() {
	local -a snaps
	snaps=(${(f)"$(snapbe list -H -s 2>/dev/null | awk -F ';' '$2 ~ /@/ { sub(/^[^@]*@/, "", $2); print $1 "@" $2 }' | sort -u)"})
	compadd -a snaps
}

_snapbe_sources() {
	_snapbe_bes
	[[ $PREFIX == *@* ]] && _snapbe_snapshots
}

`

func zshFunc(c *verb) string {
	if c.path == "" {
		return "_snapbe"
	}
	return "_snapbe_cmd_" + strings.ReplaceAll(c.path, " ", "_")
}

func writeZshSubs(b *strings.Builder, c *verb) {
	if len(c.subs) == 0 {
		return
	}
	b.WriteString("\tcase $state in\n\tcommand)\n\t\tlocal -a commands=(\n")
	for _, s := range c.subs {
		if !s.hidden {
			fmt.Fprintf(b, "\t\t\t%s\n", shellQuote(last(s.path)+":"+s.help))
		}
	}
	b.WriteString("\t\t)\n\t\t_describe command commands && ret=0\n\t\t;;\n\targuments)\n\t\tcase $line[1] in\n")
	for _, s := range c.subs {
		if !s.hidden {
			names := strings.Join(append([]string{last(s.path)}, s.aliases...), "|")
			fmt.Fprintf(b, "\t\t%s) %s && ret=0 ;;\n", names, zshFunc(s))
		}
	}
	b.WriteString("\t\tesac\n\t\t;;\n\tesac\n")
}

// zshFlag is a flag as _arguments takes it.
func zshFlag(f flagInfo) string {
	text := "[" + zshText(f.help) + "]"
	if f.value {
		text += ":" + f.long + ":" + zshAction(f.kind)
	}
	long, short := "--"+f.long, ""
	if f.value {
		long += "="
	}
	if f.short == "" {
		return " \\\n\t\t" + star(f) + shellQuote(long+text)
	}
	short = "-" + f.short
	if f.value {
		short += "+"
	}
	group := shellQuote("(-" + f.short + " --" + f.long + ")")
	if f.many {
		group = "'*'"
	}
	return fmt.Sprintf(" \\\n\t\t%s{%s,%s}%s", group, short, long, shellQuote(text))
}

func star(f flagInfo) string {
	if f.many {
		return "'*'"
	}
	return ""
}

func zshArg(i int, a argInfo) string {
	place := fmt.Sprint(i + 1)
	if a.many {
		place = "*"
	}
	return " \\\n\t\t" + shellQuote(place+":"+a.name+":"+zshAction(a.kind))
}

func zshAction(kind string) string {
	switch kind {
	case "be":
		return "_snapbe_bes"
	case "zone":
		return "_snapbe_zones"
	case "snap":
		return "_snapbe_snapshots"
	case "source":
		return "_snapbe_sources"
	case "dir":
		return "_files -/"
	case "file":
		return "_files"
	case "command":
		return "_command_names -e"
	case "", "dataset":
		return " "
	}
	return "(" + strings.TrimSpace(kind) + ")"
}

// zshText escapes what has a meaning in an _arguments specification.
func zshText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `:`, `\:`).Replace(s)
}

// shellQuote quotes for every shell that has a completion here.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func last(path string) string { return path[strings.LastIndex(path, " ")+1:] }
