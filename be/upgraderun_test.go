package be

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestJobs fits the machine.
func TestJobs(t *testing.T) {
	const gib = 1 << 30
	for _, tc := range []struct {
		targets, cpus int
		memory        uint64
		want          int
	}{
		{1, 8, 16 * gib, 1},
		{20, 1, 16 * gib, 2},
		{20, 8, 16 * gib, 8},
		{20, 8, 2 * gib, 4},
		{20, 8, 100 << 20, 1},
		{20, 8, 0, 8},
		{0, 8, gib, 1},
	} {
		assert.Equal(t, tc.want, jobs(tc.targets, tc.cpus, tc.memory), "%+v", tc)
	}
	assert.Positive(t, memoryAvailable())
}

// TestTee: a log ends at its limit, and its end is known all the same.
func TestTee(t *testing.T) {
	var log bytes.Buffer
	said := &tee{to: &log, left: 10}
	for range 5000 {
		_, err := said.Write([]byte("0123456\n"))
		assert.NoError(t, err)
	}
	_, _ = said.Write([]byte("the end\n\n"))
	assert.Equal(t, "0123456\n01", log.String())
	assert.ErrorContains(t, said.err, "more than")
	assert.Equal(t, []string{"0123456", "0123456", "0123456", "0123456", "the end"}, said.last())
	assert.LessOrEqual(t, len(said.end), 3*lastBytes)
	t.Run("progress", func(t *testing.T) {
		dpkg := &tee{to: &log}
		_, _ = dpkg.Write([]byte("read 5%\rread 100%\rall is read\r\nerror\n"))
		assert.Equal(t, []string{"all is read", "error"}, dpkg.last())
	})
	t.Run("one line", func(t *testing.T) {
		long := &tee{to: &log}
		_, _ = long.Write([]byte(strings.Repeat("x", 1<<20)))
		assert.Len(t, long.last()[0], lastBytes)
	})
	t.Run("a full disk", func(t *testing.T) {
		full := &tee{to: fullDisk{}, left: 100}
		n, err := full.Write([]byte("abc"))
		assert.NoError(t, err, "what runs must not wait")
		assert.Equal(t, 3, n)
		assert.ErrorIs(t, full.err, errFull)
		assert.Equal(t, []string{"abc"}, full.last())
	})
	assert.Empty(t, (&tee{}).last())
}

var errFull = errors.New("full")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }
