package bootloader

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCheck holds that a sound menu has no problems, and each unsound thing
// its own.
func TestCheck(t *testing.T) {
	m := menus()["two"]
	kernel, initrd := m.Entries[0].Kernel, m.Entries[0].Initrd
	cases := map[string]struct {
		change func(t *testing.T, g *GRUB, m *Menu, files map[string]string)
		want   []Problem
	}{
		"sound": {func(*testing.T, *GRUB, *Menu, map[string]string) {}, nil},
		"kernel gone": {func(_ *testing.T, _ *GRUB, _ *Menu, files map[string]string) {
			delete(files, "boot/"+kernel)
		}, []Problem{{BE: "2026-11", Text: kernel + ": no such file"}, {BE: "debian", Text: kernel + ": no such file"}}},
		"empty initrd": {func(_ *testing.T, _ *GRUB, _ *Menu, files map[string]string) {
			files["boot/"+initrd] = ""
		}, []Problem{{BE: "2026-11", Text: initrd + " is empty"}, {BE: "debian", Text: initrd + " is empty"}}},
		"other state": {func(_ *testing.T, _ *GRUB, m *Menu, _ map[string]string) {
			m.Default, m.Previous = m.Previous, m.Default
		}, []Problem{{Text: "is not what follows from the pool's state"}}},
		"fragment gone": {func(t *testing.T, g *GRUB, _ *Menu, _ map[string]string) {
			require.NoError(t, os.Remove(g.fragmentPath()))
		}, []Problem{{Text: "snapbe.cfg: no such file"}}},
		"broken grub.cfg": {func(t *testing.T, g *GRUB, _ *Menu, _ map[string]string) {
			require.NoError(t, os.WriteFile(g.configPath(), append([]byte("menuentry {\n"), HookScript...), 0o644))
		}, []Problem{{Text: "syntax error"}}},
		"line gone": {func(t *testing.T, g *GRUB, _ *Menu, _ map[string]string) {
			require.NoError(t, os.WriteFile(g.configPath(), []byte("set timeout=5\n"), 0o644))
		}, []Problem{{Text: "grub.cfg does not read snapbe.cfg"}}},
		"grub.cfg gone": {func(t *testing.T, g *GRUB, _ *Menu, _ map[string]string) {
			require.NoError(t, os.Remove(g.configPath()))
		}, []Problem{{Text: "grub.cfg: no such file"}}},
		"other default": {func(t *testing.T, g *GRUB, _ *Menu, _ map[string]string) {
			f, err := os.OpenFile(g.configPath(), os.O_APPEND|os.O_WRONLY, 0)
			require.NoError(t, err)
			defer f.Close()
			_, err = f.WriteString("set default=3\n")
			require.NoError(t, err)
		}, []Problem{{Text: "chooses another default after snapbe's: set default=3"}}},
		"hook off": {func(t *testing.T, g *GRUB, _ *Menu, _ map[string]string) {
			require.NoError(t, os.Chmod(g.hookPath(), 0o644))
		}, []Problem{{Text: "is not executable"}}},
		"one-shot": {func(t *testing.T, g *GRUB, _ *Menu, _ map[string]string) {
			env := "# GRUB Environment Block\nsaved_entry=0\nnext_entry=2\n####"
			require.NoError(t, os.WriteFile(filepath.Join(g.Dir, "grubenv"), []byte(env), 0o644))
		}, []Problem{{Text: `grub-reboot chose "2", which has no effect`}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g, _ := testHost(t)
			m := menus()["two"]
			_, err := g.Write(m)
			require.NoError(t, err)
			_, err = g.Hook(t.Context())
			require.NoError(t, err)
			files := map[string]string{"boot/" + kernel: "k", "boot/" + initrd: "i"}
			c.change(t, g, &m, files)
			root := tree(t, files)
			got := g.Check(t.Context(), m, func(_ Entry, f func(*os.Root, string) error) error { return f(root, "/boot") })
			require.Len(t, got, len(c.want), "%v", got)
			for i, p := range c.want {
				require.Equal(t, p.BE, got[i].BE)
				require.Contains(t, got[i].Text, p.Text)
				require.NotContains(t, got[i].Text, "\n")
			}
		})
	}
}

func TestCheckTellsOfTreesThatDoNotOpen(t *testing.T) {
	g, _ := testHost(t)
	m := menus()["one"]
	_, err := g.Write(m)
	require.NoError(t, err)
	_, err = g.Hook(t.Context())
	require.NoError(t, err)
	got := g.Check(t.Context(), m, func(Entry, func(*os.Root, string) error) error { return errors.New("mount: busy") })
	require.Equal(t, []Problem{{BE: "debian", Text: "mount: busy", Hint: updateHint}}, got)
}
