package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// printable escapes what would not show as one character on its line: control
// characters, line ends, invisible ones and those that change the direction,
// and bytes that are no UTF-8.
func printable(s string) string {
	return escape(s, func(r rune) bool { return r == ' ' || unicode.IsPrint(r) })
}

// field is printable for a list whose columns end at ";": the line has as many
// of them as it has columns, whatever the text is, and a backslash is escaped
// too, so that the text can be had back.
func field(s string) string {
	return escape(s, func(r rune) bool {
		return r != ';' && r != '\\' && (r == ' ' || unicode.IsPrint(r))
	})
}

// escape writes a rune that does not show as Go and printf(1) write it.
func escape(s string, shows func(rune) bool) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case shows(r):
			b.WriteRune(r)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
	}
	return b.String()
}

// escapeJSON escapes in JSON what encoding/json leaves and printable does not:
// there it can only be part of a string.
func escapeJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || r == ' ' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// columns is how wide a text shows, with wide characters taken for one.
func columns(s string) int { return utf8.RuneCountInString(s) }

// size is a number of bytes as zfs list prints it, such as 4.42G.
func size(n uint64) string {
	number, unit, _ := strings.Cut(humanize.IBytesN(n, 3), " ")
	return number + strings.TrimSuffix(unit, "iB")
}

// moment is a time in the zone of whoever reads it.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// dash stands for what is empty, so that a column never is.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
