package synclist

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Mode is how a line's file is brought to the target.
type Mode string

// The modes. The first three are Live Upgrade's.
const (
	Overwrite Mode = "OVERWRITE"
	Append    Mode = "APPEND"
	Prepend   Mode = "PREPEND"
	Merge     Mode = "MERGE"
)

var modes = []Mode{Overwrite, Append, Prepend, Merge}

const modeNames = "OVERWRITE, APPEND, PREPEND, MERGE"

// Line is a line of a list.
type Line struct {
	// Path is absolute.
	Path string `json:"path"`
	Mode Mode   `json:"mode"`
	// Strict says that a conflict stops everything before the first write.
	Strict bool `json:"strict,omitempty"`
	// Remove says that what was removed in the source is removed in the target,
	// if it did not change there.
	Remove bool `json:"remove,omitempty"`
}

// String is the line as Parse reads it.
func (l Line) String() string {
	s := quote(l.Path) + " " + string(l.Mode)
	if l.Strict {
		s += " STRICT"
	}
	if l.Remove {
		s += " REMOVE"
	}
	return s
}

// List is what to sync, in that order.
type List []Line

// maxLine is the longest line of a list, in bytes: PATH_MAX in octal, and the
// keywords.
const maxLine = 4*4096 + 256

// Parse reads a list, a file a line:
//
//	path [OVERWRITE|APPEND|PREPEND|MERGE] [STRICT] [REMOVE]
//
// Without a keyword the mode is OVERWRITE. A line is a comment where '#' is its
// first character; empty ones are passed over. In a path, \ooo is the byte with
// that octal number, as in fstab(5): a space is \040, a backslash \134.
//
// Errors name the line.
func Parse(r io.Reader) (List, error) {
	var list List
	seen := map[string]int{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	number := 1
	for ; lines.Scan(); number++ {
		text := lines.Text()
		if strings.HasPrefix(text, "#") || strings.TrimSpace(text) == "" {
			continue
		}
		l, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("line %d, %q: %w", number, text, err)
		}
		switch i, twice := seen[l.Path]; {
		case !twice:
			seen[l.Path] = len(list)
			list = append(list, l)
		case list[i] != l:
			return nil, fmt.Errorf("line %d, %q: %q is listed before as %q", number, text, l.Path, list[i])
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("is longer than %d bytes", maxLine)
		}
		return nil, fmt.Errorf("line %d: %w", number, err)
	}
	return list, nil
}

func parseLine(text string) (Line, error) {
	// Not strings.Fields: other white space may be part of a path.
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' })
	if strings.ContainsAny(words[0], "*?[") {
		return Line{}, fmt.Errorf("a path has no wildcards; \\052 is a *, \\077 a ?, \\133 a [")
	}
	p, err := unquote(words[0])
	if err != nil {
		return Line{}, err
	}
	if err := checkPath(p); err != nil {
		return Line{}, err
	}
	l := Line{Path: p}
	for _, w := range words[1:] {
		if err := l.keyword(w); err != nil {
			return Line{}, err
		}
	}
	if l.Mode == "" {
		l.Mode = Overwrite
	}
	if l.Remove && l.Mode != Overwrite {
		return Line{}, fmt.Errorf("REMOVE goes with OVERWRITE, not with %s", l.Mode)
	}
	if l.Mode == Merge && formats[path.Base(p)] == nil {
		return Line{}, fmt.Errorf("MERGE is for files called %s", recordFiles)
	}
	return l, nil
}

func (l *Line) keyword(word string) error {
	up := strings.ToUpper(word)
	switch {
	case up == "STRICT" && !l.Strict:
		l.Strict = true
	case up == "REMOVE" && !l.Remove:
		l.Remove = true
	case slices.Contains(modes, Mode(up)):
		if l.Mode != "" {
			return fmt.Errorf("%s and %s: a line has one mode", l.Mode, up)
		}
		l.Mode = Mode(up)
	case up == "STRICT" || up == "REMOVE":
		return fmt.Errorf("%s is given twice", up)
	case strings.HasPrefix(word, "#"):
		return errors.New("a comment begins in the first column of a line of its own")
	default:
		return fmt.Errorf("%q is none of %s, STRICT, REMOVE (a space in a path is \\040)", word, modeNames)
	}
	return nil
}

func checkPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/"):
		return errors.New("a path begins with \"/\"")
	case p == "/":
		return errors.New("the whole BE cannot be listed")
	case path.Clean(p) != p:
		return fmt.Errorf("a path has no \"..\", \".\", \"//\" or \"/\" at its end; %q would be plain", path.Clean(p))
	case strings.ContainsRune(p, 0):
		return errors.New("a path has no NUL")
	}
	return nil
}

// unquote resolves \ooo.
func unquote(s string) (string, error) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			b.WriteString(s)
			return b.String(), nil
		}
		b.WriteString(s[:i])
		if len(s) < i+4 {
			return "", errBackslash
		}
		n, err := strconv.ParseUint(s[i+1:i+4], 8, 8)
		if err != nil {
			return "", errBackslash
		}
		b.WriteByte(byte(n))
		s = s[i+4:]
	}
}

var errBackslash = errors.New(`three octal digits of a byte follow a backslash, as in \040; itself it is \134`)

// quote is the inverse of unquote, on one line and without white space.
func quote(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || strings.IndexByte("\\*?[\x7f", c) >= 0 {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// mergedIn is the lines with MERGE for files in a directory.
func (list List) mergedIn(dir string) List {
	var in List
	for _, l := range list {
		if l.Mode == Merge && path.Dir(l.Path) == dir {
			in = append(in, l)
		}
	}
	return in
}
