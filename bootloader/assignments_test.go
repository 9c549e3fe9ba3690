package bootloader

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAssignments(t *testing.T) {
	cases := map[string]struct{ text, want, err string }{
		"absent":         {"", "", ""},
		"plain":          {"X=quiet", "quiet", ""},
		"empty":          {"X=\n", "", ""},
		"last wins":      {"X=a\nX=b\n", "b", ""},
		"double":         {`X="a  b"`, "a  b", ""},
		"single":         {`X='a $b "c" \d'`, `a $b "c" \d`, ""},
		"joined":         {`X=a"b c"'d e'\ f`, "ab cd e f", ""},
		"escapes":        {`X="\$a \"b\" \\ \c"`, `$a "b" \ \c`, ""},
		"comment":        {"# X=no\nX=a # b\n", "a", ""},
		"no comment":     {"X=a#b\n", "a#b", ""},
		"continued":      {"X=\"a \\\nb\"\n", "a b", ""},
		"continued bare": {"X=a\\\nb\n", "ab", ""},
		"over lines":     {"X='a\nb'\n", "a\nb", ""},
		"variable":       {"A=1\nX=\"$A ${A}2 $B\"\n", "1 12 ", ""},
		"itself":         {"X=a\nX=\"$X b\"\n", "a b", ""},
		"lone dollar":    {`X="a$ b"`, "a$ b", ""},
		"export":         {"export X=a\n", "a", ""},
		"semicolon":      {"X=a;\n", "a", ""},
		"indented":       {"  X=a\n", "a", ""},
		"crlf":           {"X=a\r\nY=b\r\n", "a", ""},
		"others do not matter": {
			"GRUB_DISTRIBUTOR=`( . /etc/os-release && echo ${NAME} )`\nX=a\nif true; then Y=1; fi\n", "a", ""},
		"substitution":    {"X=$(id)\n", "", "f:1: a command substitution is not run"},
		"backticks":       {"X=\"a `id`\"\n", "", "a command substitution is not run"},
		"through another": {"\nA=$(id)\nX=$A\n", "", "f:3: $A: f:2: a command substitution"},
		"mended":          {"X=$(id)\nX=a\n", "a", ""},
		"expansion":       {"X=${A:-b}\n", "", "other than ${NAME}"},
		"special":         {"X=$?\n", "", "other than $NAME"},
		"append":          {"X+=a\n", "", `"X+=a" is more than an assignment`},
		"condition":       {"X=a\nif true; then\n  X=b\nfi\n", "", "under a condition"},
		"condition, one line": {"X=a\n[ -d /x ] && X=b\n", "",
			`is more than an assignment`},
		"after condition": {"if true; then\n  Y=b\nfi\nX=a\n", "a", ""},
		"command":         {"X=a id\n", "", "more than one assignment"},
		"two":             {"X=a Y=b\n", "", "more than one assignment"},
		"sourced":         {"X=a\n. /etc/x\n", "", `". /etc/x" is more than an assignment`},
		"heredoc":         {"cat <<E\nX=a\nE\n", "", "under a condition"},
		"open double":     {"X=\"a\n", "", "a quote is not closed"},
		"open single":     {"X='a\n", "", "a quote is not closed"},
		"pipe":            {"X=a|b\n", "", "is more than an assignment"},
		"background":      {"X=a&\n", "", "is more than an assignment"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a := newAssignments()
			a.read("f", c.text)
			got, err := a.value("X")
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// TestAssignmentsAgreeWithShell holds the reader to what it says it reads.
func TestAssignmentsAgreeWithShell(t *testing.T) {
	for _, text := range []string{
		`X=a"b c"'d e'\ f`, `X="\$a \"b\" \\ \c"`, "X=a#b # c", "X=\"a \\\nb\"", "A=1\nX=\"$A ${A}2 $B\"",
		"X='a\nb'", `X="a$ b"`, "X=a$", `X=$%`, "X=a\\\nb", "X=~x", `X="a'b'c"`, `X='"'`, `X=\\\'`, "X=a;",
	} {
		a := newAssignments()
		a.read("f", text)
		got, err := a.value("X")
		require.NoError(t, err, text)
		out, err := exec.Command("sh", "-c", text+"\nprintf '%s' \"$X\"").Output()
		require.NoError(t, err, text)
		require.Equal(t, string(out), got, text)
	}
}

func TestSplitWords(t *testing.T) {
	cases := map[string]struct {
		text string
		want []string
		err  string
	}{
		"none":      {" \n ", nil, ""},
		"some":      {" quiet  splash\tx=1 ", []string{"quiet", "splash", "x=1"}, ""},
		"quoted":    {`dyndbg="file a.c +p" b='c d'`, []string{"dyndbg=file a.c +p", "b=c d"}, ""},
		"empty":     {`a '' b`, []string{"a", "", "b"}, ""},
		"escaped":   {`a\ b "\$c\"" `, []string{"a b", `$c"`}, ""},
		"hash":      {"a#b", []string{"a#b"}, ""},
		"dollar":    {"a=$b", nil, "must be quoted"},
		"in quotes": {`"$b"`, nil, "must be quoted"},
		"semicolon": {"a;b", nil, "must be quoted"},
		"brace":     {"a}", nil, "must be quoted"},
		"comment":   {"a # b", nil, "comment"},
		"open":      {`a "b`, nil, "not closed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := splitWords(c.text)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestPrettyName(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"debian":   {"PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=\"Debian GNU/Linux\"\n", "Debian GNU/Linux 13 (trixie)"},
		"fallback": {"NAME=Alpine\nVERSION='3.20'\n", "Alpine 3.20"},
		"hostile":  {"PRETTY_NAME=\"a\x1b[2Jb\u202e\"\n", "a [2Jb"},
		"long":     {"PRETTY_NAME=" + strings.Repeat("x", 100), strings.Repeat("x", 59) + "…"},
		"nothing":  {"", ""},
		"garbage":  {"PRETTY_NAME=$(reboot)\nNAME=`x`", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, prettyName(c.text)) })
	}
}

func FuzzAssignments(f *testing.F) {
	f.Add("X=a\nexport Y=\"$X b\" # c\n")
	f.Add("X='a\\\n${Y}'\nif x; then\n\\")
	f.Add("X=\"\\\n$A${B}`\"")
	f.Fuzz(func(t *testing.T, text string) {
		a := newAssignments()
		a.read("f", text)
		for name, v := range a.values {
			require.NotContains(t, a.unknown, name)
			_, _ = splitWords(v)
		}
	})
}

func FuzzPrettyName(f *testing.F) {
	f.Add("PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		title := prettyName(text)
		require.True(t, isClean(title))
		require.LessOrEqual(t, len([]rune(title)), titleLimit)
	})
}
