package main

// All that snapbe prints goes through this file, by these rules:
//
//   - stdout is for the answer alone: a list, a status, a path, a name, a
//     plan that was asked for, JSON. A script may take it as it is.
//   - stderr is for what happens meanwhile: what is going to be done, steps
//     with their durations, notes, questions, errors, and the log of -v.
//   - An error is one line, "snapbe: …", and a second one, "hint: …", where
//     there is a way out.
//   - Nothing moves or is redrawn. Colour is for stderr on a terminal, unless
//     NO_COLOR is set; without it the words are the same.
//   - A question is asked only where both stdin and stderr are a terminal,
//     and everything but a yes is a no.
//   - Names, descriptions and what other programs said are shown with control
//     and invisible characters escaped, so that they cannot play tricks on
//     the terminal, and each stays on its line.

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"snapbe/be"
)

type terminal struct {
	in       io.Reader
	out, err io.Writer
	// inTTY and errTTY tell whether somebody sits there.
	inTTY, errTTY bool
	colour        bool
	// lost is the first error of writing the answer.
	lost error
}

func newTerminal(in, out, err *os.File) *terminal {
	t := &terminal{in: in, out: out, err: err}
	t.inTTY = term.IsTerminal(int(in.Fd()))
	t.errTTY = term.IsTerminal(int(err.Fd()))
	t.colour = t.errTTY && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return t
}

// print writes a line of the answer.
func (t *terminal) print(line string) { t.answer(line + "\n") }

// answer writes to stdout and remembers where that was not possible: a list
// that went to a full disk is not a list.
func (t *terminal) answer(text string) {
	if _, err := io.WriteString(t.out, text); t.lost == nil {
		t.lost = err
	}
}

// tell writes a line that is not part of the answer.
func (t *terminal) tell(line string) { fmt.Fprintln(t.err, line) }

// fail tells of the error that ends the command.
func (t *terminal) fail(text, hint string) {
	t.tell("snapbe: " + printable(text))
	if hint != "" {
		t.tell("hint: " + printable(hint))
	}
}

// json writes the answer for programs, which a terminal may show all the same.
func (t *terminal) json(v any) error {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	t.answer(escapeJSON(text.String()))
	return nil
}

// announce says what is going to be done, before it is done; with the steps
// where somebody is to agree to them.
func (t *terminal) announce(p be.Plan, steps bool) {
	if len(p.Steps) == 0 {
		return
	}
	for _, line := range planLines(p, steps) {
		t.tell(line)
	}
}

// step tells of a step that was done.
func (t *terminal) step(s be.StepDone) {
	mark := "[ok]"
	if t.colour {
		mark = "\x1b[32m[ok]\x1b[0m"
	}
	t.tell(fmt.Sprintf("  %s %6s  %s", mark, seconds(s.Duration), printable(s.Name)))
}

// notes tells what the user should know.
func (t *terminal) notes(notes []string) {
	for _, n := range notes {
		t.tell("  note: " + printable(n))
	}
}

// plan answers a dry run.
func (t *terminal) plan(p be.Plan) {
	if len(p.Steps) == 0 {
		t.print("nothing to do")
		return
	}
	for _, line := range planLines(p, true) {
		t.print(line)
	}
}

func planLines(p be.Plan, steps bool) []string {
	lines := []string{printable(p.Title)}
	if steps {
		for i, s := range p.Steps {
			lines = append(lines, fmt.Sprintf("%4d  %s", i+1, printable(s)))
		}
	}
	for _, n := range p.Notes {
		lines = append(lines, "  note: "+printable(n))
	}
	if p.Frees > 0 {
		lines = append(lines, "  frees at least "+size(p.Frees))
	}
	return lines
}

// canAsk tells whether there is somebody to ask.
func (t *terminal) canAsk() bool { return t.inTTY && t.errTTY }

// askToGoOn is the one place where snapbe asks.
func (t *terminal) askToGoOn() bool {
	fmt.Fprint(t.err, "Go on? [y/N] ")
	line, _ := bufio.NewReader(t.in).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true
	}
	return false
}

// table writes rows in columns; the last one is as long as it is. Columns of
// which right holds the number stand to the right.
func (t *terminal) table(rows [][]string, right ...int) {
	var width []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], columns(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-columns(cell))
			if contains(right, i) {
				cell = pad + cell
			} else {
				cell += pad
			}
			if i > 0 {
				line.WriteString("  ")
			}
			line.WriteString(cell)
		}
		t.print(strings.TrimRight(line.String(), " "))
	}
}

func contains(list []int, n int) bool {
	for _, x := range list {
		if x == n {
			return true
		}
	}
	return false
}

// seconds is a duration as people read it, to a tenth.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
