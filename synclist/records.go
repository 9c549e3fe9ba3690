package synclist

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// format is how the records of a file are made.
type format struct {
	name string
	// fields are the names of them all, the key first.
	fields []string
	// keyed tells that the first field is unique; otherwise a record is only
	// ever there or not.
	keyed bool
}

// The names of fields that are merged in a way of their own.
const (
	password   = "password"
	lastChange = "lastchange"
	expire     = "expire"
	members    = "members"
	admins     = "administrators"
	uid        = "uid"
	gid        = "gid"
)

// formats are the record files, by name: passwd(5), shadow(5), group(5),
// gshadow(5), subuid(5), subgid(5).
var formats = map[string]*format{
	"passwd":  {"passwd", []string{"name", password, uid, gid, "gecos", "home", "shell"}, true},
	"shadow":  {"shadow", []string{"name", password, lastChange, "min", "max", "warn", "inactive", expire, "reserved"}, true},
	"group":   {"group", []string{"name", password, gid, members}, true},
	"gshadow": {"gshadow", []string{"name", password, admins, members}, true},
	"subuid":  {"subuid", []string{"name", "start", "count"}, false},
	"subgid":  {"subgid", []string{"name", "start", "count"}, false},
}

// recordFiles is in the order in which they are written: who must not get in
// is known first.
const recordFiles = "shadow, gshadow, passwd, group, subuid, subgid"

// field is the number of a field; -1 where the format has none.
func (f *format) field(name string) int { return slices.Index(f.fields, name) }

// record is the fields of a line.
type record []string

func (r record) String() string { return strings.Join(r, ":") }

// key is what a record is known by.
func (f *format) key(r record) string {
	if f.keyed {
		return r[0]
	}
	return r.String()
}

// row is a line of a record file.
type row struct {
	// raw is without the end, which is "\n", "\r\n", or at the end of a file
	// something less.
	raw, end string
	// record is nil for comments, empty lines, lines for NIS, and malformed
	// ones; why says which of the last two.
	record record
	why    string
}

// table is a record file.
type table struct {
	format *format
	rows   []row
	// records are all, by key.
	records map[string]record
	// spoiled are the keys of malformed lines, and those of several records: of
	// them nothing is known. doubled are the latter.
	spoiled, doubled map[string]bool
	// held are the fields of such lines, however many: what of them can be read
	// counts, not only here.
	held []record
}

// parseTable reads a record file; nothing of it is lost.
func parseTable(f *format, content []byte) *table {
	t := &table{format: f, records: map[string]record{}, spoiled: map[string]bool{}, doubled: map[string]bool{}}
	for line := range bytes.Lines(content) {
		r := splitEnd(string(line))
		t.rows = append(t.rows, f.read(r))
		last := &t.rows[len(t.rows)-1]
		if last.record == nil {
			if name, _, _ := strings.Cut(last.raw, ":"); last.why != "" {
				t.spoiled[name] = true
			}
			continue
		}
		key := f.key(last.record)
		if f.keyed && t.records[key] != nil {
			t.doubled[key] = true
		}
		t.records[key] = last.record
	}
	for i := range t.rows {
		r := &t.rows[i]
		if r.record != nil && f.keyed && t.doubled[f.key(r.record)] {
			key := f.key(r.record)
			t.spoiled[key] = true
			delete(t.records, key)
			r.record, r.why = nil, twoRecords
		}
		if r.why != "" && !r.isNIS() {
			t.held = append(t.held, strings.Split(r.raw, ":"))
		}
	}
	return t
}

const twoRecords = "there are two records for it"

// numberAt is the number in a field, of which a malformed line may lack some.
func (r record) numberAt(field int) (int64, bool) {
	if field < 0 || field >= len(r) || r[0] == "" {
		return 0, false
	}
	return number(strings.TrimSpace(r[field]))
}

func splitEnd(line string) row {
	for _, end := range []string{"\r\n", "\n", "\r"} {
		if raw, ok := strings.CutSuffix(line, end); ok {
			return row{raw: raw, end: end}
		}
	}
	return row{raw: line}
}

