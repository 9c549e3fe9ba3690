package mount

import "time"

// escapeKey, pressed escapeTimes within escapeWithin, ends what runs on a terminal,
// whatever that makes of its input: so it is with machinectl(1) and systemd-nspawn(1).
const (
	escapeKey    = 0x1d // ^]
	escapeTimes  = 3
	escapeWithin = time.Second
)

// escapeKeys waits for that in what is typed.
type escapeKeys struct {
	since time.Time
	times int
	// met is closed then.
	met chan struct{}
}

func newEscapeKeys() *escapeKeys { return &escapeKeys{met: make(chan struct{})} }

// press takes what was typed. It tells when the keys were met, and closes the channel.
func (e *escapeKeys) press(typed []byte, now time.Time) bool {
	for _, c := range typed {
		switch {
		case c != escapeKey:
			e.times = 0
			continue
		case e.times == 0 || now.Sub(e.since) > escapeWithin:
			e.since, e.times = now, 1
		default:
			e.times++
		}
		if e.times == escapeTimes {
			close(e.met)
			return true
		}
	}
	return false
}
