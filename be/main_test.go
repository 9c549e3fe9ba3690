package be_test

import (
	"os"
	"testing"
)

// The fake pools are made of many small files; in memory that takes seconds,
// on a busy disk minutes.
func TestMain(m *testing.M) {
	if os.Getenv("TMPDIR") == "" {
		if dir, err := os.MkdirTemp("/dev/shm", "snapbe-be-"); err == nil {
			_ = os.Setenv("TMPDIR", dir)
			code := m.Run()
			_ = os.RemoveAll(dir)
			os.Exit(code)
		}
	}
	os.Exit(m.Run())
}
