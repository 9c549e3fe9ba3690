package health

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWaitUptime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "uptime")
	write := func(text string) { // at once, as the kernel does
		assert.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
		assert.NoError(t, os.Rename(file+".new", file))
	}

	write("90.25 12.00\n")
	began := time.Now()
	require.NoError(t, waitUptime(t.Context(), file, 90*time.Second))
	require.NoError(t, waitUptime(t.Context(), file, 0))
	assert.Less(t, time.Since(began), 10*time.Second)

	// It is the system's time that counts, not this process's.
	write("89.75 12.00\n")
	go func() {
		time.Sleep(600 * time.Millisecond)
		write("90.00 12.00\n")
	}()
	began = time.Now()
	require.NoError(t, waitUptime(t.Context(), file, 90*time.Second))
	assert.GreaterOrEqual(t, time.Since(began), 500*time.Millisecond)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, waitUptime(ctx, file, time.Hour), context.DeadlineExceeded)

	write("no number\n")
	assert.ErrorContains(t, waitUptime(t.Context(), file, time.Hour), "read how long the system is up")
	require.NoError(t, os.Remove(file))
	assert.ErrorIs(t, waitUptime(t.Context(), file, time.Hour), os.ErrNotExist)
}
