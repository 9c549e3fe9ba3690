package main

import (
	"fmt"
	"strings"
)

// bashCompletion needs nothing but bash itself. The word under the cursor is
// taken from the line: bash breaks words at "@", "=" and ":", which names
// have in them.
func bashCompletion(commands []*verb) string {
	var b strings.Builder
	b.WriteString(bashHead)
	writeBashWalk(&b, commands)
	b.WriteString(bashMiddle)
	for _, c := range commands {
		fmt.Fprintf(&b, "\t\t%q) words=%q ;;\n", c.path, strings.Join(flagWords(commands[0], c), " "))
	}
	b.WriteString("\t\tesac\n\telse\n\t\tcase \"$cmd:$args\" in\n")
	for _, c := range commands {
		if words := subWords(c); words != "" {
			fmt.Fprintf(&b, "\t\t%q:*) words=%q ;;\n", c.path, words)
		}
		for i, a := range c.args {
			place := fmt.Sprint(i)
			if a.many {
				place = "*"
			}
			fmt.Fprintf(&b, "\t\t%q:%s) kind=%q ;;\n", c.path, place, a.kind)
		}
	}
	b.WriteString(bashTail)
	return strings.TrimSuffix(b.String(), "\n")
}

const bashHead = `# bash completion for snapbe, made by "snapbe completion bash"

_snapbe() {
	local line=${COMP_LINE:0:COMP_POINT} cmd="" args=0 skip="" kind="" words="" cur word
	local -a typed
	read -ra typed <<<"$line"
	[[ $line == *[[:space:]] ]] && typed+=("")
	cur=${typed[${#typed[@]} - 1]}
	for word in "${typed[@]:1:${#typed[@]} - 2}"; do
		if [[ -n $skip ]]; then
			skip=""
			continue
		fi
		case "$cmd:$word" in
`

const bashMiddle = `		*:-*) ;;
		*) ((++args)) ;;
		esac
	done
	if [[ -n $skip ]]; then
		kind=$skip
	elif [[ $cur == -* ]]; then
		case "$cmd" in
`

const bashTail = `		esac
	fi
	case "$kind" in
	be) words=$(snapbe list -H 2>/dev/null | cut -d ';' -f 1) ;;
	zone) words=$(snapbe zone list -H 2>/dev/null | cut -d ';' -f 1 | uniq) ;;
	snap) words=$(_snapbe_snapshots) ;;
	source) words=$(snapbe list -H 2>/dev/null | cut -d ';' -f 1; [[ $cur == *@* ]] && _snapbe_snapshots) ;;
	dir) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
	file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
	command) mapfile -t COMPREPLY < <(compgen -c -- "$cur"); return ;;
	none) ;;
	?*) words="$words $kind" ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	# bash puts the answer in place of what follows the last break only.
	local head=${cur%"${cur##*[@:=]}"}
	[[ -n $head ]] && COMPREPLY=("${COMPREPLY[@]#"$head"}")
	[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
	return 0
}

# _snapbe_snapshots prints the snapshots of BEs as BE@SNAP.
_snapbe_snapshots() {
	snapbe list -H -s 2>/dev/null | awk -F ';' '$2 ~ /@/ { sub(/^[^@]*@/, "", $2); print $1 "@" $2 }' | sort -u
}

complete -F _snapbe snapbe
`

// writeBashWalk finds the command that the words before the cursor name, and
// which of them are values of flags.
func writeBashWalk(b *strings.Builder, commands []*verb) {
	for _, f := range commands[0].flags {
		writeBashValue(b, "*", f)
	}
	for _, c := range commands {
		if c.path != "" {
			for _, f := range c.flags {
				writeBashValue(b, fmt.Sprintf("%q", c.path), f)
			}
		}
		for _, s := range c.subs {
			last := s.path[strings.LastIndex(s.path, " ")+1:]
			for _, w := range append([]string{last}, s.aliases...) {
				fmt.Fprintf(b, "\t\t%q) cmd=%q ;;\n", c.path+":"+w, s.path)
			}
		}
	}
}

func writeBashValue(b *strings.Builder, cmd string, f flagInfo) {
	if !f.value {
		return
	}
	kind := f.kind
	if kind == "" {
		kind = "none"
	}
	pattern := cmd + ":--" + f.long
	if f.short != "" {
		pattern += "|" + cmd + ":-" + f.short
	}
	fmt.Fprintf(b, "\t\t%s) skip=%q ;;\n", pattern, kind)
}

// flagWords are the flags that a command takes, with snapbe's own.
func flagWords(app, c *verb) (words []string) {
	list := c.flags
	if c != app {
		list = append(append([]flagInfo(nil), c.flags...), app.flags...)
	}
	for _, f := range list {
		words = append(words, "--"+f.long)
		if f.short != "" {
			words = append(words, "-"+f.short)
		}
	}
	return words
}

// subWords are the names of the commands below one.
func subWords(c *verb) string {
	var words []string
	for _, s := range c.subs {
		if !s.hidden {
			words = append(words, s.path[strings.LastIndex(s.path, " ")+1:])
		}
	}
	return strings.Join(words, " ")
}
