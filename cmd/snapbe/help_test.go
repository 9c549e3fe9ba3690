package main

import (
	"io"
	"iter"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/sharedvar"
	"snapbe/synclist"
	"snapbe/zones"
)

func model(t *testing.T) *kong.Application {
	t.Helper()
	k, err := newParser(&cli{}, io.Discard)
	require.NoError(t, err)
	return k.Model
}

// Every help text is a golden file, and no golden file is left over.
func TestHelp(t *testing.T) {
	for _, c := range commandsOf(model(t)) {
		name := "snapbe"
		if c.path != "" {
			name = strings.ReplaceAll(c.path, " ", "-")
		}
		t.Run(name, func(t *testing.T) {
			got := call(t, &recorder{}, slices.Concat(strings.Fields(c.path), []string{"--help"})...)
			golden(t, "help/"+name, got)
		})
	}
}

// A help text is a sentence, so that the lists of them read well.
func TestHelpSentences(t *testing.T) {
	for _, c := range commandsOf(model(t)) {
		for _, f := range c.flags {
			if f.long == "help" {
				continue // kong's own
			}
			if !strings.HasSuffix(f.help, ".") {
				t.Errorf("%s --%s: %q does not end with a full stop", c.path, f.long, f.help)
			}
		}
		if c.path != "" && !strings.HasSuffix(c.help, ".") {
			t.Errorf("%s: %q does not end with a full stop", c.path, c.help)
		}
	}
}

// docs/json.md names every key of what --json prints.
func TestJSONDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/json.md")
	require.NoError(t, err)
	for _, v := range []any{listJSON{}, be.BE{}, be.Dataset{}, be.Snapshot{}, statusJSON{}, be.DiskStatus{}, checkJSON{}, be.Problem{}, resultJSON{}, be.Plan{}, versionJSON{}, shareJSON{}, be.ShareSnap{}, shareDiffJSON{}, zoneListJSON{}, be.ZoneBE{}, zones.BE{}, sharedvar.Change{}, be.ZoneSync{}, synclist.Report{}, synclist.Item{}, synclist.Record{}} {
		for key := range keysOf(reflect.TypeOf(v)) {
			require.Regexp(t, "[`\"]"+key+"[`\"]", string(text), "docs/json.md lacks a key of %T", v)
		}
	}
}

// keysOf are the JSON keys of a structure and of those embedded in it.
func keysOf(typ reflect.Type) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, f := range reflect.VisibleFields(typ) {
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.IsExported() && key != "" && key != "-" && !yield(key) {
				return
			}
		}
	}
}
