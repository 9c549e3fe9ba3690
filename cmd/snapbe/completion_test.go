package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/command"
)

// syntaxCheck is how each shell reads a script without running it.
var syntaxCheck = map[string][]string{
	"bash": {"bash", "-n"},
	"zsh":  {"zsh", "-n"},
	"fish": {"fish", "--no-execute"},
}

// Every command, alias and flag is in every shell's script; a flag that goes
// away goes from them by itself, since they are made from the same model.
func TestCompletionHasAll(t *testing.T) {
	for shell := range syntaxCheck {
		script := completion(shell, model(t))
		for _, c := range commandsOf(model(t)) {
			if c.hidden {
				continue
			}
			for _, word := range append(strings.Fields(c.path), c.aliases...) {
				assert.Contains(t, script, word, shell)
			}
			for _, f := range c.flags {
				want := "--" + f.long
				if shell == "fish" {
					want = "-l " + f.long
				}
				assert.Contains(t, script, want, "%s %s", shell, c.path)
			}
		}
	}
}

func TestCompletionSyntax(t *testing.T) {
	for shell, check := range syntaxCheck {
		t.Run(shell, func(t *testing.T) {
			runShell(t, append(check, writeScript(t, shell)))
		})
	}
}

func writeScript(t *testing.T, shell string) string {
	t.Helper()
	got := call(t, &recorder{}, "completion", shell)
	require.Equal(t, 0, got.code, got.err)
	file := filepath.Join(t.TempDir(), "snapbe."+shell)
	require.NoError(t, os.WriteFile(file, []byte(got.out), 0o600))
	return file
}

// runShell skips the test where the shell is not installed.
func runShell(t *testing.T, argv []string) string {
	t.Helper()
	if _, err := os.Stat("/usr/bin/" + argv[0]); err != nil {
		t.Skipf("%s is not installed", argv[0])
	}
	out, err := command.Exec{}.Run(context.Background(), command.Cmd{Argv: argv, Env: []string{"HOME=" + t.TempDir()}})
	require.NoError(t, err)
	return string(out)
}

// stubs stand for snapbe while a shell completes.
const stubs = `snapbe() {
	[ "$1 $2 $3" = "list -H -s" ] && printf '%s\n' 'debian;rpool/ROOT/debian@old;;;0;static;1;' 'debian;rpool/ROOT/debian/var@old;;;0;static;1;'
	[ "$1 $2" = "list -H" ] && [ -z "$3" ] && printf '%s\n' 'debian;u;NR;/;1;static;1;a\x3bb' '2026-11;u;;;1;static;1;'
	[ "$*" = "zone list -H" ] && printf '%s\n' 'db;zbe;NR;debian;1;1;;d' 'web;zbe;NR;debian;1;1;;d' 'web;zbe-1;O;;1;1;;d'
	return 0
}
`

// What bash itself offers after the words that were typed.
func TestBashCompletes(t *testing.T) {
	for line, want := range map[string][]string{
		"snapbe cre":                      {"create"},
		"snapbe un":                       {"unmount"},
		"snapbe -v --beroot x stat":       {"status"},
		"snapbe -r create stat":           {"status"},
		"snapbe boot ":                    {"update", "install", "check"},
		"snapbe boot up":                  {"update"},
		"snapbe activate ":                {"debian", "2026-11"},
		"snapbe activate --reboot d":      {"debian"},
		"snapbe activate debian ":         nil,
		"snapbe umount 2":                 {"2026-11"},
		"snapbe create -e ":               {"debian", "2026-11"},
		"snapbe create -e debian@":        {"old"},
		"snapbe rollback debian@o":        {"old"},
		"snapbe rollback ":                {"debian@old"},
		"snapbe destroy x with debian@":   {"old"},
		"snapbe create --desc":            {"--description"},
		"snapbe create -d text --act":     {"--activate"},
		"snapbe boot check --js":          {"--json"},
		"snapbe list -k ":                 {"date", "name", "space"},
		"snapbe list -k s":                {"space"},
		"snapbe completion z":             {"zsh"},
		"snapbe zone failback ":           {"db", "web"},
		"snapbe zone attach -x f":         {"force-zbe-clone"},
		"snapbe create -d ":               nil,
		"snapbe exec debian -- systemd-n": nil,
	} {
		t.Run(line, func(t *testing.T) {
			script := stubs + `source "$1"
COMP_LINE=$2 COMP_POINT=${#2}
_snapbe
[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}"`
			out := runShell(t, []string{"bash", "--norc", "-c", script, "bash", writeScript(t, "bash"), line})
			got := strings.Fields(out)
			if strings.HasPrefix(line, "snapbe exec") {
				return // it depends on what is installed; it must only not fail
			}
			assert.ElementsMatch(t, want, got)
		})
	}
}

func TestFishCompletes(t *testing.T) {
	for line, want := range map[string][]string{
		"snapbe cre":          {"create"},
		"snapbe boot up":      {"update"},
		"snapbe activate d":   {"debian"},
		"snapbe umount d":     {"debian"},
		"snapbe create --ac":  {"--activate"},
		"snapbe zone clone w": {"web"},
		"snapbe list -k s":    {"space"},
		"snapbe list -k ":     {"date", "name", "space"},
	} {
		t.Run(line, func(t *testing.T) {
			script := `function snapbe
	if test "$argv" = "list -H"
		printf '%s\n' 'debian;u;NR;/;1;static;1;'
	else if test "$argv" = "zone list -H"
		printf '%s\n' 'db;zbe;NR;debian;1;1;;d' 'web;zbe;NR;debian;1;1;;d' 'web;zbe-1;O;;1;1;;d'
	end
end
source $argv[1]
complete -C $argv[2] | string replace -r '\t.*' ''
true`
			got := strings.Fields(runShell(t, []string{"fish", "--no-config", "-c", script, writeScript(t, "fish"), line}))
			assert.Equal(t, want, got)
		})
	}
}
