package lab

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEscape(t *testing.T) {
	for _, test := range []struct {
		name, in, want string
	}{
		{"plain", "a\tb\r\n", "a\tb\n"},
		{"colour", "[\x1b[0;32m  OK  \x1b[0m] up", "[  OK  ] up"},
		{"moves of the cursor", "one\x1b[5;3Htwo\x1b[H\x1b[2Jthree", "one\ntwo\nthree"},
		{"typing", "\x1b[9;1Hgrub> \x1b[9;7Hl\x1b[9;8Hs", "\ngrub> ls"},
		{"title", "\x1b]0;root@debian\aprompt", "prompt"},
		{"character set", "\x1b(Bx", "x"},
		{"UTF-8", "Network…", "Network…"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var text strings.Builder
			var esc escape
			for _, b := range []byte(test.in) {
				esc.plain(&text, b)
			}
			require.Equal(t, test.want, text.String())
		})
	}
}
