package be_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// planCases are what the crash tests do, and what they do not journal.
func planCases() []crashCase {
	second := func(t *testing.T, w *betest.World) { do(t, w, be.Create{Name: "be-2"}) }
	return append(crashCases[:len(crashCases):len(crashCases)],
		crashCase{"create without a name", nil, be.Create{}, false},
		crashCase{"create and activate", nil, be.Create{Name: "new", Activate: true}, false},
		crashCase{"activate and reboot", second, be.Activate{Name: "be-2", Reboot: true}, false},
		crashCase{"destroy a mounted one", func(t *testing.T, w *betest.World) {
			second(t, w)
			do(t, w, be.Mount{Name: "be-2"})
		}, be.Destroy{Name: "be-2", Force: true}, false},
		crashCase{"mount", second, be.Mount{Name: "be-2"}, false},
		crashCase{"unmount", func(t *testing.T, w *betest.World) {
			second(t, w)
			do(t, w, be.Mount{Name: "be-2"})
		}, be.Unmount{Name: "be-2"}, false},
		crashCase{"boot update", nil, be.BootUpdate{}, false},
		crashCase{"boot install", nil, be.BootInstall{}, false},
		crashCase{"boot mount", func(t *testing.T, w *betest.World) {
			for _, m := range w.Host.Mounted {
				if m.Dir == "/boot" {
					require.NoError(t, w.Host.Detach("/boot", false))
				}
			}
		}, be.BootMount{}, false},
	)
}

var times = regexp.MustCompile(`\d{4}-\d\d-\d\d-\d\d:\d\d:\d\d\.\d{3}`)

func planText(p be.Plan) string {
	var b strings.Builder
	fmt.Fprintln(&b, p.Title)
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "%d. %s\n", i+1, s)
	}
	for _, n := range p.Notes {
		fmt.Fprintln(&b, "note:", n)
	}
	return times.ReplaceAllString(b.String(), "TIME")
}

// A dry run says what then is done, step by step, and changes nothing.
func TestPlans(t *testing.T) {
	for layout, l := range layouts {
		for _, c := range planCases() {
			t.Run(layout+"/"+c.name, func(t *testing.T) {
				l.Plain = c.name == "init"
				w := betest.New(t.TempDir(), l)
				if c.arrange != nil {
					c.arrange(t, w)
				}
				before := w.Capture()
				w.Reset()
				dry, err := be.New(w.System()).Do(t.Context(), c.request, be.Options{DryRun: true})
				require.NoError(t, err)
				assert.Zero(t, w.Changes())
				require.Equal(t, before, w.Capture(), "a dry run changes nothing")

				golden(t, filepath.Join("testdata/plans", strings.NewReplacer(" ", "-", "'", "").Replace(layout+" "+c.name)+".golden"), strings.ReplaceAll(planText(dry.Plan), w.Directory(), "DIR"))
				assert.Equal(t, planText(be.Plan{Steps: dry.Plan.Steps}), runSteps(t, w, c.request, len(dry.Plan.Steps)))
			})
		}
	}
}

// runSteps carries a request out and tells its first n steps as planText does;
// what follows an operation has a plan of its own.
func runSteps(t *testing.T, w *betest.World, r be.Request, n int) string {
	t.Helper()
	var steps []string
	_, err := be.New(w.System()).Do(t.Context(), r, be.Options{Step: func(s be.StepDone) { steps = append(steps, s.Name) }})
	require.NoError(t, err)
	return planText(be.Plan{Steps: steps[:min(len(steps), n)]})
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "go test ./be -run %s -update writes it", t.Name())
	assert.Equal(t, string(want), got)
}
