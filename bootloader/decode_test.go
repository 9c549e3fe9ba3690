package bootloader

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecodeRefuses(t *testing.T) {
	good := string(Encode(menus()["two"]))
	cases := map[string]struct{ text, want string }{
		"nothing":        {"", "no pool"},
		"edited":         {strings.Replace(good, "quiet", "quiet debug", 1), "it was changed"},
		"edited entry":   {strings.Replace(good, "\tinsmod gzio\n", "", 1), "it was changed"},
		"cut short":      {good[:len(good)-40], "it was changed"},
		"unknown record": {good + "#@zone {}\n", "unknown record"},
		"unknown field":  {strings.Replace(good, `{"UUID"`, `{"Zone":1,"UUID"`, 1), "unknown field"},
		"two values":     {strings.Replace(good, "#@menu {", "#@menu {} {", 1), "text after a record"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Decode([]byte(c.text))
			require.ErrorIs(t, err, ErrFragment)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestDecodeOldRecords: what an earlier release wrote of a menu is a menu still,
// though its text is written anew.
func TestDecodeOldRecords(t *testing.T) {
	var m Menu
	for _, line := range []string{
		`#@menu {"PoolGUID":5,"GrubPath":"/GRUB@","Default":"a","Previous":""}`,
		`#@entry {"UUID":"a","Name":"debian","Description":"","Dataset":"rpool/ROOT/debian","Path":"/ROOT/debian@/boot","Title":"","Kernel":"k","Initrd":"i","Cmdline":[]}`,
		`#@disk {"Name":"vda","PartUUID":"11111111-aaaa-4bbb-8ccc-0123456789ab","Part":3,"ESP":"1A2B-3C4D"}`,
	} {
		require.NoError(t, m.read(line))
	}
	require.NoError(t, m.Validate())
	require.Equal(t, []Disk{{Name: "vda", PartUUID: "11111111-aaaa-4bbb-8ccc-0123456789ab", Part: 3, ESP: "1A2B-3C4D"}}, m.Disks)
	require.NotContains(t, string(Encode(m)), "load_env", "without a FAT there is nothing to load")
}

// FuzzDecode gives records to Decode, which come from a file that anybody who
// can write to GRUB's directory may have changed.
func FuzzDecode(f *testing.F) {
	for line := range strings.Lines(string(Encode(menus()["one"]))) {
		if strings.HasPrefix(line, "#@") {
			f.Add(line)
		}
	}
	f.Add("#@menu {\"PoolGUID\":1}\n#@entry {}\n#@disk {}\n")
	f.Add("#@menu null\n#@\n#@entry {\"Cmdline\":[\"'\"]}")
	head, _, _ := strings.Cut(string(Encode(menus()["one"])), "\ninsmod")
	f.Fuzz(func(t *testing.T, records string) {
		// Alone, and after records that make a menu with it.
		for _, text := range []string{records, head + records} {
			if m, err := Decode([]byte(text)); err == nil {
				require.NoError(t, m.Validate())
				require.Equal(t, text, string(Encode(m)))
			}
			m := Menu{}
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, "#@") && m.read(strings.TrimSuffix(line, "\n")) != nil {
					return
				}
			}
			if m.Validate() != nil {
				continue
			}
			back, err := Decode(Encode(m))
			require.NoError(t, err)
			require.Equal(t, m.Canonical(), back)
		}
	})
}

func FuzzEncodeDecode(f *testing.F) {
	f.Add("debian", "text", "Debian", "quiet", "vda", "/GRUB@")
	f.Add(hostile, hostile, hostile, hostile, hostile, hostile)
	f.Add("a'b", "#@menu {}", "'", "\\'", "-", "/'")
	f.Fuzz(func(t *testing.T, name, description, title, word, disk, path string) {
		m := menus()["two"]
		e := entry(7, name)
		e.Description, e.Title, e.Cmdline = description, title, []string{word, "x" + word}
		e.Path, e.Kernel, e.Initrd = path, word, word
		m.Entries = append(m.Entries[:2:2], e)
		m.GrubPath = path
		m.Disks = disks()[:1]
		m.Disks[0].Name = disk
		m.Trial, m.TrialCmdline = e.UUID, []string{word}
		text := Encode(m)
		checkBalance(t, text)
		if m.Validate() != nil {
			return
		}
		back, err := Decode(text)
		require.NoError(t, err)
		require.Equal(t, m.Canonical(), back)
	})
}

// checkBalance reads the script by GRUB's rules for words and holds that no
// text got out of its quotes: quotes close in their line, braces match.
func checkBalance(t *testing.T, text []byte) {
	depth := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		quoted := byte(0)
		for i := 0; i < len(line); i++ {
			switch c := line[i]; {
			case quoted != 0:
				if c == quoted {
					quoted = 0
				}
			case c == '\\':
				i++
			case c == '\'' || c == '"':
				quoted = c
			case c == '{':
				depth++
			case c == '}':
				depth--
			}
		}
		require.Zerof(t, quoted, "open quote: %s", line)
		require.GreaterOrEqual(t, depth, 0, line)
	}
	require.Zero(t, depth)
	heads := strings.Count("\n"+strings.ReplaceAll(string(text), "\t", ""), "\nmenuentry ")
	// Three BEs, the trial, the failback, one disk with its menu and three BEs.
	require.Equal(t, 3+1+1+1+3, heads)
}
