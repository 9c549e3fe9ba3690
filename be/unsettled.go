package be

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"snapbe/synclist"
)

// refuseStrict refuses conflicts, where the caller or the list wants that, and
// accounts that could not be written.
func (s *syncing) refuseStrict(what string, r *synclist.Report) error {
	var told []string
	for _, i := range r.Items {
		// Accounts that cannot be written at all would never get their locks:
		// the next sync takes them for told. A line that is none is told alone.
		lost := i.Action == synclist.Refused && i.Why != "" && slices.ContainsFunc(s.list, func(l synclist.Line) bool {
			return l.Path == i.Path && l.Mode == synclist.Merge
		})
		if s.strict || i.Strict || lost {
			told = append(told, unsettled(i)...)
		}
	}
	switch len(told) {
	case 0:
		return nil
	case 1:
		return refuse(Failed, s.wayOut(), "%s: %s", what, told[0])
	}
	return refuse(Failed, s.wayOut(), "%s: %s (and %d more)", what, told[0], len(told)-1)
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
	notes := append(slices.Clone(s.base.notes), unsettled(s.report.Items...)...)
	for _, u := range s.lacks {
		notes = append(notes, fmt.Sprintf("%q has no %s enabled, which takes over there what changes from now on, and what is shared", s.target.Name, u))
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
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}

// after tells what a sync has done, in a line, and what the plan did not know to
// stay unsettled.
func (s *syncing) after(r *synclist.Report) []string {
	notes := []string{fmt.Sprintf("synced from %q: %s; %s written", s.source.Name, summary(r), humanize.IBytes(uint64(r.Written)))}
	var known []string
	if s.report != nil {
		known = unsettled(s.report.Items...)
	}
	for _, line := range unsettled(r.Items...) {
		if !slices.Contains(known, line) {
			notes = append(notes, line)
		}
	}
	return notes
}
