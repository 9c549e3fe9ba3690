//go:build vm

package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"snapbe/internal/command"
)

// widget builds a package with a command that prints its version, and a
// service, as a unit and as an init script, that would leave a file behind if
// it were ever started.
func widget(t testing.TB, version string) string {
	t.Helper()
	started := "/var/lib/widget-started-" + version
	return debian(t, "widget", version, map[string]string{
		"DEBIAN/conffiles":                      "/etc/init.d/widget\n",
		"DEBIAN/postinst":                       postinst,
		"usr/bin/widget":                        "#!/bin/sh\necho " + version + "\n",
		"usr/lib/systemd/system/gadget.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/touch " + started + "-unit\n[Install]\nWantedBy=multi-user.target\n",
		"etc/init.d/widget": "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: widget\n# Required-Start:\n# Required-Stop:\n# Default-Start: 2 3 4 5\n# Default-Stop:\n### END INIT INFO\n" +
			"[ \"$1\" != start ] || touch " + started + "-init\n",
	})
}

// debian builds a package with these files; what begins with "#!" can be run.
func debian(t testing.TB, name, version string, files map[string]string) string {
	t.Helper()
	file := filepath.Join(work, name+"_"+version+"_all.deb")
	if _, err := os.Stat(file); err == nil {
		return file
	}
	root := filepath.Join(work, name+"-"+version)
	files["DEBIAN/control"] = "Package: " + name + "\nVersion: " + version + "\nArchitecture: all\n" +
		"Maintainer: snapbe's tests <root@localhost>\nDescription: prints its version\n"
	for path, text := range files {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		require.NoError(t, os.WriteFile(path, []byte(text), mode))
	}
	_, err := command.Exec{}.Run(t.Context(), command.Cmd{Argv: []string{"dpkg-deb", "--root-owner-group", "--build", root, file}})
	require.NoError(t, err)
	return file
}

// postinst starts the service in each of the ways that packages do.
const postinst = `#!/bin/sh
set -e
if [ "$1" = configure ]; then
	update-rc.d widget defaults >/dev/null
	if [ -d /run/systemd/system ]; then
		systemctl --system daemon-reload >/dev/null || true
	fi
	deb-systemd-helper enable gadget.service >/dev/null || true
	deb-systemd-invoke start gadget.service >/dev/null || true
	invoke-rc.d widget start || true
fi
`

// packages is the index of the repository with both versions.
func packages(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, version := range []string{"1", "2"} {
		text, err := os.ReadFile(widget(t, version))
		require.NoError(t, err)
		fmt.Fprintf(&b, "Package: widget\nVersion: %s\nArchitecture: all\nMaintainer: snapbe's tests <root@localhost>\n"+
			"Filename: ./widget_%s_all.deb\nSize: %d\nSHA256: %x\nDescription: prints its version\n\n",
			version, version, len(text), sha256.Sum256(text))
	}
	return b.Bytes()
}
