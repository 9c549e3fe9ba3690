package synclist

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Action is what was done, or in a plan is to be done, with a file or record.
type Action string

// The actions.
const (
	Copied    Action = "copied"
	Kept      Action = "kept"
	Appended  Action = "appended"
	Prepended Action = "prepended"
	Merged    Action = "merged"
	Added     Action = "added"
	Removed   Action = "removed"
	Same      Action = "same"
	// Shared is left out because all BEs have it in common.
	Shared Action = "shared"
	// Skipped is left out because the source has none, or because a symlink
	// leads there.
	Skipped Action = "skipped"
	// Refused is left as it is because it must not or cannot be changed.
	Refused Action = "refused"
	// Conflict is changed on both sides; the target's stays.
	Conflict Action = "conflict"
)

// NotInSource is why a line is skipped that the source has nothing for.
const NotInSource = "not in the source"

// Report tells what was done, or in a plan what is to be done. There is no
// content of any file in it, and no password, in whatever form.
type Report struct {
	// Items are the lines' own files, and of what is beneath a directory that
	// was listed only what was acted on, is in conflict, refused or left out.
	Items []Item `json:"items"`
	// Unchanged and Kept are how many files beneath directories need nothing:
	// alike on both sides, and changed in the target alone.
	Unchanged int `json:"unchanged"`
	Kept      int `json:"kept"`
	// Written is in bytes.
	Written int64 `json:"written"`
}

// Item is a file of a report.
type Item struct {
	Path   string `json:"path"`
	Action Action `json:"action"`
	Why    string `json:"why,omitempty"`
	// Differs names what both sides changed each in its way, and the target has
	// kept: content, mode, owner…
	Differs []string `json:"differs,omitempty"`
	// Source and Target are set where something differs.
	Source *Stat `json:"source,omitempty"`
	Target *Stat `json:"target,omitempty"`
	// Records are those of a record file that were acted on or could not be.
	Records []Record `json:"records,omitempty"`
	// Strict tells that the line is marked so.
	Strict bool `json:"strict,omitempty"`
	// Bytes is how many were written.
	Bytes int64 `json:"bytes,omitempty"`
}

// Stat is what a file is known by in a conflict.
type Stat struct {
	// Size is in bytes.
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

// Record is a record of a file such as passwd(5).
type Record struct {
	// Key is the user's or group's name, or "line 7" where there is none to be
	// trusted.
	Key string `json:"key"`
	// Fields are the names of those that Action is about; none: all of them.
	Fields []string `json:"fields,omitempty"`
	Action Action   `json:"action"`
	Why    string   `json:"why,omitempty"`
}

func (r *Report) add(line Line, i Item) {
	i.Strict = line.Strict
	r.Items = append(r.Items, i)
	r.Written += i.Bytes
}

// inConflict tells that something changed on both sides could not be brought
// together.
func (i Item) inConflict() bool {
	return i.Action == Conflict || len(i.Differs) > 0 ||
		slices.ContainsFunc(i.Records, func(r Record) bool { return r.Action == Conflict })
}

func (i Item) refused() bool {
	return i.Action == Refused ||
		slices.ContainsFunc(i.Records, func(r Record) bool { return r.Action == Refused })
}

// Conflicts are the items that something in is in conflict, be it a record or
// an attribute.
func (r *Report) Conflicts() []Item {
	var in []Item
	for _, i := range r.Items {
		if i.inConflict() {
			in = append(in, i)
		}
	}
	return in
}

// unsettled is what a strict line does not go on with.
func (r *Report) unsettled(all bool) []Item {
	var in []Item
	for _, i := range r.Items {
		if (all || i.Strict) && (i.inConflict() || i.refused()) {
			in = append(in, i)
		}
	}
	return in
}

// String is the item in one line, with its records after it, each on its own.
func (i Item) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q: %s", i.Path, i.Action)
	if i.Why != "" {
		fmt.Fprintf(&b, " (%s)", i.Why)
	}
	if len(i.Differs) > 0 && i.Source != nil && i.Target != nil {
		fmt.Fprintf(&b, "; differs in %s: source %s, target %s", strings.Join(i.Differs, ", "), i.Source, i.Target)
	}
	for _, r := range i.Records {
		fmt.Fprintf(&b, "\n  %s", r)
	}
	return b.String()
}

func (s *Stat) String() string {
	return fmt.Sprintf("%d bytes of %s", s.Size, s.Modified.UTC().Format(time.RFC3339))
}

func (r Record) String() string {
	s := fmt.Sprintf("%q: %s", r.Key, r.Action)
	if len(r.Fields) > 0 {
		s += " " + strings.Join(r.Fields, ", ")
	}
	if r.Why != "" {
		s += " (" + r.Why + ")"
	}
	return s
}

// String is a line for each item and record, and one of how many need nothing.
func (r *Report) String() string {
	var b strings.Builder
	for _, i := range r.Items {
		fmt.Fprintln(&b, i)
	}
	fmt.Fprintf(&b, "%d unchanged, %d kept, %d bytes written\n", r.Unchanged, r.Kept, r.Written)
	return b.String()
}
