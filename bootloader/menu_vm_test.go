//go:build vm

package bootloader

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

const bootTime = 4 * time.Minute

// vmHost is the lab's machine with two or three BEs made by hand.
type vmHost struct {
	*lab.Machine
	menu   Menu
	leaves []string
}

// newVMHost boots a plain Debian, moves GRUB's directory out of the BE, makes
// be-2, and writes the menu with be-2 as the default.
func newVMHost(t *testing.T, release string) *vmHost {
	h := &vmHost{Machine: lab.Resume(t, lab.Config{Image: lab.BaseRunning(t, release, "single")})}
	binary := filepath.Join(t.TempDir(), "bootloader.test")
	build := exec.Command("go", "test", "-c", "-tags", "vm", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	h.Copy(binary, "/root/bootloader.test", 0o755)
	// The parameter shows that a BE's own settings are read.
	h.MustRun(`set -e
		sed -i 's/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX="lab=own"/' /etc/default/grub
		mv /boot/grub /boot/grub.old
		zfs create -o mountpoint=/boot/grub rpool/GRUB
		cp -a /boot/grub.old/. /boot/grub/
		rm -r /boot/grub.old`)
	guid, err := strconv.ParseUint(strings.TrimSpace(h.MustRun("zpool get -Hpo value guid rpool")), 10, 64)
	require.NoError(t, err)
	h.menu = Menu{PoolGUID: guid, GrubPath: "/GRUB@"}
	h.add("debian", "")
	h.clone("be-2", `it's "patched" $now; } {`)
	h.leaves = []string{"/dev/disk/by-id/virtio-snapbe-disk1-part3", "/dev/disk/by-id/virtio-snapbe-disk2-part3"}
	h.update(t, true)
	return h
}

// clone makes a BE of the running one.
func (h *vmHost) clone(name, description string) {
	h.MustRun(fmt.Sprintf(`set -e
		from=$(findmnt -no SOURCE /)
		zfs snapshot -r $from@%[1]s
		zfs clone -o canmount=noauto -o mountpoint=/ $from@%[1]s rpool/ROOT/%[1]s
		zfs clone -o canmount=noauto $from/opt@%[1]s rpool/ROOT/%[1]s/opt`, name))
	h.add(name, description)
}

func (h *vmHost) add(name, description string) {
	e := entry(len(h.menu.Entries)+1, name)
	e.Description, e.Boot = description, Boot{}
	h.menu.Entries = append(h.menu.Entries, e)
	h.menu.Previous, h.menu.Default = h.menu.Default, e.UUID
}

// update has the menu written inside the machine.
func (h *vmHost) update(t *testing.T, install bool) {
	job := guestJob{Menu: h.menu, Leaves: h.leaves, Install: install}
	running := strings.TrimSpace(h.MustRun("findmnt -no SOURCE /"))
	for _, e := range h.menu.Entries {
		dir := "/"
		if e.Dataset != running {
			dir = "/run/" + e.Name
			h.MustRun(fmt.Sprintf("mkdir -p %s && mount -t zfs -o zfsutil %s %s", dir, e.Dataset, dir))
		}
		job.Roots = append(job.Roots, dir)
	}
	text, err := json.Marshal(job)
	require.NoError(t, err)
	h.Write(guestFile, text, 0o600)
	out := h.MustRun("/root/bootloader.test -test.v -test.run 'TestGuest$'")
	for _, dir := range job.Roots {
		if dir != "/" {
			h.MustRun("umount " + dir)
		}
	}
	_, record, found := strings.Cut(out, "MENU ")
	require.True(t, found, out)
	record, _, _ = strings.Cut(record, "\n")
	require.NoError(t, json.Unmarshal([]byte(record), &h.menu))
	h.MustRun("sync; zpool sync")
	t.Logf("menu:\n%s", Encode(h.menu))
}

// pick waits for GRUB's menu, goes down to an entry and holds it there.
func (h *vmHost) pick(down int, selected string) {
	h.Expect(`GNU GRUB`, time.Minute)
	if down > 0 {
		h.Expect(`\*`, 20*time.Second)
	}
	h.down(down, selected)
}

// down goes down one line at a time: keys that come faster than GRUB draws are
// lost on the serial line.
func (h *vmHost) down(lines int, selected string) {
	for n := range lines {
		h.Send(lab.KeyDown)
		if n < lines-1 {
			h.Expect(`\*`, 20*time.Second)
		}
	}
	h.Expect(`\*`+selected, 20*time.Second)
}

// runs holds that the BE came up.
func (h *vmHost) runs(t *testing.T, name string) {
	h.WaitSSH(bootTime)
	require.Equal(t, "rpool/ROOT/"+name+"\n", h.MustRun("findmnt -no SOURCE /"))
	require.Contains(t, h.MustRun("cat /proc/cmdline"), "root=ZFS=rpool/ROOT/"+name+" ro lab=own console=ttyS0")
}

// TestMenuBoots walks through the menu on the real GRUB, 2.12 and 2.06: its
// default, the failback entry, one disk's entries, a disk that is absent, one
// that is back with an old menu, and a default whose kernel is gone.
func TestMenuBoots(t *testing.T) {
	for _, release := range []string{"trixie", "bookworm"} {
		t.Run(release, func(t *testing.T) { walkMenu(t, newVMHost(t, release)) })
	}
}

func walkMenu(t *testing.T, h *vmHost) {
	step := func(name string, f func(*testing.T)) {
		ok := t.Run(name, func(t *testing.T) {
			h.Bind(t)
			f(t)
		})
		require.True(t, ok, "the next steps build on this one")
	}
	step("default", func(t *testing.T) {
		h.PowerOff()
		h.PowerOn()
		h.Expect(`\*Debian GNU/Linux .*, BE be-2: it's "patched" \$now; \} \{`, time.Minute)
		h.runs(t, "be-2")
	})
	step("failback", func(t *testing.T) {
		h.PowerOff()
		h.PowerOn()
		h.pick(1, "Failback: BE debian")
		h.Send(lab.KeyEnter)
		h.runs(t, "debian")
	})
	step("update-grub keeps it", func(t *testing.T) {
		h.MustRun("update-grub")
		require.Contains(t, h.MustRun("cat /boot/grub/grub.cfg"), sourceLine)
	})
	step("one disk", func(t *testing.T) {
		h.PowerOff()
		h.PowerOn()
		h.pick(5, "Boot from one disk")
		h.Send(lab.KeyEnter)
		h.pick(1, "Disk vdb")
		h.Send(lab.KeyEnter)
		h.pick(0, "Disk vdb: Debian .*BE be-2")
		h.Send(lab.KeyEnter)
		h.runs(t, "be-2")
	})
	step("absent disk", func(t *testing.T) {
		h.PowerOff()
		h.PowerOn(2)
		h.pick(3, "Open the menu on disk vda")
		h.Send(lab.KeyEnter)
		h.Expect("Disk vda is not there", 20*time.Second)
		// The menu is there again, and waits.
		h.pick(0, "Debian .*BE be-2")
		h.down(4, "Open the menu on disk vdb")
		h.Send(lab.KeyEnter)
		h.pick(0, "Debian .*BE be-2")
		h.runs(t, "be-2")
	})
	step("stale disk in front", func(t *testing.T) {
		disks := h.menu.Disks
		h.clone("be-3", "made without disk 1")
		h.leaves = h.leaves[1:]
		h.menu.Disks = disks
		h.update(t, false)
		h.PowerOff()
		h.PowerOn(1, 2)
		h.pick(0, "Debian .*BE be-2")
		h.down(4, "Open the menu on disk vdb")
		h.Send(lab.KeyEnter)
		h.pick(0, "Debian .*BE be-3: made without disk 1")
		h.Send(lab.KeyEnter)
		h.runs(t, "be-3")
		h.MustRun("zpool wait -t resilver rpool")
		require.Equal(t, "ONLINE\n", h.MustRun("zpool list -Ho health rpool"))
	})
	step("a hundred BEs", func(t *testing.T) {
		small := h.MustRun("cat /boot/grub/snapbe.cfg")
		m := h.menu
		for i := range 100 {
			e := h.menu.Entries[0]
			e.UUID, e.Name = fmt.Sprintf("%08d", i), fmt.Sprintf("hundred-%d", i)
			m.Entries = append(m.Entries, e)
		}
		h.Write("/boot/grub/snapbe.cfg", Encode(m), 0o644)
		h.MustRun("zpool sync")
		h.PowerOff()
		start := time.Now()
		h.PowerOn()
		h.pick(0, "Debian .*BE "+m.Entries[0].Name)
		t.Logf("GRUB's menu with %d BEs: %v", len(m.Entries), time.Since(start))
		h.runs(t, m.Entries[0].Name)
		h.Write("/boot/grub/snapbe.cfg", []byte(small), 0o644)
	})
	// The default runs; without its kernel GRUB takes the previous BE.
	step("fallback", func(t *testing.T) {
		h.MustRun("rm /boot/vmlinuz-*; sync; zpool sync")
		h.PowerOff()
		h.PowerOn(1, 2)
		h.runs(t, h.menu.Entries[1].Name)
	})
	step("no fragment", func(t *testing.T) {
		h.MustRun("mv /boot/grub/snapbe.cfg /boot/grub/aside; zpool sync")
		h.PowerOff()
		h.PowerOn()
		h.pick(1, "Advanced options for Debian")
		h.PowerCut()
		h.PowerOn()
		h.WaitSSH(bootTime)
		h.MustRun("mv /boot/grub/aside /boot/grub/snapbe.cfg; zpool sync")
	})
}
