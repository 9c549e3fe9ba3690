package lab

import "strings"

// escape takes terminal control sequences out of a stream (ECMA-48, as far as
// GRUB and systemd use them).
type escape struct {
	state escapeState
}

type escapeState int

const (
	ground  escapeState = iota
	escaped             // after ESC
	control             // inside CSI … final byte
	command             // inside OSC … BEL or ESC \
)

// plain adds b to text, unless it belongs to a sequence. Where a sequence
// moves the cursor, a new line begins.
func (e *escape) plain(text *strings.Builder, b byte) {
	switch e.state {
	case escaped:
		switch b {
		case '[':
			e.state = control
		case ']':
			e.state = command
		case ' ', '(', ')', '#':
			// One more byte follows.
		default:
			e.state = ground
		}
	case control:
		if b < '@' || b > '~' {
			return
		}
		e.state = ground
		if b == 'H' && !strings.HasSuffix(text.String(), "\n") {
			text.WriteByte('\n')
		}
	case command:
		switch b {
		case '\a':
			e.state = ground
		case 0x1b:
			e.state = escaped
		}
	default:
		switch {
		case b == 0x1b:
			e.state = escaped
		case b == '\n' || b == '\t' || b >= ' ':
			text.WriteByte(b)
		}
	}
}
