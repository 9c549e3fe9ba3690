package bootloader

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// emuDisk is a disk image in the lab's layout, but that its pool is an ext2:
// what matters here is in GRUB's language, not in its drivers.
type emuDisk struct {
	generation uint64 // of the menu on it; 0 is for 5
	env        []byte // nil for no file
	absent     bool
	readOnly   bool
}

// Where the partitions of an image begin, in sectors, and how long they are.
const (
	emuFAT, emuFATLength   = 4096, 8192
	emuPool, emuPoolLength = 20480, 20480
)

// standIn is GRUB's set-up with commands in place of those that load a kernel:
// they say what they are given, and end the emulator where a kernel was loaded.
// Words are said one by one, since the terminal breaks long lines.
const standIn = `set timeout=0
function test_linux {
	set loaded=yes
	for bad in %s; do
		if [ "$1" = "$bad" ]; then set loaded= ; fi
	done
	echo "ROOT $root"
	for word in "$@"; do echo "LINUX $word"; done
}
function test_initrd {
	if [ -n "$loaded" ]; then
		for word in "$@"; do echo "INITRD $word"; done
		halt
	fi
}
source "${config_directory}/snapbe.cfg"
`

func tool(t *testing.T, argv ...string) []byte {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	require.NoErrorf(t, err, "testdata/vm/prepare.sh installs %s: %s", argv[0], out)
	return out
}

// emuImage makes the image of one disk.
func emuImage(t *testing.T, path string, m Menu, d emuDisk, ids Disk, bad []string) {
	t.Helper()
	tree := path + ".tree"
	if m.Generation = d.generation; m.Generation == 0 {
		m.Generation = 5
	}
	text := strings.NewReplacer("\tlinux ", "\ttest_linux ", "\tinitrd ", "\ttest_initrd ").Replace(string(Encode(m)))
	require.NoError(t, os.MkdirAll(tree+"/GRUB@", 0o755))
	require.NoError(t, os.WriteFile(tree+"/GRUB@/snapbe.cfg", []byte(text), 0o644))
	require.NoError(t, os.WriteFile(tree+"/GRUB@/grub.cfg", fmt.Appendf(nil, standIn, strings.Join(append(bad, "-"), " ")), 0o644))
	require.NoError(t, os.WriteFile(path, nil, 0o644))
	require.NoError(t, os.Truncate(path, 24<<20))
	tool(t, "sgdisk", "--new=1:2048:4095", "--typecode=1:ef02",
		fmt.Sprintf("--new=2:%d:%d", emuFAT, emuFAT+emuFATLength-1), "--typecode=2:ef00", "--partition-guid=2:"+ids.EnvUUID,
		fmt.Sprintf("--new=3:%d:%d", emuPool, emuPool+emuPoolLength-1), "--typecode=3:bf00", "--partition-guid=3:"+ids.PartUUID, path)
	tool(t, "mkfs.fat", "--offset", fmt.Sprint(emuFAT), path, fmt.Sprint(emuFATLength/2))
	tool(t, "mke2fs", "-q", "-F", "-t", "ext2", "-d", tree, "-E", fmt.Sprintf("offset=%d", emuPool*sector), path,
		fmt.Sprintf("%dk", emuPoolLength/2))
	if d.env != nil {
		file := filepath.Join(t.TempDir(), "env")
		require.NoError(t, os.WriteFile(file, d.env, 0o644))
		tool(t, "mmd", "-i", fat(path), "::/snapbe")
		tool(t, "mcopy", "-i", fat(path), file, "::/snapbe/grubenv")
	}
	mode := os.FileMode(0o666)
	if d.readOnly {
		mode = 0o444
	}
	require.NoError(t, os.Chmod(path, mode))
}

// fat is how mtools names the FAT in an image.
func fat(path string) string { return fmt.Sprintf("%s@@%d", path, emuFAT*sector) }

var escapeSequence = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

