package bootloader

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// hostile is text that would break a menu which does not quote.
const hostile = "it's \"$(reboot)\" `x` ${root} ; } { \\ | & < > # \n menuentry x { \t\x00\x1b[2J — ü 漢\u202e\xff\\"

func entry(n int, name string) Entry {
	return Entry{
		UUID:    fmt.Sprintf("00000000-0000-4000-8000-%012d", n),
		Name:    name,
		Dataset: "rpool/ROOT/" + name,
		Path:    "/ROOT/" + name + "@/boot",
		Boot: Boot{
			Title:   "Debian GNU/Linux 13 (trixie)",
			Kernel:  "vmlinuz-6.12.48+deb13-amd64",
			Initrd:  "initrd.img-6.12.48+deb13-amd64",
			Cmdline: []string{"console=ttyS0,115200", "quiet"},
		},
	}
}

func disks() []Disk {
	return []Disk{
		{Name: "vda", PartUUID: "11111111-aaaa-4bbb-8ccc-0123456789ab", Part: 3, ESP: "1A2B-3C4D",
			EnvUUID: "11111111-eeee-4bbb-8ccc-0123456789ab", EnvPart: 2},
		{Name: "vdb", PartUUID: "22222222-aaaa-4bbb-8ccc-0123456789ab", Part: 3,
			EnvUUID: "22222222-eeee-4bbb-8ccc-0123456789ab", EnvPart: 2},
	}
}

