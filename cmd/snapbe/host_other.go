//go:build !linux

package main

import (
	"fmt"
	"runtime"
)

func childMain() {}

func outlive(bool) error { return nil }

// openHost has no host but Linux yet.
func openHost(options) (lifecycle, func() error, error) {
	return nil, nil, fmt.Errorf("snapbe does not serve %s yet", runtime.GOOS)
}
