package main

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"

	"snapbe/internal/command"
)

// Package zfs asks the kernel directly only where it sees that the programs
// are the host's own: the log must not hide that.
func TestLogDoesNotHideTheHost(t *testing.T) {
	r, ok := hostPrograms(slog.New(slog.DiscardHandler)).(interface{ Unwrap() command.Runner })
	assert.True(t, ok)
	assert.Equal(t, command.Exec{}, r.Unwrap())
}