func menus() map[string]Menu {
	one := Menu{PoolGUID: 0x0123456789abcdef, GrubPath: "/GRUB@",
		Entries: []Entry{entry(1, "debian")}, Disks: disks()[:1]}
	one.Default = one.Entries[0].UUID

	two := one
	two.Disks = disks()
	two.Entries = []Entry{entry(1, "debian"), entry(2, "2026-11")}
	two.Entries[1].Description = "patched"
	two.Default, two.Previous = two.Entries[1].UUID, two.Entries[0].UUID

	many := two
	many.Entries = []Entry{entry(1, "be-10"), entry(2, "be-9"), entry(3, "be-1"),
		entry(4, "debian"), entry(5, "be-2")}
	many.Default, many.Previous = many.Entries[4].UUID, many.Entries[0].UUID

	trial := many
	trial.Generation = 42
	trial.Trial, trial.TrialCmdline = trial.Entries[1].UUID, []string{"systemd.watchdog_sec=30", "x='$y'"}

	split := two
	split.GrubPath = "/GRUB@"
	// As a host without FAT partitions has them.
	split.Disks = disks()
	for i := range split.Disks {
		split.Disks[i].ESP, split.Disks[i].EnvUUID, split.Disks[i].EnvPart = "", "", 0
	}
	split.Entries = slices.Clone(two.Entries)
	for i := range split.Entries {
		split.Entries[i].Path = "/BOOT/" + split.Entries[i].Name + "@"
	}

	evil := two
	evil.Entries = slices.Clone(two.Entries)
	evil.Entries[0].Name = "it's a } be; $x \\"
	evil.Entries[0].Dataset = "rpool/ROOT/it's a } be; $x \\"
	evil.Entries[0].Description = hostile
	evil.Entries[1].Title = "--users=x " + hostile
	evil.Entries[1].Cmdline = []string{"dyndbg=file a.c +p", "a='b'", `c="d;e"`, "$f", "#g", `\`, "'"}
	return map[string]Menu{"one": one, "two": two, "many": many, "trial": trial, "split": split, "hostile": evil}
}

// scriptCheck asks GRUB's own parser.
func scriptCheck(t *testing.T, text []byte) {
	t.Helper()
	cmd := exec.Command("grub-script-check")
	cmd.Stdin = strings.NewReader(string(text))
	out, err := cmd.CombinedOutput()
	require.NoErrorf(t, err, "grub-script-check (Debian package grub-common): %s\n%s", out, text)
}

func TestEncodeGolden(t *testing.T) {
	for name, m := range menus() {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, m.Validate())
			text := Encode(m)
			golden := filepath.Join("testdata", name+".cfg")
			if *update {
				require.NoError(t, os.WriteFile(golden, text, 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), string(text))
			scriptCheck(t, text)
			back, err := Decode(text)
			require.NoError(t, err)
			require.Equal(t, m.Canonical(), back)
		})
	}
}

func TestEncodeDoesNotDependOnOrder(t *testing.T) {
	m := menus()["many"]
	want := Encode(m)
	for range 20 {
		rand.Shuffle(len(m.Entries), func(i, j int) {
			m.Entries[i], m.Entries[j] = m.Entries[j], m.Entries[i]
		})
		require.Equal(t, string(want), string(Encode(m)))
	}
}

func TestOrderOfEntries(t *testing.T) {
	var names []string
	for _, e := range menus()["many"].Canonical().Entries {
		names = append(names, e.Name)
	}
	require.Equal(t, []string{"be-2", "be-10", "be-1", "be-9", "debian"}, names)
}

// TestRandomMenus holds the quoting: whatever the texts are, GRUB's parser
// takes the fragment, sees as many entries as there should be, and Decode
// gives the menu back.
func TestRandomMenus(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		m := randomMenu(rng)
		text := Encode(m)
		scriptCheck(t, text)
		back, err := Decode(text)
		require.NoError(t, err)
		require.Equal(t, m.Canonical(), back)
	}
}

func randomMenu(rng *rand.Rand) Menu {
	runes := []rune(hostile + "abc-._:/@='\"'\\'")
	text := func() string {
		var b strings.Builder
		for range rng.IntN(12) {
			b.WriteRune(runes[rng.IntN(len(runes))])
		}
		return b.String()
	}
	word := func() string {
		return "x" + strings.ReplaceAll(clean(text()), "/", "") + "y"
	}
	m := Menu{PoolGUID: rng.Uint64() | 1, GrubPath: "/" + word(), Disks: disks()[:rng.IntN(3)]}
	for i := range 1 + rng.IntN(7) {
		e := entry(i, word())
		e.Description, e.Title = text(), text()
		e.Path, e.Dataset = "/"+word(), word()
		e.Kernel, e.Initrd = word(), word()
		e.Cmdline = []string{word(), word()}
		m.Entries = append(m.Entries, e)
	}
	m.Default = m.Entries[rng.IntN(len(m.Entries))].UUID
	if p := m.Entries[rng.IntN(len(m.Entries))].UUID; p != m.Default {
		m.Previous = p
	}
	if t := m.Entries[rng.IntN(len(m.Entries))].UUID; t != m.Default {
		m.Trial, m.TrialCmdline = t, []string{word()}
		m.Generation = rng.Uint64N(MaxGeneration)
	}
	if len(m.Disks) == 0 {
		m.Disks = nil
	}
	return m
}

func TestValidate(t *testing.T) {
	cases := map[string]struct {
		change func(*Menu)
		want   string
	}{
		"no pool":            {func(m *Menu) { m.PoolGUID = 0 }, "no pool"},
		"relative grub path": {func(m *Menu) { m.GrubPath = "GRUB@" }, "malformed path"},
		"unknown default":    {func(m *Menu) { m.Default = "x" }, `the default "x" is no BE`},
		"no default":         {func(m *Menu) { m.Default = "" }, `the default "" is no BE`},
		"unknown previous":   {func(m *Menu) { m.Previous = "x" }, `"x" is not in the menu`},
		"same previous":      {func(m *Menu) { m.Previous = m.Default }, "is the previous BE too"},
		"double uuid":        {func(m *Menu) { m.Entries[1].UUID = m.Entries[0].UUID }, "twice"},
		"uuid":               {func(m *Menu) { m.Entries[0].UUID = "a>b" }, "malformed uuid"},
		"name":               {func(m *Menu) { m.Entries[0].Name = "a\nb" }, "malformed name"},
		"kernel path":        {func(m *Menu) { m.Entries[0].Kernel = "a/b" }, "must be file names"},
		"parameter":          {func(m *Menu) { m.Entries[0].Cmdline = []string{"a\x00"} }, "malformed kernel parameter"},
		"disk name":          {func(m *Menu) { m.Disks[0].Name = "a b" }, "malformed disk name"},
		"partition id":       {func(m *Menu) { m.Disks[0].PartUUID = "0FC6" }, "malformed partition id"},
		"partition":          {func(m *Menu) { m.Disks[0].Part = 0 }, "malformed partition number"},
		"volume id":          {func(m *Menu) { m.Disks[0].ESP = "x" }, "malformed volume id"},
		"generation":         {func(m *Menu) { m.Generation = MaxGeneration + 1 }, "is more than 2147483647"},
		"unknown trial":      {func(m *Menu) { m.Trial = "x" }, `the BE on trial "x" is not in the menu`},
		"default on trial":   {func(m *Menu) { m.Trial = m.Default }, "is the default too"},
		"no trial":           {func(m *Menu) { m.TrialCmdline = []string{"a"} }, "and no trial"},
		"trial parameter": {func(m *Menu) { m.Trial, m.TrialCmdline = m.Previous, []string{"a\n"} },
			"malformed kernel parameter"},
		"FAT's id":     {func(m *Menu) { m.Disks[0].EnvUUID = "a b" }, "malformed id \"a b\" of the FAT"},
		"FAT's number": {func(m *Menu) { m.Disks[0].EnvPart = -1 }, "malformed number -1 of the FAT"},
		"double disk":  {func(m *Menu) { m.Disks[1].Name = "vda" }, "twice"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := menus()["two"]
			m.Entries, m.Disks = slices.Clone(m.Entries), slices.Clone(m.Disks)
			c.change(&m)
			require.ErrorContains(t, m.Validate(), c.want)
			// Not fit to boot, but no menu may break GRUB's whole script.
			scriptCheck(t, Encode(m))
		})
	}
}

func TestTitles(t *testing.T) {
	e := entry(1, "be-1")
	require.Equal(t, "Debian GNU/Linux 13 (trixie), BE be-1", title(e))
	e.Description = "before the great patch of November 2026"
	require.Equal(t, "Debian GNU/Linux 13 (trixie), BE be-1: before the great patch of Nov…", title(e))
	e.Title, e.Description = "--id", "  "
	require.Equal(t, "id, BE be-1", title(e))
	e.Title = ""
	require.Equal(t, "BE be-1", title(e))
	require.Equal(t, "BE be-1", beTitle(e))
}
