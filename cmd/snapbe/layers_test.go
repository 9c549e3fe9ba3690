package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/command"
)

// pkg is what go list tells of one of the module's packages.
type pkg struct {
	ImportPath string
	// Imports are the package's own, not those of its tests.
	Imports []string
}

// siblings know nothing of each other; be alone puts them together.
var siblings = []string{"snapbe/bootloader", "snapbe/sharedvar", "snapbe/synclist", "snapbe/zones"}

// layers says what may import what. A rule holds for every package of the
// module but those that may.
var layers = []struct {
	rule string
	// what is an import path; all that begins with it is meant.
	what string
	may  []string
}{
	{"only internal/command starts processes", "os/exec", []string{"snapbe/internal/command", "snapbe/internal/lab"}},
	{"only cmd imports be, and the tests' own packages", "snapbe/be", []string{"snapbe/cmd/", "snapbe/be/", "snapbe/internal/e2e"}},
	{"only cmd knows the command line", "github.com/alecthomas/kong", []string{"snapbe/cmd/"}},
	{"nobody imports cmd", "snapbe/cmd/", nil},
	{"internal/lab is for tests", "snapbe/internal/lab", []string{"snapbe/internal/lab", "snapbe/internal/e2e", "snapbe/internal/demo", "snapbe/packaging"}},
}

// own says what alone of this module a package may import.
var own = map[string][]string{
	"snapbe/internal/command":  {},
	"snapbe/internal/journal":  {},
	"snapbe/internal/treecopy": {},
	"snapbe/internal/zfs":      {"snapbe/internal/command"},
	"snapbe/internal/mount":    {"snapbe/internal/command"},
	"snapbe/sharedvar":         {"snapbe/internal/treecopy"},
	"snapbe/synclist":          {"snapbe/internal/treecopy"},
}

// The lines of the design hold for what is compiled on any platform.
func TestLayers(t *testing.T) {
	for _, goos := range []string{"linux", "illumos"} {
		for _, p := range packages(t, goos) {
			for _, l := range layers {
				if in(p.ImportPath, l.may) {
					continue
				}
				for _, i := range p.Imports {
					assert.False(t, i == l.what || strings.HasPrefix(i, strings.TrimSuffix(l.what, "/")+"/"),
						"%s imports %s: %s", p.ImportPath, i, l.rule)
				}
			}
			checkOwn(t, p)
			if slices.Contains(siblings, p.ImportPath) {
				for _, i := range p.Imports {
					assert.NotContains(t, siblings, i, "%s imports its sibling", p.ImportPath)
				}
			}
		}
	}
}

func checkOwn(t *testing.T, p pkg) {
	may, ok := own[p.ImportPath]
	if !ok {
		return
	}
	for _, i := range p.Imports {
		if strings.HasPrefix(i, "snapbe/") {
			assert.Contains(t, may, i, "%s imports %s", p.ImportPath, i)
		}
	}
}

// in tells whether a path is one of the list or lies below one that ends
// with a slash.
func in(path string, list []string) bool {
	return slices.ContainsFunc(list, func(l string) bool {
		return path == l || strings.HasPrefix(path, strings.TrimSuffix(l, "/")+"/")
	})
}

func packages(t *testing.T, goos string) (list []pkg) {
	t.Helper()
	out, err := command.Exec{}.Run(context.Background(), command.Cmd{
		Argv: []string{"go", "list", "-json=ImportPath,Imports", "snapbe/..."},
		Env:  []string{"GOOS=" + goos, "CGO_ENABLED=0"},
	})
	require.NoError(t, err)
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else {
			require.NoError(t, err)
		}
		list = append(list, p)
	}
}
