package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
)

// narrator lets the lab, which is made for tests, work for the demo: what it
// would tell a test, it tells the reader.
type narrator struct {
	testing.TB // never called: the lab uses what is below
	cleanups   []func()
	failed     bool
}

// giveUp ends the story.
type giveUp struct{}

func (n *narrator) run(story func()) (code int) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(giveUp); !ok {
				panic(p)
			}
			code = 1
		}
	}()
	story()
	return 0
}

func (n *narrator) cleanUp() {
	for _, f := range slices.Backward(n.cleanups) {
		f()
	}
}

func (n *narrator) Helper()                  {}
func (n *narrator) Name() string             { return "demo" }
func (n *narrator) Failed() bool             { return n.failed }
func (n *narrator) Context() context.Context { return context.Background() }
func (n *narrator) Cleanup(f func())         { n.cleanups = append(n.cleanups, f) }
func (n *narrator) Log(args ...any)          { fmt.Fprintln(os.Stderr, args...) }
func (n *narrator) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func (n *narrator) Errorf(format string, args ...any) {
	n.failed = true
	n.Logf(format, args...)
}

func (n *narrator) Fatal(args ...any) { n.Errorf("%s", fmt.Sprint(args...)); panic(giveUp{}) }

func (n *narrator) Fatalf(format string, args ...any) {
	n.Errorf(format, args...)
	panic(giveUp{})
}

func (n *narrator) TempDir() string {
	dir, err := os.MkdirTemp("", "snapbe-demo-")
	if err != nil {
		n.Fatalf("%v", err)
	}
	n.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