// read makes a record of a line, if it is one.
func (f *format) read(r row) row {
	switch {
	case strings.TrimSpace(r.raw) == "" || r.raw[0] == '#':
		return r
	case r.isNIS():
		r.why = "a line for NIS"
		return r
	}
	fields := strings.Split(r.raw, ":")
	switch {
	case len(fields) != len(f.fields):
		r.why = fmt.Sprintf("malformed: %d fields, not %d", len(fields), len(f.fields))
	case fields[0] == "":
		r.why = "malformed: no name"
	case strings.Contains(r.raw, "\r"): // at the end it would become a part of the line's
		r.why = "malformed: a carriage return in it"
	default:
		r.record = fields
	}
	return r
}

// isNIS tells of the lines that have records of a name service included or
// left out.
func (r row) isNIS() bool { return r.raw != "" && (r.raw[0] == '+' || r.raw[0] == '-') }

// printable is a key as it is shown: what may be a hash in the wrong place is
// not, but the number of its line.
func printable(key string, line int) string {
	// Samba's machine accounts end with "$".
	if strings.Contains(strings.TrimSuffix(key, "$"), "$") || len(key) > 128 {
		return fmt.Sprintf("line %d", line)
	}
	return key
}

// locked tells of a password field that lets nobody in.
func locked(field string) bool { return strings.HasPrefix(field, "!") || strings.HasPrefix(field, "*") }

// edit is what becomes of a table.
type edit struct {
	changed map[string]record
	removed map[string]bool
	// added are in their order.
	added   []record
	records []Record
	// contested are the keys of records that were removed in the source, and are
	// not here.
	contested map[string]bool
}

// after is a table's record after an edit; nil where there is none.
func (t *table) after(e *edit, key string) record {
	if r, ok := e.changed[key]; ok {
		return r
	}
	if e.removed[key] {
		return nil
	}
	return t.records[key]
}

// all are the records after an edit, in order.
func (t *table) all(e *edit) []record {
	var all []record
	for _, r := range t.rows {
		if r.record == nil {
			continue
		}
		if now := t.after(e, t.format.key(r.record)); now != nil {
			all = append(all, now)
		}
	}
	return append(all, e.added...)
}

// holding are the records after an edit, and what there is of others.
func (t *table) holding(e *edit) []record { return append(t.all(e), t.held...) }

// holdingNow are the records without an edit.
func (t *table) holdingNow() []record { return t.holding(&edit{}) }

// render is the file after an edit. Additions go before the lines for NIS at
// its end, which would hide them.
func (t *table) render(e *edit) []byte {
	var b bytes.Buffer
	at, end := t.insertAt(), "\n"
	if len(t.rows) > 0 && strings.HasPrefix(t.rows[0].end, "\r") {
		end = "\r\n"
	}
	for i, r := range t.rows {
		if i == at {
			t.renderAdded(&b, e, end)
		}
		raw := r.raw
		if r.record != nil {
			now := t.after(e, t.format.key(r.record))
			if now == nil {
				continue
			}
			raw = now.String()
		}
		b.WriteString(raw + r.end)
	}
	if at == len(t.rows) {
		t.renderAdded(&b, e, end)
	}
	return b.Bytes()
}

func (t *table) renderAdded(b *bytes.Buffer, e *edit, end string) {
	if len(e.added) > 0 && b.Len() > 0 && !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
		if bytes.HasSuffix(b.Bytes(), []byte("\r")) {
			b.WriteString("\n")
		} else {
			b.WriteString(end)
		}
	}
	for _, r := range e.added {
		b.WriteString(r.String() + end)
	}
}

// insertAt is the row before which additions go.
func (t *table) insertAt() int {
	at := len(t.rows)
	for i := len(t.rows) - 1; i >= 0; i-- {
		r := t.rows[i]
		if r.isNIS() {
			at = i
		} else if r.record != nil || r.why != "" {
			break
		}
	}
	return at
}
