package bootloader

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrFragment is the error of a fragment that Encode did not write, or not in
// this release: it is to be written anew.
var ErrFragment = errors.New("not a menu as snapbe writes it")

// Decode reads the menu back from the fragment's text. It takes nothing but
// what Encode writes, byte for byte, so that a menu it returns is the menu
// that GRUB shows.
func Decode(text []byte) (Menu, error) {
	var m Menu
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#@") {
			continue
		}
		if err := m.read(strings.TrimSuffix(line, "\n")); err != nil {
			return Menu{}, err
		}
	}
	if err := m.Validate(); err != nil {
		return Menu{}, fmt.Errorf("%w: %w", ErrFragment, err)
	}
	if !bytes.Equal(Encode(m), text) {
		return Menu{}, fmt.Errorf("%w: it was changed, or is of another release", ErrFragment)
	}
	return m, nil
}

// read takes one record in.
func (m *Menu) read(line string) error {
	var head menuHead
	var e Entry
	var d Disk
	switch mark, text := cutMark(line); mark {
	case menuRecord:
		if err := unmarshal(text, &head); err != nil {
			return err
		}
		m.PoolGUID, m.GrubPath, m.Default, m.Previous =
			head.PoolGUID, head.GrubPath, head.Default, head.Previous
		m.Trial, m.TrialCmdline, m.Generation = head.Trial, head.TrialCmdline, head.Generation
	case entryRecord:
		if err := unmarshal(text, &e); err != nil {
			return err
		}
		m.Entries = append(m.Entries, e)
	case diskRecord:
		if err := unmarshal(text, &d); err != nil {
			return err
		}
		m.Disks = append(m.Disks, d)
	default:
		return fmt.Errorf("%w: unknown record %q", ErrFragment, shorten(line, 40))
	}
	return nil
}

// cutMark splits a record's line after its mark.
func cutMark(line string) (mark, text string) {
	i := strings.IndexByte(line, ' ') + 1
	return line[:i], line[i:]
}

func unmarshal(text string, v any) error {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrFragment, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("%w: text after a record", ErrFragment)
	}
	return nil
}
