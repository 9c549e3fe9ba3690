package bootloader

import (
	"errors"
	"fmt"
	"strings"
)

// assignments reads NAME=value lines as sh(1) would, and runs nothing: quotes,
// backslashes, comments, continued lines, and $NAME of names assigned before.
// What goes beyond that makes the name's value unknown, which is an error
// only for those who ask for it.
type assignments struct {
	values  map[string]string
	unknown map[string]error
	// statements are the lines that are no assignment.
	statements []statement
	// depth counts the conditions and loops around the line at hand.
	depth int
}

// statement is a line of shell that is no plain assignment.
type statement struct{ where, text string }

func newAssignments() *assignments {
	return &assignments{values: map[string]string{}, unknown: map[string]error{}}
}

// read takes the text of one file in; file is its name for messages.
func (a *assignments) read(file, text string) {
	s := &scanner{text: strings.ReplaceAll(text, "\r\n", "\n"), line: 1}
	a.depth = 0
	for s.next() {
		where := fmt.Sprintf("%s:%d", file, s.line)
		start := s.pos
		s.export()
		name := s.name()
		if name == "" {
			s.pos = start
			a.statement(where, s.skipLine())
			continue
		}
		value, err := s.value(a)
		if err == nil && !s.atEnd() {
			err = errors.New("more than one assignment in a line")
		}
		if err == nil && a.depth > 0 {
			err = errors.New("an assignment under a condition is not understood")
		}
		if err != nil {
			s.skipLine()
			a.unknown[name] = fmt.Errorf("%s: %w", where, err)
			delete(a.values, name)
			continue
		}
		a.values[name] = value
		delete(a.unknown, name)
	}
}

// statement keeps in mind a line that is no assignment, and whether those
// after it depend on it. Words are taken where they stand, quotes or not: to
// see a condition too many costs a message, to miss one a wrong parameter.
func (a *assignments) statement(where, text string) {
	a.statements = append(a.statements, statement{where, text})
	for _, word := range strings.FieldsFunc(text, func(r rune) bool {
		return strings.ContainsRune(" \t\n;&|()", r)
	}) {
		switch word {
		case "if", "case", "for", "while", "until", "select", "{", "exit", "return":
			a.depth++
		case "fi", "esac", "done", "}":
			a.depth = max(0, a.depth-1)
		}
	}
	if strings.Contains(text, "<<") {
		a.depth++
	}
}

// mayAssign tells whether the statement could assign name.
func (s statement) mayAssign(name string) bool {
	if strings.Contains(s.text, name) {
		return true
	}
	word, _, _ := strings.Cut(s.text, " ")
	return word == "." || word == "source" || word == "eval"
}

// value is the value of name, "" where it was never assigned.
func (a *assignments) value(name string) (string, error) {
	if err := a.unknown[name]; err != nil {
		return "", err
	}
	for _, s := range a.statements {
		if s.mayAssign(name) {
			return "", fmt.Errorf("%s: %q is more than an assignment", s.where, shorten(s.text, 60))
		}
	}
	return a.values[name], nil
}

// scanner goes through the shell's text.
type scanner struct {
	text string
	pos  int
	line int
}

// next moves to the next line that holds something.
func (s *scanner) next() bool {
	for s.pos < len(s.text) {
		s.blanks()
		switch {
		case s.pos == len(s.text):
		case s.text[s.pos] == '\n':
			s.advance()
		case s.text[s.pos] == '#':
			s.comment()
		default:
			return true
		}
	}
	return false
}

func (s *scanner) advance() byte {
	c := s.text[s.pos]
	s.pos++
	if c == '\n' {
		s.line++
	}
	return c
}

func (s *scanner) blanks() {
	for s.pos < len(s.text) {
		switch {
		case s.text[s.pos] == ' ' || s.text[s.pos] == '\t':
			s.advance()
		case strings.HasPrefix(s.text[s.pos:], "\\\n"):
			s.advance()
			s.advance()
		default:
			return
		}
	}
}

func (s *scanner) comment() {
	for s.pos < len(s.text) && s.text[s.pos] != '\n' {
		s.advance()
	}
}

// skipLine goes to the end of the line, continued lines included, and returns
// what it passed.
func (s *scanner) skipLine() string {
	start := s.pos
	for s.pos < len(s.text) && s.text[s.pos] != '\n' {
		if s.advance() == '\\' && s.pos < len(s.text) {
			s.advance()
		}
	}
	return s.text[start:s.pos]
}

// atEnd passes blanks, ';' and a comment, and tells whether the line ends.
func (s *scanner) atEnd() bool {
	s.blanks()
	if s.pos < len(s.text) && s.text[s.pos] == ';' {
		s.advance()
		s.blanks()
	}
	if s.pos < len(s.text) && s.text[s.pos] == '#' {
		s.comment()
	}
	return s.pos == len(s.text) || s.text[s.pos] == '\n'
}

// export passes the word "export" before an assignment.
func (s *scanner) export() {
	if rest, ok := strings.CutPrefix(s.text[s.pos:], "export"); ok &&
		(strings.HasPrefix(rest, " ") || strings.HasPrefix(rest, "\t")) {
		s.pos += len("export")
		s.blanks()
	}
}

// name passes "NAME=" and returns the name, or passes nothing.
func (s *scanner) name() string {
	end := s.pos + nameLength(s.text[s.pos:])
	if end == s.pos || end == len(s.text) || s.text[end] != '=' {
		return ""
	}
	name := s.text[s.pos:end]
	s.pos = end + 1
	return name
}

func nameLength(s string) int {
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && c != '_' && (i == 0 || !isDigit(c)) {
			return i
		}
	}
	return len(s)
}
