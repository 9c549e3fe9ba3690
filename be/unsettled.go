package be

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"snapbe/synclist"
)

// refuseStrict refuses conflicts, where the caller or the lists want that, and
// accounts that could not be written, in the host and its zones.
func (s *syncing) refuseStrict(what string) error {
	told := s.told(s.report)
	for _, z := range s.zones {
		told = append(told, z.told(z.report)...)
	}
	return s.refuseOpen(what, told)
}

// told are the lines about what is not to be gone on with.
func (s *syncing) told(r *synclist.Report) (lines []string) {
	for _, i := range r.Items {
		// Accounts that cannot be written at all would never get their locks:
		// the next sync takes them for told. A line that is none is told alone.
		lost := i.Action == synclist.Refused && i.Why != "" && slices.ContainsFunc(s.list, func(l synclist.Line) bool {
			return l.Path == i.Path && l.Mode == synclist.Merge
		})
		if s.strict || i.Strict || lost {
			lines = append(lines, s.unsettled(i)...)
		}
	}
	return lines
}

func (s *syncing) refuseOpen(what string, told []string) error {
	switch len(told) {
	case 0:
		return nil
	case 1:
		return refuse(Failed, s.wayOut(), "%s: %s", what, told[0])
	}
	return refuse(Failed, s.wayOut(), "%s: %s (and %d more)", what, told[0], len(told)-1)
}

// unsettled is the function of that name, with the zone before each line.
func (s *syncing) unsettled(items ...synclist.Item) []string {
	lines := unsettled(items...)
	for i := range lines {
		lines[i] = s.inZone() + lines[i]
	}
	return lines
}

// wayOut is what helps where a conflict is not wanted.
func (s *syncing) wayOut() string {
	without := "take STRICT off the line, or --no-sync"
	if s.strict {
		without = "go on without --strict"
	}
	return "snapbe sync --dry-run " + s.target.Name + " shows all; settle it in one of the two, or " + without
}

// notes tell of what the user should know before: what stays unsettled.
func (s *syncing) notes() []string {
	var notes []string
	for _, n := range s.base.notes {
		notes = append(notes, s.inZone()+n)
	}
	notes = append(notes, s.unsettled(s.report.Items...)...)
	for _, u := range s.lacks {
		notes = append(notes, fmt.Sprintf("%q has no %s enabled, which takes over there what changes from now on, and what is shared", s.target.Name, u))
	}
	notes = append(notes, s.zoneNotes...)
	for _, z := range s.zones {
		notes = append(notes, z.notes()...)
	}
	return notes
}

// unsettled has a line for each conflict and refusal, by file and by record.
func unsettled(items ...synclist.Item) (lines []string) {
	open := func(a synclist.Action) bool { return a == synclist.Conflict || a == synclist.Refused }
	for _, i := range items {
		records := 0
		for _, r := range i.Records {
			if open(r.Action) {
				records++
				lines = append(lines, fmt.Sprintf("%q, %s", i.Path, r))
			}
		}
		if records == 0 && open(i.Action) || len(i.Differs) > 0 {
			i.Records = nil
			lines = append(lines, i.String())
		}
	}
	return lines
}

const nothingToDo = "nothing to do"

// summary counts the files of a report by what was done with them, and what
// stays unsettled.
func summary(r *synclist.Report) string {
	counts := map[synclist.Action]int{synclist.Kept: r.Kept}
	for _, i := range r.Items {
		counts[i.Action]++
	}
	var parts []string
	for _, a := range []synclist.Action{synclist.Copied, synclist.Merged, synclist.Appended, synclist.Prepended, synclist.Removed, synclist.Kept} {
		if counts[a] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[a], a))
		}
	}
	if n := len(unsettled(r.Items...)); n > 0 {
		parts = append(parts, fmt.Sprintf("%d not settled", n))
	}
	if len(parts) == 0 {
		return nothingToDo
	}
	return strings.Join(parts, ", ")
}

// after tells what a sync has done, in a line, and what the plan did not know to
// stay unsettled. Of a zone that nothing was done in there is no line.
func (s *syncing) after(r *synclist.Report) (notes []string) {
	if done := summary(r); s.zone == "" || done != nothingToDo {
		notes = []string{fmt.Sprintf("%ssynced from %q: %s; %s written", s.inZone(), s.source.Name, done, humanize.IBytes(uint64(r.Written)))}
	}
	var known []string
	if s.report != nil {
		known = s.unsettled(s.report.Items...)
	}
	for _, line := range s.unsettled(r.Items...) {
		if !slices.Contains(known, line) {
			notes = append(notes, line)
		}
	}
	return notes
}
