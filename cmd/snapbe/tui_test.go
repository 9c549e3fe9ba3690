package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
)

var aPlan = be.Plan{
	Title: `destroy "old"`,
	Steps: []string{"promote rpool/ROOT/new", "destroy rpool/ROOT/old"},
	Frees: 4_747_316_224,
	Notes: []string{"the snapshot old@a goes over to \"new\""},
}

func TestChangeOutput(t *testing.T) {
	r := &recorder{
		result: be.Result{Plan: aPlan, Name: "old", Notes: []string{"all done"}},
		steps: []be.StepDone{
			{Name: "promote rpool/ROOT/new", Duration: 1234 * time.Millisecond},
			{Name: "destroy\x1b[2J rpool/ROOT/old", Duration: 72 * time.Second},
		},
	}
	golden(t, "out/destroy", call(t, r, "destroy", "-F", "old"))
	r.steps = nil
	golden(t, "out/destroy-dry", call(t, r, "destroy", "-n", "old"))
	golden(t, "out/destroy-json", call(t, r, "destroy", "-y", "--json", "old"))
	golden(t, "out/create-auto", call(t, r, "create"))
	golden(t, "out/nothing", call(t, &recorder{}, "boot", "update"))
	r.result.Dir = "/run/snapbe/old"
	got := call(t, r, "mount", "old")
	assert.Equal(t, "/run/snapbe/old\n", got.out, "mount prints only the path")
}

// Only a yes is a yes, and without a terminal there is nobody to give it.
func TestConfirm(t *testing.T) {
	for _, tc := range []struct {
		name, answer string
		tty          bool
		args         []string
		code         int
		text         string
	}{
		{name: "yes", answer: "y\n", tty: true, args: []string{"destroy", "x"}},
		{name: "yes, in full", answer: " YES \n", tty: true, args: []string{"rollback", "x@y"}},
		{name: "enter", answer: "\n", tty: true, args: []string{"destroy", "x"}, code: 1, text: "declined"},
		{name: "end of input", tty: true, args: []string{"init"}, code: 1, text: "declined"},
		{name: "yeah", answer: "yeah\n", tty: true, args: []string{"init"}, code: 1, text: "declined"},
		{name: "nobody there", answer: "y\n", args: []string{"destroy", "x"}, code: 2, text: "hint: -y agrees beforehand"},
		{name: "agreed", args: []string{"destroy", "-y", "x"}},
		{name: "agreed as in beadm", args: []string{"destroy", "-F", "x"}},
		{name: "not asked", args: []string{"activate", "x"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &recorder{result: be.Result{Plan: aPlan}}
			tui := &terminal{in: strings.NewReader(tc.answer), inTTY: tc.tty, errTTY: tc.tty}
			args := append([]string{"--config", config1(t)}, tc.args...)
			got := callAt(r, tui, args...)
			assert.Equal(t, tc.code, got.code, got.err)
			assert.Contains(t, got.err, tc.text)
			assert.Equal(t, tc.tty, strings.Contains(got.err, "Go on?"))
		})
	}
}

// A plan without steps is not asked about.
func TestNothingToAsk(t *testing.T) {
	got := callAt(&recorder{}, &terminal{in: strings.NewReader("")}, "--config", config1(t), "init")
	assert.Equal(t, said{err: "nothing to do\n"}, got)
}

func someBEs() []be.BE {
	day := time.Date(2026, 11, 20, 13, 15, 30, 0, time.UTC)
	return []be.BE{
		{Name: "debian", UUID: "7c0d", Dataset: "rpool/ROOT/debian", Running: true, Mountpoint: "/", Space: 4_747_316_224,
			Referenced: 4_700_000_000, Created: day, Policy: "static", Booted: day.Add(time.Hour)},
		{Name: "2026-11", UUID: "8e1f", Dataset: "rpool/ROOT/2026-11", BootDataset: "bpool/BOOT/2026-11", Default: true, Space: 61_440,
			Referenced: 4_710_000_000, Created: day.Add(time.Minute), Policy: "static", Origin: "rpool/ROOT/debian@s",
			Description: "before; the\tkernel\x1b[31m update\n\u202e\\",
			Datasets:    []be.Dataset{{Name: "rpool/ROOT/2026-11/var", Mountpoint: "/var", Space: 1024, Referenced: 2048, Created: day, Policy: "static"}},
			Snapshots:   []be.Snapshot{{Name: "rpool/ROOT/2026-11@a", Space: 0, Created: day, Policy: "volatile"}}},
		{Name: "half", UUID: "", Created: day.Add(2 * time.Minute), Policy: "static", Unfinished: "op-1", Previous: true},
	}
}

func TestListOutput(t *testing.T) {
	for _, args := range []string{"list", "list -H", "list -a", "list --json", "list -k name", "list -K space"} {
		name := strings.NewReplacer(" ", "", "--", "-").Replace(args)
		golden(t, "out/"+name, call(t, &recorder{bes: someBEs()}, strings.Fields(args)...))
	}
	golden(t, "out/list-none", call(t, &recorder{}, "list"))
	golden(t, "out/list-json-none", call(t, &recorder{}, "list", "--json"))
}

func TestStatusOutput(t *testing.T) {
	st := be.Status{
		Root: "rpool/ROOT", BootRoot: "bpool/BOOT", Grub: "bpool/GRUB", Adopted: true,
		Running: "debian", Default: "2026-11", Previous: "debian",
		Disks: []be.DiskStatus{
			{Leaf: "/dev/vda3", Disk: "vda", State: "ONLINE", Boots: "yes"},
			{Leaf: "/dev/vdb3", Disk: "vdb", State: "ONLINE", Boots: "no", Resilvering: true},
		},
	}
	golden(t, "out/status", call(t, &recorder{status: st}, "status"))
	golden(t, "out/status-json", call(t, &recorder{status: st}, "status", "--json"))
	st.Pending, st.Busy = `create "x"`, "snapbe create x (process 12)"
	st.Problems = []string{"vdb cannot boot: snapbe boot install", "a\nb"}
	golden(t, "out/status-bad", call(t, &recorder{status: st}, "status"))
	golden(t, "out/status-new", call(t, &recorder{status: be.Status{Root: "rpool/ROOT"}}, "status"))
}

