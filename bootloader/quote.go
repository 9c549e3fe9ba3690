package bootloader

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain are the bytes that GRUB's script reads as themselves without quotes
// (GRUB's manual, "Quoting"); everything else is put between single quotes.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/:=,@%+-"

// quote writes s as one word of GRUB's script. Between single quotes only the
// single quote itself has a meaning; a newline cannot be quoted safely, since
// GRUB drops each line that begins with '#' before it looks for quotes.
func quote(s string) string {
	s = clean(s)
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// clean is s as one line of valid UTF-8: what would move the cursor, end the
// line or turn the direction of the text becomes a space.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// isClean tells whether clean would leave s as it is.
func isClean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unprintable)
}

// shorten cuts s to at most n runes, the last of them an ellipsis.
func shorten(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return strings.TrimRight(string([]rune(s)[:n-1]), " ") + "…"
}
