package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
)

// config1 is a configuration file as init writes it.
func config1(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "snapbe.toml")
	require.NoError(t, os.WriteFile(file, defaultConfig, 0o600))
	return file
}

func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		name, text, want string
		root             string
	}{
		{name: "empty"},
		{name: "a key", text: "# one\nberoot = \"tank/ROOT\"\n", root: "tank/ROOT"},
		{name: "an unknown key", text: "\n\nberot = \"x\"\n", want: `line 3: unknown key "berot"`},
		{name: "an unknown table", text: "[boot]\ntimeout = 3\n", want: `line 1: unknown key "boot"`},
		{name: "a wrong type", text: "beroot = 3\n", want: "line 1: "},
		{name: "an unknown key of a zone", text: "[zones.web]\npolice = \"pin\"\n", want: `line 2: unknown key "zones.web.police"`},
		{name: "an unknown policy", text: "[zones.web]\npolicy = \"pinned\"\n", want: `zones.web.policy is "pinned", and must be follow, pin or exclude`},
		{name: "no command", text: "[upgrade.commands]\nfedora = \"\"\n", want: `upgrade.commands.fedora is "", and must be a command`},
		{name: "a number for a command", text: "[upgrade.commands]\nfedora = 3\n", want: "line 2: "},
		{name: "no TOML", text: "a\n=", want: "line 1: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "c.toml")
			require.NoError(t, os.WriteFile(file, []byte(tc.text), 0o600))
			c, err := readConfig(file)
			if tc.want != "" {
				assert.ErrorContains(t, err, "cannot read "+file+": "+tc.want)
				assert.Equal(t, exitUsage, exitCode(err))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.root, c.BERoot)
		})
	}
}

// The flag goes before the key, and the key before the running BE.
func TestRootFrom(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.toml")
	require.NoError(t, os.WriteFile(file, []byte("beroot = \"a/ROOT\""), 0o600))
	var r recorder
	call(t, &r, "--config", file, "list")
	assert.Equal(t, "a/ROOT", r.opened.Root)
	call(t, &r, "--config", file, "-r", "b/ROOT", "list")
	assert.Equal(t, "b/ROOT", r.opened.Root)
	assert.Equal(t, "snapbe --config "+file+" -r b/ROOT list", r.opened.Command)
}

// TestConfigOfZones comes to the life cycle.
func TestConfigOfZones(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.toml")
	require.NoError(t, os.WriteFile(file, []byte(`
[upgrade.commands]
fedora = "dnf -y upgrade"
[zones.web]
policy = "pin"
[zones.db]
upgrade = "true"
`), 0o600))
	var r recorder
	call(t, &r, "--config", file, "list")
	assert.Equal(t, map[string]be.ZonePolicy{"web": be.ZonePinned}, r.opened.ZonePolicy)
	assert.Equal(t, map[string]string{"fedora": "dnf -y upgrade"}, r.opened.Upgrades)
	assert.Equal(t, map[string]string{"db": "true"}, r.opened.ZoneUpgrades)
}

func FuzzConfig(f *testing.F) {
	f.Add("beroot = \"x\"")
	f.Add("[a]\nb=1")
	f.Add("a.\"b\n\".c = 1")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "c")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := readConfig(file)
		if err != nil {
			assert.Equal(t, exitUsage, exitCode(err))
		}
	})
}
