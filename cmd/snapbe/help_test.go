package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
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
