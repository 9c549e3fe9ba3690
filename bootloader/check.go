package bootloader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"snapbe/internal/command"
)

// Problem is something that keeps the menu from booting what it names.
type Problem struct {
	// BE is the name of the boot environment; "" for the menu as a whole.
	BE string `json:"be,omitempty"`
	// Text is one line for the user.
	Text string `json:"text"`
	// Hint is the way out, where there is one.
	Hint string `json:"hint,omitempty"`
}

// Look shows f the tree of a menu's entry, and the directory of the kernels
// in it.
type Look func(e Entry, f func(root *os.Root, dir string) error) error

const updateHint = "snapbe boot update"

// Check looks for what keeps want, the menu as it follows from the pool's
// state, from being what GRUB shows and boots. Nothing is changed.
func (g *GRUB) Check(ctx context.Context, want Menu, look Look) []Problem {
	var problems []Problem
	problems = append(problems, g.checkFragment(ctx, want)...)
	problems = append(problems, g.checkConfig(ctx)...)
	problems = append(problems, g.checkHook()...)
	problems = append(problems, g.checkEnvironment()...)
	for _, e := range want.Canonical().Entries {
		problems = append(problems, checkFiles(e, look)...)
	}
	return problems
}

// checkFiles looks for the files that the entry names.
func checkFiles(e Entry, look Look) []Problem {
	var problems []Problem
	note := func(err error) {
		if err != nil {
			problems = append(problems, Problem{BE: e.Name, Text: oneLine(err), Hint: updateHint})
		}
	}
	note(look(e, func(root *os.Root, dir string) error {
		dir = strings.TrimPrefix(dir, "/")
		note(checkLoadable(root, path.Join(dir, e.Kernel)))
		note(checkLoadable(root, path.Join(dir, e.Initrd)))
		return nil
	}))
	return problems
}

func oneLine(err error) string {
	return strings.Join(strings.Split(strings.TrimSpace(err.Error()), "\n"), "; ")
}

func (g *GRUB) checkFragment(ctx context.Context, want Menu) []Problem {
	text, err := os.ReadFile(g.fragmentPath())
	if err != nil {
		return []Problem{{Text: oneLine(err), Hint: updateHint}}
	}
	var problems []Problem
	if !bytes.Equal(text, Encode(want)) {
		problems = append(problems, Problem{Hint: updateHint,
			Text: g.fragmentPath() + " is not what follows from the pool's state"})
	}
	return append(problems, g.checkScript(ctx, g.fragmentPath())...)
}

// checkScript asks GRUB's own parser.
func (g *GRUB) checkScript(ctx context.Context, path string) []Problem {
	if _, err := g.Runner.Run(ctx, command.Cmd{Argv: []string{"grub-script-check", path}}); err != nil {
		return []Problem{{Text: oneLine(err)}}
	}
	return nil
}

func (g *GRUB) checkConfig(ctx context.Context) []Problem {
	config := g.configPath()
	text, err := os.ReadFile(config)
	if err != nil {
		return []Problem{{Text: oneLine(err), Hint: "update-grub"}}
	}
	problems := g.checkScript(ctx, config)
	rest, found := afterSource(text)
	if !found {
		return append(problems, Problem{Hint: updateHint,
			Text: fmt.Sprintf("%s %s", config, ErrNotSourced)})
	}
	for line := range strings.Lines(string(rest)) {
		// Not indented: a script of the administrator's that runs after
		// 06_snapbe and not inside an entry.
		if strings.HasPrefix(line, "set default=") || strings.HasPrefix(line, "default=") {
			problems = append(problems, Problem{
				Text: fmt.Sprintf("%s chooses another default after snapbe's: %s", config, strings.TrimSpace(line)),
				Hint: "remove the line from " + filepath.Join(g.Etc, "grub.d") + " and run update-grub"})
		}
	}
	return problems
}

func (g *GRUB) checkHook() []Problem {
	script := g.hookPath()
	info, err := os.Stat(script)
	switch {
	case err != nil:
		return []Problem{{Text: oneLine(err), Hint: updateHint}}
	case info.Mode()&0o111 == 0:
		return []Problem{{Text: script + " is not executable: the next update-grub drops the boot environments",
			Hint: "chmod +x " + script}}
	}
	return nil
}

// checkEnvironment finds a one-shot that GRUB can never clear, since it cannot
// write to ZFS; snapbe's default is stronger, but the administrator who set it
// should know.
func (g *GRUB) checkEnvironment() []Problem {
	name := filepath.Join(g.Dir, "grubenv")
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return []Problem{{Text: oneLine(err)}}
	}
	for line := range strings.Lines(string(text)) {
		if entry, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "next_entry="); ok && entry != "" {
			return []Problem{{
				Text: fmt.Sprintf("grub-reboot chose %q, which has no effect: GRUB cannot clear that on ZFS", entry),
				Hint: "grub-editenv " + name + " unset next_entry"}}
		}
	}
	return nil
}
