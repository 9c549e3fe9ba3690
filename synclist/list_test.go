package synclist

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       List
	}{
		{"empty", "", nil},
		{"mode is OVERWRITE", "/a/b\n", List{{Path: "/a/b", Mode: Overwrite}}},
		{"comments and empty lines", "# x\n\n \t\n#/a\n/b APPEND", List{{Path: "/b", Mode: Append}}},
		{"all words", "/etc/shadow\tMERGE  STRICT\n/d REMOVE\n/e STRICT REMOVE OVERWRITE\n", List{
			{Path: "/etc/shadow", Mode: Merge, Strict: true}, {Path: "/d", Mode: Overwrite, Remove: true},
			{Path: "/e", Mode: Overwrite, Strict: true, Remove: true},
		}},
		{"lower case", "/a prepend strict", List{{Path: "/a", Mode: Prepend, Strict: true}}},
		{"CRLF", "/a APPEND\r\n/b\r\n", List{{Path: "/a", Mode: Append}, {Path: "/b", Mode: Overwrite}}},
		{"octal", `/a\040b\012c\134 APPEND`, List{{Path: "/a b\nc\\", Mode: Append}}},
		{"twice alike", "/a\n/a OVERWRITE\n", List{{Path: "/a", Mode: Overwrite}}},
		{"hash within", "/a#b\n", List{{Path: "/a#b", Mode: Overwrite}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse(strings.NewReader(c.text))
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"\n\netc/passwd", `line 3, "etc/passwd": a path begins with "/"`},
		{"/", `the whole BE cannot be listed`},
		{"/a/../b", `"/b" would be plain`},
		{"/a/", `"/a" would be plain`},
		{"/a//b", `"/a/b" would be plain`},
		{"/a COPY", `"COPY" is none of OVERWRITE, APPEND, PREPEND, MERGE, STRICT, REMOVE`},
		{"/a b c", `"b" is none of`},
		{"/a # why", `a comment begins in the first column`},
		{"/a APPEND MERGE", `APPEND and MERGE: a line has one mode`},
		{"/a STRICT STRICT", `STRICT is given twice`},
		{"/etc/hosts MERGE", `MERGE is for files called shadow, gshadow, passwd, group, subuid, subgid`},
		{"/a APPEND REMOVE", `REMOVE goes with OVERWRITE, not with APPEND`},
		{"/a\n/b\n/a APPEND", `line 3, "/a APPEND": "/a" is listed before as "/a OVERWRITE"`},
		{`/a\04`, `three octal digits`},
		{`/a\999`, `three octal digits`},
		{`/a\777`, `three octal digits`},
		{`/a\000b`, `a path has no NUL`},
		{"/" + strings.Repeat("x", maxLine), "line 1: is longer than"},
	} {
		_, err := Parse(strings.NewReader(c.text))
		assert.ErrorContains(t, err, c.want, "%.40q", c.text)
	}
}

func TestDefaultLists(t *testing.T) {
	assert.Greater(t, len(Default()), 20)
	solaris, err := Parse(strings.NewReader(SolarisText()))
	require.NoError(t, err)
	var lines []string
	for _, l := range solaris {
		lines = append(lines, l.String())
	}
	assert.Equal(t, `/var/mail OVERWRITE
/var/spool/mqueue OVERWRITE
/var/spool/cron/crontabs OVERWRITE
/var/dhcp OVERWRITE
/etc/passwd OVERWRITE
/etc/shadow OVERWRITE
/etc/opasswd OVERWRITE
/etc/oshadow OVERWRITE
/etc/group OVERWRITE
/etc/pwhist OVERWRITE
/etc/default/passwd OVERWRITE
/etc/dfs OVERWRITE
/var/log/syslog APPEND
/var/adm/messages APPEND`, strings.Join(lines, "\n"))
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{debianText, solarisText, "/a\\040b APPEND STRICT\n", "/a\\777", "\u00a0\n/\xff x", "/a\v"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		var b strings.Builder
		for _, l := range list {
			require.NoError(t, checkPath(l.Path))
			b.WriteString(l.String() + "\n")
		}
		again, err := Parse(strings.NewReader(b.String()))
		require.NoError(t, err)
		require.Equal(t, list, again)
	})
}
