// Package lab runs the hosts that snapbe is for: virtual machines with a
// mirrored ZFS root, booted by GRUB on two disks, under QEMU's software
// emulation. It is for tests only.
//
// An Image is a directory with the two disks and root's ssh key. [Base] makes
// the plain Debian ones (once; testdata/vm/build.sh keeps them in the user's
// cache), [Derive] makes another by working on a machine. A [Machine] never
// writes to its image: its disks are overlays in a directory of its own, so a
// test starts from a fresh host in no time.
//
//	image := lab.Base(t, "trixie", "single")
//	m := lab.Start(t, lab.Config{Image: image})
//	m.WaitSSH(4 * time.Minute)
//	out := m.MustRun("zpool status -x")
//	m.Copy("snapbe", "/usr/local/sbin/snapbe", 0o755)
//	m.RunReboot("snapbe activate be-2 --reboot", 5*time.Minute)
//	m.PowerCut()
//	m.PowerOn(2)       // disk 2 alone
//	m.PowerOn(2, 1)    // both, disk 2 first in the BIOS' order
//
// [DeriveRunning] keeps a machine with its memory, and [Resume] goes on from
// there in seconds, without a boot. [BaseRunning] is that for a plain Debian:
//
//	m := lab.Resume(t, lab.Config{Image: lab.BaseRunning(t, "trixie", "single")})
//
// A machine that resets itself (reboot, panic=5, triple fault) comes up again
// by itself as hardware would, in a new QEMU: a warm reset inside the same one
// takes twice as long. One that powers itself off stays off.
//
// In the guest disk 1 is /dev/disk/by-id/virtio-snapbe-disk1, disk 2 likewise;
// each has partition 1 for GRUB's core, partition 2 a FAT file system (labels
// ESP1 and ESP2), then bpool where the layout is split, then rpool. GRUB is
// installed on disk 1 alone, as the OpenZFS guide leaves it.
//
// What fails, fails the test at once, unless a function returns an error. The
// console of a machine whose test failed is kept in $SNAPBE_LAB_LOGS, or else
// below the temporary directory; the test's log says where. Every timeout is
// multiplied by $SNAPBE_LAB_SLOW, for machines slower than a 2-core PC.
package lab
