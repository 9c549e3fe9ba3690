package main

import (
	"fmt"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" name:"bash|zsh|fish" help:"The shell."`
}

// Run prints a completion script.
func (c *completionCmd) Run(a *app, k *kong.Kong) error {
	a.tui.print(completion(c.Shell, k.Model))
	return nil
}

// completion is the script that completes the model's commands and flags.
func completion(shell string, m *kong.Application) string {
	commands := commandsOf(m)
	switch shell {
	case "bash":
		return bashCompletion(commands)
	case "zsh":
		return zshCompletion(commands)
	case "fish":
		return fishCompletion(commands)
	}
	panic(fmt.Sprintf("kong let the shell %q pass", shell))
}

// verb is what the completions and the tests take from kong's model.
type verb struct {
	// path is the command as typed, "" for snapbe itself, such as "boot
	// check"; aliases are other last words of it.
	path    string
	aliases []string
	help    string
	hidden  bool
	// subs are the commands below it.
	subs []*verb
	// flags are its own; those of snapbe itself go with every command.
	flags []flagInfo
	args  []argInfo
}

type flagInfo struct {
	long  string
	short string
	help  string
	// kind is what its value is, as in the complete tag or an enum's words
	// separated by spaces; value tells that it takes one.
	kind  string
	value bool
	many  bool
}

type argInfo struct {
	name string
	kind string
	many bool
}

// commandsOf flattens the model, each command before those below it.
func commandsOf(m *kong.Application) []*verb {
	var out []*verb
	var walk func(n *kong.Node, path string) *verb
	walk = func(n *kong.Node, path string) *verb {
		c := &verb{path: path, aliases: n.Aliases, help: n.Help, hidden: n.Hidden}
		out = append(out, c)
		for _, f := range n.Flags {
			if !f.Hidden {
				c.flags = append(c.flags, newFlagInfo(f))
			}
		}
		for _, p := range n.Positional {
			c.args = append(c.args, argInfo{name: p.Name, kind: kindOf(p), many: p.IsCumulative()})
		}
		for _, child := range n.Children {
			sub := child.Name
			if path != "" {
				sub = path + " " + sub
			}
			c.subs = append(c.subs, walk(child, sub))
		}
		return c
	}
	walk(m.Node, "")
	return out
}

func newFlagInfo(f *kong.Flag) flagInfo {
	info := flagInfo{long: f.Name, help: f.Help, kind: kindOf(f.Value), value: !f.IsBool(), many: f.IsCumulative()}
	if f.Short != 0 {
		info.short = string(f.Short)
	}
	return info
}

func kindOf(v *kong.Value) string {
	if v.Tag.Has("complete") {
		return v.Tag.Get("complete")
	}
	words := ""
	for _, w := range v.EnumSlice() {
		if w != "" {
			words += " " + w
		}
	}
	return words
}
