package bootloader

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const (
	// topEntries is how many BEs stand in the menu itself; where there are
	// more, all but the default move to a submenu.
	topEntries = 4
	// descriptionWidth keeps titles within a console's 80 columns.
	descriptionWidth = 30
)

// The records say once more, for Decode, what the menu was made from. They
// are comments, which GRUB drops line by line before it reads anything.
const (
	menuRecord  = "#@menu "
	entryRecord = "#@entry "
	diskRecord  = "#@disk "
)

const header = `# The boot environments in GRUB's menu, written by snapbe from the pool's
# state. What is changed here is lost: see "snapbe boot update".
`

// menuHead is the record of what a Menu holds beside entries and disks.
type menuHead struct {
	PoolGUID uint64
	GrubPath string
	Default  string
	Previous string

	Trial        string   `json:",omitempty"`
	TrialCmdline []string `json:",omitempty"`
	Generation   uint64   `json:",omitempty"`
}

// Encode is the text of the menu fragment. It depends on m alone, not on the
// order of m.Entries, and Decode reads it back. Names and descriptions cannot
// break the text, whatever they hold.
func Encode(m Menu) []byte {
	m = m.Canonical()
	w := &script{}
	w.WriteString(header)
	w.record(menuRecord, menuHead{m.PoolGUID, m.GrubPath, m.Default, m.Previous,
		m.Trial, m.TrialCmdline, m.Generation})
	for _, e := range m.Entries {
		w.record(entryRecord, e)
	}
	for _, d := range m.Disks {
		w.record(diskRecord, d)
	}
	w.prologue(m)
	w.environments(m)
	w.disks(m)
	return w.Bytes()
}

// Canonical is m as Decode returns it: the default first, the previous BE
// second, the others by name; titles and descriptions as one line each.
func (m Menu) Canonical() Menu {
	m.Entries = slices.Clone(m.Entries)
	for i := range m.Entries {
		e := &m.Entries[i]
		e.Title, e.Description = clean(e.Title), clean(e.Description)
	}
	rank := func(e Entry) int {
		switch e.UUID {
		case m.Default:
			return 0
		case m.Previous:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(m.Entries, func(a, b Entry) int {
		if c := rank(a) - rank(b); c != 0 {
			return c
		}
		if c := compareVersions(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Name+"\x00"+a.UUID, b.Name+"\x00"+b.UUID)
	})
	return m
}

// script gathers the text of the fragment.
type script struct {
	bytes.Buffer
	depth int
}

// line writes one indented line; the caller quotes what needs it.
func (w *script) line(format string, args ...any) {
	w.WriteString(strings.Repeat("\t", w.depth))
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

// block writes head, a body one level deeper, and the closing brace.
func (w *script) block(head string, body func()) {
	w.line("%s {", head)
	w.depth++
	body()
	w.depth--
	w.line("}")
}

func (w *script) record(mark string, v any) {
	w.WriteString(mark)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	// Structs of strings and numbers cannot fail to be written as JSON.
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
}

// prologue names the disk that this very menu was read from. GRUB's search
// would not do: it asks what it found the last time before it asks a hint,
// and with a stale disk in front that is always the stale one.
func (w *script) prologue(m Menu) {
	w.line("")
	for _, module := range []string{"part_gpt", "zfs", "regexp", "probe"} {
		w.line("insmod %s", module)
	}
	w.line("set snapbe_root=")
	w.line(`regexp --set=1:snapbe_root '^\(([^)]*)\)' "$config_directory"`)
	w.line(`if [ -z "$snapbe_root" ]; then`)
	w.line("\tsearch --no-floppy --fs-uuid --set=snapbe_root %016x", m.PoolGUID)
	w.line("fi")
	w.line("export snapbe_root")
	w.environment(m)
	w.choose(m)
}

// failback is the entry to go back to, if there is one.
func (m Menu) failback() *Entry {
	for i := range m.Entries {
		if m.Previous != "" && m.Entries[i].UUID == m.Previous && m.Previous != m.Default {
			return &m.Entries[i]
		}
	}
	return nil
}

// environments writes the default, the trial's and the failback entry right
// after it, where "fallback" expects them, and the others.
func (w *script) environments(m Menu) {
	rest := m.Entries
	if len(rest) > 0 {
		w.line("")
		w.entry(rest[0], title(rest[0]), id(rest[0].UUID))
		rest = rest[1:]
	}
	if e := m.trial(); e != nil {
		w.trialEntry(m, *e)
	}
	if back := m.failback(); back != nil {
		w.entry(*back, "Failback: "+beTitle(*back), "snapbe-failback")
	}
	list := func() {
		for _, e := range rest {
			w.entry(e, title(e), id(e.UUID))
		}
	}
	if len(m.Entries) <= topEntries {
		list()
		return
	}
	w.block("submenu 'More boot environments' --unrestricted --id snapbe-more", list)
}

func (w *script) entry(e Entry, title, id string) {
	w.start(e, title, id, nil, nil)
}

// start writes an entry that boots e, with files for the kernel to unpack
// before the initrd and parameters after its own.
func (w *script) start(e Entry, title, id string, before, more []string) {
	head := "menuentry " + quote(title) +
		" --unrestricted --class gnu-linux --class gnu --class os --id " + quote(id)
	w.block(head, func() {
		for _, module := range []string{"gzio", "part_gpt", "zfs"} {
			w.line("insmod %s", module)
		}
		w.line(`set root="$snapbe_root"`)
		w.line("echo %s", quote("Loading BE "+e.Name+" ..."))
		w.line("linux %s", words(slices.Concat([]string{e.Path + "/" + e.Kernel, "root=ZFS=" + e.Dataset, "ro"},
			e.Cmdline, more)))
		w.line("initrd %s", words(append(slices.Clone(before), e.Path+"/"+e.Initrd)))
	})
}

func words(list []string) string {
	var quoted []string
	for _, word := range list {
		quoted = append(quoted, quote(word))
	}
	return strings.Join(quoted, " ")
}

func id(uuid string) string { return "snapbe-" + uuid }

func title(e Entry) string {
	// GRUB takes a title that begins with a dash for an option.
	system := strings.TrimLeft(clean(e.Title), "- ")
	if system == "" {
		return describe("BE "+e.Name, e)
	}
	return describe(system+", BE "+e.Name, e)
}

func beTitle(e Entry) string {
	if e.Title == "" {
		return describe("BE "+e.Name, e)
	}
	return describe("BE "+e.Name+", "+e.Title, e)
}

func describe(s string, e Entry) string {
	if d := strings.TrimSpace(clean(e.Description)); d != "" {
		s += ": " + shorten(d, descriptionWidth)
	}
	return s
}
