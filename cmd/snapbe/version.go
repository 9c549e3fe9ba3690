package main

import (
	"runtime"
	"runtime/debug"
)

// version is set by the linker: make build and make deb take it from the
// changelog and git.
var version = ""

type versionCmd struct{ asJSON }

// Run prints the version.
func (c *versionCmd) Run(a *app) error {
	if c.JSON {
		return a.tui.json(versionJSON{Schema: schema, Version: buildVersion(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH})
	}
	a.tui.print("snapbe " + buildVersion())
	return nil
}

type versionJSON struct {
	Schema   int    `json:"schema"`
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
