package lab

import "strings"

// escape takes terminal control sequences out of a stream (ECMA-48, as far as
// GRUB and systemd use them).
type escape struct {
	state  escapeState
	params []byte // of the control sequence so far
	row    string // where the cursor was last moved to
}

type escapeState int

const (
	ground  escapeState = iota
	escaped             // after ESC
	control             // inside CSI … final byte
	command             // inside OSC … BEL or ESC \
)

// plain adds b to text, unless it belongs to a sequence. Where a sequence
// moves the cursor to another row, a new line begins.
func (e *escape) plain(text *strings.Builder, b byte) {
	switch e.state {
	case escaped:
		switch b {
		case '[':
			e.state = control
			e.params = e.params[:0]
		case ']':
			e.state = command
		case ' ', '(', ')', '#':
			// One more byte follows.
		default:
			e.state = ground
		}
	case control:
		if b < '@' || b > '~' {
			e.params = append(e.params, b)
			return
		}
		e.state = ground
		if b == 'H' {
			e.move(text)
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

// move ends a line, where the cursor leaves its row. GRUB sets the cursor
// before each character that is typed.
func (e *escape) move(text *strings.Builder) {
	row, _, _ := strings.Cut(string(e.params), ";")
	if row != e.row && !strings.HasSuffix(text.String(), "\n") {
		text.WriteByte('\n')
	}
	e.row = row
}