// emulate starts the images' GRUB and returns what it says, word by word.
func emulate(t *testing.T, dir string, images []string) string {
	t.Helper()
	var drives strings.Builder
	for i, image := range images {
		fmt.Fprintf(&drives, "(hd%d) %s\n", i, image)
	}
	drivesFile := filepath.Join(dir, "device.map")
	require.NoError(t, os.WriteFile(drivesFile, []byte(drives.String()), 0o644))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	// script gives it the terminal that it wants.
	cmd := exec.CommandContext(ctx, "script", "-qec",
		fmt.Sprintf("grub-emu -m %s -r hd0,gpt3 -d /GRUB@", drivesFile), "/dev/null")
	if os.Getuid() == 0 {
		// To root no file is read-only.
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	require.NoErrorf(t, err, "grub-emu (testdata/vm/prepare.sh): %s", out)
	return escapeSequence.ReplaceAllString(string(out), "")
}

// emuMenu is a menu with a default, a BE on trial, and one to fail back to.
func emuMenu() Menu {
	m := menus()["two"]
	m.Entries = append(slices.Clone(m.Entries), entry(3, "new"))
	m.Trial, m.TrialCmdline = m.Entries[2].UUID, []string{"x='$y'"}
	return m
}

// TestEmulatedTrial runs the menu's text in GRUB's own interpreter, from disk
// images, in each state that the disks can be in.
func TestEmulatedTrial(t *testing.T) {
	m := emuMenu()
	env := func(trial, tried string, generation uint64) []byte {
		text, err := encodeEnv(Env{trial, tried, generation})
		require.NoError(t, err)
		return text
	}
	new, kernel := m.Trial, "/boot/"+m.Entries[0].Kernel
	armed, idle, tried := env(new, "", 5), env("", "", 5), env("", new, 5)
	cases := map[string]struct {
		disks [2]emuDisk
		none  bool     // no trial in the menu
		bad   []string // kernels that cannot be loaded
		boots string   // the BE, and from where
		after [2][]byte
		says  string
	}{
		"nothing armed":   {disks: [2]emuDisk{{env: idle}, {env: idle}}, boots: "2026-11 hd0", after: [2][]byte{idle, idle}},
		"both armed":      {disks: [2]emuDisk{{env: armed}, {env: armed}}, boots: "new hd0", after: [2][]byte{tried, tried}},
		"the first armed": {disks: [2]emuDisk{{env: armed}, {env: idle}}, boots: "new hd0", after: [2][]byte{tried, tried}},
		"the other armed": {disks: [2]emuDisk{{env: idle}, {env: armed}}, boots: "new hd0", after: [2][]byte{tried, tried}},
		"tried already":   {disks: [2]emuDisk{{env: tried}, {env: tried}}, boots: "2026-11 hd0", after: [2][]byte{tried, tried}},
		// It was taken while one disk was away, which comes back armed.
		"back armed": {disks: [2]emuDisk{{env: armed}, {env: tried}}, boots: "2026-11 hd0", after: [2][]byte{idle, tried}},
		"stale": {disks: [2]emuDisk{{env: env("x", "", 5)}, {env: env("x", new, 5)}}, boots: "2026-11 hd0",
			after: [2][]byte{idle, tried}},
		"stale, no trial": {disks: [2]emuDisk{{env: armed}, {env: armed}}, none: true, boots: "2026-11 hd0",
			after: [2][]byte{idle, idle}},
		"first disk absent": {disks: [2]emuDisk{{env: armed, absent: true}, {env: armed}}, boots: "new hd0",
			after: [2][]byte{armed, tried}},
		"second disk absent": {disks: [2]emuDisk{{env: armed}, {env: armed, absent: true}}, boots: "new hd0",
			after: [2][]byte{tried, armed}},
		"a new disk without a file": {disks: [2]emuDisk{{env: armed}, {}}, boots: "new hd0", after: [2][]byte{tried, nil}},
		"damaged": {disks: [2]emuDisk{{env: armed}, {env: make([]byte, envSize)}}, boots: "new hd0",
			after: [2][]byte{tried, make([]byte, envSize)}, says: "invalid environment block"},
		// What cannot be disarmed is not tried, or else it would be for ever.
		"read-only and armed": {disks: [2]emuDisk{{env: armed}, {env: armed, readOnly: true}}, boots: "2026-11 hd0",
			after: [2][]byte{tried, armed}, says: "BE new is not tried"},
		"read-only, the only disk": {disks: [2]emuDisk{{absent: true}, {env: armed, readOnly: true}}, boots: "2026-11 hd0",
			after: [2][]byte{nil, armed}, says: "BE new is not tried"},
		"read-only, not armed": {disks: [2]emuDisk{{env: armed}, {env: idle, readOnly: true}}, boots: "new hd0",
			after: [2][]byte{tried, idle}, says: "Permission denied"},
		// 10 is more than 9: GRUB compares numbers, not texts.
		"the other is newer": {disks: [2]emuDisk{{env: env("", "", 9), generation: 9}, {env: env(new, "", 10), generation: 10}},
			boots: "new hd1", after: [2][]byte{env("", new, 9), env("", new, 10)}, says: "Another disk has a newer menu"},
		"the other is older": {disks: [2]emuDisk{{env: env("", "", 10), generation: 10}, {env: env("", "", 9), generation: 9}},
			boots: "2026-11 hd0", after: [2][]byte{env("", "", 10), env("", "", 9)}},
		"both say they are newer": {disks: [2]emuDisk{{env: env("", "", 8), generation: 5}, {env: env("", "", 9), generation: 5}},
			boots: "2026-11 hd1", after: [2][]byte{env("", "", 8), env("", "", 9)}},
		"trial's kernel missing": {disks: [2]emuDisk{{env: armed}, {env: armed}}, bad: []string{"/ROOT/new@" + kernel},
			boots: "2026-11 hd0", after: [2][]byte{tried, tried}, says: "Falling back to"},
		"and the default's": {disks: [2]emuDisk{{env: armed}, {env: armed}},
			bad:   []string{"/ROOT/new@" + kernel, "/ROOT/2026-11@" + kernel},
			boots: "debian hd0", after: [2][]byte{tried, tried}, says: "Falling back to"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Not under t.TempDir, whose parents are closed to others.
			dir, err := os.MkdirTemp("", "snapbe-emu-")
			require.NoError(t, err)
			t.Cleanup(func() { os.RemoveAll(dir) })
			require.NoError(t, os.Chmod(dir, 0o755))
			m := m
			if c.none {
				m.Trial, m.TrialCmdline = "", nil
			}
			var images, present []string
			for i, d := range c.disks {
				image := filepath.Join(dir, m.Disks[i].Name)
				emuImage(t, image, m, d, m.Disks[i], c.bad)
				images = append(images, image)
				if !d.absent {
					present = append(present, image)
				}
			}
			said := emulate(t, dir, present)
			be, disk, _ := strings.Cut(c.boots, " ")
			checkBooted(t, said, m, be, disk)
			if c.says == "" {
				require.NotContains(t, said, "error:")
			}
			require.Contains(t, said, c.says)
			for i, image := range images {
				if c.after[i] != nil {
					got := tool(t, "mtype", "-i", fat(image), "::/snapbe/grubenv")
					require.Equal(t, string(c.after[i]), string(got), "what disk %d remembers", i)
				}
			}
		})
	}
}

// checkBooted holds what was loaded last: all that the entry names, from there.
func checkBooted(t *testing.T, said string, m Menu, be, disk string) {
	t.Helper()
	said = strings.ReplaceAll(said, "\r", "\n")
	at := strings.LastIndex(said, "ROOT "+disk+",gpt3")
	require.GreaterOrEqual(t, at, 0, said)
	var got []string
	for line := range strings.Lines(said[at:]) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "LINUX ") || strings.HasPrefix(line, "INITRD ") {
			got = append(got, line)
		}
	}
	e := m.Entries[slices.IndexFunc(m.Entries, func(e Entry) bool { return e.Name == be })]
	want := []string{"LINUX " + e.Path + "/" + e.Kernel, "LINUX root=ZFS=" + e.Dataset, "LINUX ro"}
	for _, word := range e.Cmdline {
		want = append(want, "LINUX "+word)
	}
	if e.UUID == m.Trial {
		want = append(want, "LINUX snapbe.trial="+e.UUID, "LINUX panic=10", "LINUX x='$y'", "INITRD /GRUB@/snapbe-trial.cpio")
	}
	require.Equal(t, append(want, "INITRD "+e.Path+"/"+e.Initrd), got, said)
}
