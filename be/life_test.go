package be_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
)

// do carries a request out on the world's host, and must succeed.
func do(t *testing.T, w *betest.World, r be.Request) be.Result {
	t.Helper()
	res, err := be.New(w.System()).Do(t.Context(), r, be.Options{})
	require.NoError(t, err)
	return res
}

func names(t *testing.T, w *betest.World) []string {
	t.Helper()
	bes, err := be.New(w.System()).List(t.Context(), be.ListOptions{})
	require.NoError(t, err)
	var out []string
	for _, b := range bes {
		out = append(out, b.Name)
	}
	return out
}

var layouts = map[string]betest.Layout{
	"one pool": {Pools: []string{"tank"}, Nested: []string{"opt", "var", "var/lib"}},
	"split":    {Split: true, Nested: []string{"opt"}},
}

func TestCycle(t *testing.T) {
	for name, l := range layouts {
		t.Run(name, func(t *testing.T) {
			w := betest.New(t.TempDir(), l)
			assert.Equal(t, "be-2", do(t, w, be.Create{Name: "be-2", Description: "patched"}).Name)
			assert.Equal(t, []string{"debian", "be-2"}, names(t, w))
			do(t, w, be.Activate{Name: "be-2"})
			require.NoError(t, w.Reboot())
			assert.Equal(t, "rpool/ROOT/be-2", w.Host.Running)
			do(t, w, be.Failback{})
			require.NoError(t, w.Reboot())
			assert.Equal(t, "rpool/ROOT/debian", w.Host.Running)
			do(t, w, be.Destroy{Name: "be-2"})
			assert.Equal(t, []string{"debian"}, names(t, w))
		})
	}
}