func TestCheckOutput(t *testing.T) {
	assert.Equal(t, said{}, call(t, &recorder{}, "boot", "check"))
	r := &recorder{problems: []be.Problem{{Text: "there is no menu"}, {Entry: "x", Text: "no kernel", Hint: "install one"}}}
	assert.Equal(t, said{out: "menu: there is no menu\nx: no kernel\n  hint: install one\n", code: 1}, call(t, r, "boot", "check"))
	golden(t, "out/check-json", call(t, r, "boot", "check", "--json"))
}

// What --json prints has the schema's number, and says so of every answer.
func TestSchema(t *testing.T) {
	for _, args := range []string{"list", "status", "boot check", "version", "create", "boot update -n"} {
		got := call(t, &recorder{}, append(strings.Fields(args), "--json")...)
		var v map[string]any
		require.NoError(t, json.Unmarshal([]byte(got.out), &v), args)
		assert.EqualValues(t, schema, v["schema"], args)
	}
}

// The last test of each kind is the table of snapbe(8).
func TestExitCodes(t *testing.T) {
	refused := func(c be.Code) error {
		return fmt.Errorf("told: %w", &be.Error{Code: c, Text: `activate "x": no`, Hint: "try\x07 it"})
	}
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{errTold, 1},
		{be.ErrDeclined, 1},
		{refused(be.Failed), 1},
		{refused(be.Denied), 1},
		{refused(be.Invalid), 2},
		{&usage{}, 2},
		{refused(be.NotFound), 3},
		{refused(be.Exists), 4},
		{refused(be.Busy), 5},
		{refused(be.Pending), 6},
		{&execError{refused(be.Busy)}, 125},
		{commandCode(77), 77},
	} {
		assert.Equal(t, tc.want, exitCode(tc.err), "%v", tc.err)
	}
}

func TestErrorText(t *testing.T) {
	r := &recorder{err: &be.Error{Code: be.Busy, Text: `activate "x\n": it is mounted`, Hint: "snapbe unmount x", Err: errors.New("two\nlines")}}
	assert.Equal(t, said{code: 5, err: "snapbe: cannot activate \"x\\n\": it is mounted: two\\x0alines\nhint: snapbe unmount x\n"},
		call(t, r, "activate", "x"))
	r.err = errors.New("zfs: cannot open")
	assert.Equal(t, said{code: 1, err: "snapbe: cannot list the boot environments: zfs: cannot open\n"}, call(t, r, "list"))
	assert.Equal(t, said{code: 125, err: "snapbe: zfs: cannot open\n"}, call(t, r, "exec", "x", "true"))
	r.code = 7
	assert.Equal(t, said{code: 7, err: "snapbe: zfs: cannot open\n"}, call(t, r, "exec", "x", "false"))
	r.err = nil
	r.code = 3
	assert.Equal(t, said{code: 3}, call(t, r, "exec", "x", "false"))
}

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0B", 1: "1B", 1023: "1023B", 1024: "1.00K", 1536: "1.50K", 61_440: "60.0K", 4_747_316_224: "4.42G", 1 << 40: "1.00T",
	} {
		assert.Equal(t, want, size(n), n)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain ä 漢 €":          "plain ä 漢 €",
		"a\tb\nc\r\x1b[2J\x7f": `a\x09b\x0ac\x0d\x1b[2J\x7f`,
		"\u202eevil\u200b":     `\u202eevil\u200b`,
		"\u0085\u2028":         `\u0085\u2028`,
		"\xff\xfe":             `\xff\xfe`,
		"\U000e0001":           `\U000e0001`,
	} {
		assert.Equal(t, want, printable(in))
	}
}

func FuzzJSON(f *testing.F) {
	f.Add("\u202e\x7f\u0085\U000e0001\n\\")
	f.Fuzz(func(t *testing.T, s string) {
		var out strings.Builder
		require.NoError(t, (&terminal{out: &out}).json(map[string]string{"k": s}))
		assert.Equal(t, -1, strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && r != ' ' && !unicode.IsPrint(r) }))
		var back map[string]string
		require.NoError(t, json.Unmarshal([]byte(out.String()), &back))
		assert.Equal(t, string([]rune(s)), back["k"], "each byte that is no UTF-8 is U+FFFD")
	})
}

func FuzzText(f *testing.F) {
	f.Add("a;b\\\n\x1b[31m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, out := range []string{printable(s), field(s)} {
			assert.True(t, utf8.ValidString(out))
			assert.Equal(t, -1, strings.IndexFunc(out, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }))
		}
		assert.NotContains(t, field(s), ";")
		back, err := strconv.Unquote(`"` + strings.ReplaceAll(field(s), `"`, `\"`) + `"`)
		require.NoError(t, err)
		assert.Equal(t, s, back)
	})
}

// golden compares with testdata/<name>.golden; UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, name string, got said) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "exit code %d\n-- stdout --\n%s-- stderr --\n%s", got.code, got.out, got.err)
	goldenText(t, name, b.String())
}

func goldenText(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "UPDATE_GOLDEN=1 writes it")
	assert.Equal(t, string(want), got, "UPDATE_GOLDEN=1 writes %s", file)
}
