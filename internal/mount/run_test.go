//go:build linux

package mount

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestExecResolver: what runs on the host's network is told the host's name
// servers, also where the tree's own are a file; and nothing is written to it.
func TestExecResolver(t *testing.T) {
	needRoot(t)
	host, err := os.ReadFile("/etc/resolv.conf")
	require.NoError(t, err)
	require.NotEmpty(t, host)
	for _, tc := range []struct {
		name, file string
		resolver   bool
		hosts      bool
	}{
		{"a file", "etc/resolv.conf", true, true},
		{"a file, not asked for", "etc/resolv.conf", false, false},
		{"a link to a file", "etc/resolv.conf -> resolvconf/run", true, true},
		{"a link out of it", "etc/resolv.conf -> ../../../../etc/resolvconf/run", true, true},
		{"a link into /run", "etc/resolv.conf -> /run/x/resolv.conf", true, true},
		{"a link to nowhere", "etc/resolv.conf -> nowhere", true, false},
		{"a loop", "etc/resolv.conf -> resolv.conf", true, false},
		{"a directory", "etc/resolv.conf/", true, false},
		{"none", "etc/x", true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tree := system(t, tc.file, "etc/resolvconf/run")
			before := listing(t, path(tree[0].Dataset))
			for _, confined := range []bool{false, true} {
				out, code, err := run(t, tree, ExecSpec{Resolver: tc.resolver, Confined: confined,
					Argv: []string{"sh", "-c", "cat /etc/resolv.conf 2>/dev/null; ls /run | grep -v '^lock$\\|^systemd$\\|^x$'; exit 0"}})
				require.NoError(t, err)
				require.Zero(t, code)
				if tc.hosts {
					assert.Equal(t, string(host), out)
				} else {
					assert.NotContains(t, out, string(host))
				}
			}
			assert.Equal(t, before, listing(t, path(tree[0].Dataset)))
		})
	}
}

// TestExecServices: packages start nothing, whichever way they go about it.
func TestExecServices(t *testing.T) {
	needRoot(t)
	root := path(system(t, "usr/sbin/", "usr/bin/sh -> ../host/sh", "usr/host/")[0].Dataset)
	for _, name := range []string{"invoke-rc.d", "service"} {
		require.NoError(t, os.WriteFile(root+"/usr/sbin/"+name, []byte("#!/bin/sh\necho started\n"), 0o755))
	}
	tree := Tree{{Dataset: "dir:" + root, Dir: "."}, {Dataset: "dir:/usr/bin", Dir: "usr/host", ReadOnly: true},
		{Dataset: "dir:/usr/lib", Dir: "usr/lib", ReadOnly: true}, {Dataset: "dir:/usr/lib64", Dir: "usr/lib64", ReadOnly: true}}
	script := ExecSpec{Env: []string{"PATH=/usr/sbin:/usr/bin"},
		Argv: []string{"sh", "-c", "invoke-rc.d cron start && service cron start; [ -d /run/systemd/system ]; echo $?"}}
	t.Run("without systemd, confined", func(t *testing.T) {
		script := script
		script.Confined = true
		out, code, err := run(t, tree, script)
		require.NoError(t, err)
		require.Zero(t, code, out)
		assert.Equal(t, "1\n", out)
	})
	t.Run("without systemd", func(t *testing.T) {
		out, code, err := run(t, tree, script)
		require.NoError(t, err)
		require.Zero(t, code, out)
		assert.Equal(t, "1\n", out)
	})
	t.Run("with systemd, invoke-rc.d leaves it to systemctl", func(t *testing.T) {
		require.NoError(t, os.WriteFile(root+"/usr/bin/systemctl", nil, 0o755))
		out, _, err := run(t, tree, script)
		require.NoError(t, err)
		assert.Equal(t, "started\nstarted\n0\n", out)
	})
}

// TestExecSideBySide: several commands run at once, each in its own tree.
func TestExecSideBySide(t *testing.T) {
	needRoot(t)
	var wg sync.WaitGroup
	for _, name := range strings.Fields("a b c d") {
		tree := system(t, name)
		wg.Go(func() {
			out, code, err := run(t, tree, ExecSpec{Argv: []string{"sh", "-c", "sleep 0.3; ls -d /[a-d]"}})
			assert.NoError(t, err)
			assert.Zero(t, code)
			assert.Equal(t, "/"+name+"\n", out)
		})
		defer func() { gone(t, tree[:1]) }()
	}
	wg.Wait()
}
