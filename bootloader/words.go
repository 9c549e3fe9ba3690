package bootloader

import (
	"errors"
	"fmt"
	"strings"
)

var errUnclosed = errors.New("a quote is not closed")

// value passes one word of shell, with its quotes and variables resolved.
func (s *scanner) value(a *assignments) (string, error) {
	var b strings.Builder
	for s.pos < len(s.text) {
		var err error
		switch c := s.text[s.pos]; c {
		case ' ', '\t', '\n', ';':
			return b.String(), nil
		case '\'':
			err = s.single(&b)
		case '"':
			err = s.double(&b, a)
		case '\\':
			s.escaped(&b)
		case '$':
			err = s.variable(&b, a)
		case '`':
			err = errors.New("a command substitution is not run")
		case '&', '|', '<', '>', '(', ')':
			err = fmt.Errorf("%q is more than an assignment", string(c))
		default:
			b.WriteByte(s.advance())
		}
		if err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func (s *scanner) single(b *strings.Builder) error {
	s.advance()
	for s.pos < len(s.text) {
		c := s.advance()
		if c == '\'' {
			return nil
		}
		b.WriteByte(c)
	}
	return errUnclosed
}

func (s *scanner) double(b *strings.Builder, a *assignments) error {
	s.advance()
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case '"':
			s.advance()
			return nil
		case '\\':
			s.escapedInDouble(b)
		case '$':
			if err := s.variable(b, a); err != nil {
				return err
			}
		case '`':
			return errors.New("a command substitution is not run")
		default:
			b.WriteByte(s.advance())
		}
	}
	return errUnclosed
}

// escaped passes a backslash outside quotes; a backslash and a newline are
// nothing at all.
func (s *scanner) escaped(b *strings.Builder) {
	s.advance()
	if s.pos == len(s.text) {
		b.WriteByte('\\')
	} else if c := s.advance(); c != '\n' {
		b.WriteByte(c)
	}
}

// escapedInDouble passes a backslash between double quotes, which means
// something before a few characters alone.
func (s *scanner) escapedInDouble(b *strings.Builder) {
	s.advance()
	if s.pos == len(s.text) {
		return
	}
	c := s.advance()
	if !strings.ContainsRune("$`\"\\\n", rune(c)) {
		b.WriteByte('\\')
	}
	if c != '\n' {
		b.WriteByte(c)
	}
}

// variable passes $NAME or ${NAME}.
func (s *scanner) variable(b *strings.Builder, a *assignments) error {
	rest := s.text[s.pos+1:]
	if strings.HasPrefix(rest, "(") {
		return errors.New("a command substitution is not run")
	}
	braced := strings.HasPrefix(rest, "{")
	if braced {
		rest = rest[1:]
	}
	name := rest[:nameLength(rest)]
	if braced && (name == "" || !strings.HasPrefix(rest[len(name):], "}")) {
		return errors.New("an expansion other than ${NAME} is not understood")
	}
	if name == "" {
		if rest != "" && strings.ContainsRune("*@#?-$!0123456789'\"", rune(rest[0])) {
			return errors.New("an expansion other than $NAME is not understood")
		}
		b.WriteByte(s.advance())
		return nil
	}
	s.pos += 1 + len(name)
	if braced {
		s.pos += 2
	}
	if err := a.unknown[name]; err != nil {
		return fmt.Errorf("$%s: %w", name, err)
	}
	b.WriteString(a.values[name])
	return nil
}

// splitWords splits the kernel parameters as GRUB reads them in grub.cfg,
// where grub-mkconfig pastes them as they are.
func splitWords(text string) ([]string, error) {
	var words []string
	var b strings.Builder
	started := false
	s := &scanner{text: text}
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case ' ', '\t', '\n':
			s.advance()
			if started {
				words = append(words, b.String())
			}
			b.Reset()
			started = false
			continue
		case '\'':
			if err := s.single(&b); err != nil {
				return nil, err
			}
		case '"':
			if err := s.grubDouble(&b); err != nil {
				return nil, err
			}
		case '\\':
			s.escaped(&b)
		case '$', ';', '&', '|', '<', '>', '{', '}':
			return nil, fmt.Errorf("%q has a meaning of its own to GRUB and must be quoted", string(c))
		case '#':
			if !started {
				return nil, errors.New("'#' begins a comment to GRUB and must be quoted")
			}
			b.WriteByte(s.advance())
		default:
			b.WriteByte(s.advance())
		}
		started = true
	}
	if started {
		words = append(words, b.String())
	}
	return words, nil
}

// grubDouble passes a double-quoted string of GRUB's script.
func (s *scanner) grubDouble(b *strings.Builder) error {
	s.advance()
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case '"':
			s.advance()
			return nil
		case '\\':
			s.escapedInDouble(b)
		case '$':
			return errors.New(`"$" has a meaning of its own to GRUB and must be quoted`)
		default:
			b.WriteByte(s.advance())
		}
	}
	return errUnclosed
}
