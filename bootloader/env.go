package bootloader

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Env is what one boot disk remembers between two starts, where GRUB can write
// it: in a file of snapbe's own on the disk's FAT partition.
type Env struct {
	// Trial is the UUID of the BE that GRUB is to boot once; "" for none.
	Trial string
	// Tried is the UUID of the BE that GRUB has taken so, last. GRUB sets it in
	// the same write that clears Trial.
	Tried string
	// Generation is that of the menu on this disk's half of the mirror; 0 where
	// none is known.
	Generation uint64
}

// MaxGeneration is the highest generation that GRUB compares rightly: for BIOS
// its numbers have 32 bits and a sign.
const MaxGeneration = math.MaxInt32

// ErrEnvDamaged is the error of a file that is no environment block, or holds
// what snapbe does not write. GRUB boots no trial from it.
var ErrEnvDamaged = errors.New("not an environment block as snapbe writes it")

const (
	envSize      = 1024
	envSignature = "# GRUB Environment Block\n"

	envTrial      = "snapbe_trial"
	envTried      = "snapbe_tried"
	envGeneration = "snapbe_generation"
)

// Arm is e with the BE to boot once. GRUB boots no BE that it has tried, so
// that an armed disk which comes back late does not boot it again; arming
// therefore forgets what was tried.
func (e Env) Arm(uuid string) Env {
	e.Trial, e.Tried = uuid, ""
	return e
}

// Validate names what GRUB or the block could not hold.
func (e Env) Validate() error {
	for _, v := range []struct{ what, uuid string }{{"to be tried", e.Trial}, {"that was tried", e.Tried}} {
		if v.uuid != "" && !uuidForm.MatchString(v.uuid) {
			return fmt.Errorf("malformed uuid %q of the BE %s", v.uuid, v.what)
		}
	}
	if e.Generation > MaxGeneration {
		return fmt.Errorf("the menu's generation %d is more than %d", e.Generation, MaxGeneration)
	}
	return nil
}

// encodeEnv is the block of e, of envSize bytes. All of it but padding is in
// the first sector, as a disk writes whole or not at all, and stays so when
// GRUB writes to it: it only clears one uuid and sets the other.
func encodeEnv(e Env) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	text := envSignature + fmt.Sprintf("%s=%s\n%s=%s\n%s=%d\n",
		envTrial, e.Trial, envTried, e.Tried, envGeneration, e.Generation)
	return append([]byte(text), bytes.Repeat([]byte{'#'}, envSize-len(text))...), nil
}

// parseEnv reads a block as GRUB does. What else is in it is passed over. With
// ErrEnvDamaged the Env holds what could be read, and is not armed if it was
// the trial that could not.
func parseEnv(block []byte) (Env, error) {
	rest, found := bytes.CutPrefix(block, []byte(envSignature))
	if !found || len(block) != envSize {
		return Env{}, fmt.Errorf("%w: %d bytes that begin with %q", ErrEnvDamaged,
			len(block), shorten(clean(string(block[:min(len(block), 40)])), 30))
	}
	var e Env
	var errs []error
	for name, value := range envVariables(rest) {
		errs = append(errs, e.set(name, value))
	}
	return e, errors.Join(errs...)
}

// set takes one variable in. What is malformed counts as not set.
func (e *Env) set(name, value string) (err error) {
	switch name {
	case envTrial:
		e.Trial, err = envUUID(name, value)
	case envTried:
		e.Tried, err = envUUID(name, value)
	case envGeneration:
		e.Generation, err = strconv.ParseUint(value, 10, 31)
		if err != nil {
			e.Generation = 0
		}
		if value == "" {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEnvDamaged, err)
	}
	return nil
}

func envUUID(name, value string) (string, error) {
	if value != "" && !uuidForm.MatchString(value) {
		return "", fmt.Errorf("%s is %q", name, shorten(clean(value), 70))
	}
	return value, nil
}

// envVariables goes through the assignments as GRUB does (its lib/envblk.c): a
// line that begins with '#' is none, a name ends at '=' and nowhere before, a
// backslash takes the next character's meaning, and a value without a newline
// is none.
func envVariables(text []byte) func(yield func(name, value string) bool) {
	return func(yield func(name, value string) bool) {
		for len(text) > 0 {
			var name, value string
			var end bool
			if text[0] == '#' {
				_, text, _ = cutEnvLine(text)
				continue
			}
			name, text, end = cutName(text)
			if !end {
				return
			}
			value, text, end = cutEnvLine(text)
			if !end || !yield(name, value) {
				return
			}
		}
	}
}

// cutName splits off a name and the '=' after it.
func cutName(text []byte) (name string, rest []byte, found bool) {
	before, rest, found := bytes.Cut(text, []byte("="))
	return string(before), rest, found
}

// cutEnvLine splits off the text up to a newline, with no backslashes in it.
func cutEnvLine(text []byte) (line string, rest []byte, found bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\n':
			return b.String(), text[i+1:], true
		case '\\':
			if i++; i == len(text) {
				return "", nil, false
			}
		}
		b.WriteByte(text[i])
	}
	return "", nil, false
}
