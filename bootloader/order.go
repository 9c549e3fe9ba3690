package bootloader

import "strings"

// compareVersions orders a and b as dpkg and "sort -V" do: runs of digits by
// their number, '~' before the end of the text, letters before other signs.
// It returns 0 only for texts that dpkg takes for the same version.
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = run(a, false)
		y, b = run(b, false)
		if c := compareText(x, y); c != 0 {
			return c
		}
		x, a = run(a, true)
		y, b = run(b, true)
		if c := compareDigits(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// run splits s after its leading digits, or after its leading other signs.
func run(s string, digits bool) (head, tail string) {
	for i := 0; i < len(s); i++ {
		if isDigit(s[i]) != digits {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

func compareDigits(x, y string) int {
	x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
	if len(x) != len(y) {
		return len(x) - len(y)
	}
	return strings.Compare(x, y)
}

func compareText(x, y string) int {
	for i := range max(len(x), len(y)) {
		if c := weight(x, i) - weight(y, i); c != 0 {
			return c
		}
	}
	return 0
}

// weight is the rank of s[i]; the end of s ranks 0.
func weight(s string, i int) int {
	switch {
	case i >= len(s):
		return 0
	case s[i] == '~':
		return -1
	case isLetter(s[i]):
		return int(s[i])
	}
	return int(s[i]) + 256
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
