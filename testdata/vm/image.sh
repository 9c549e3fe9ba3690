#!/bin/bash
# image.sh TREE LAYOUT OUTDIR: installs the tree that tree.sh put in TREE onto
# two new disks in OUTDIR, in a VM that runs install.sh.
set -euo pipefail

tree=$1
layout=$2
out=$3
here=$(cd "$(dirname "$0")" && pwd)
seed=$out/seed

mkdir "$seed"
ssh-keygen -q -t ed25519 -N '' -C snapbe-lab -f "$out/id_ed25519"
cp "$out/id_ed25519.pub" "$seed/authorized_keys"
cp "$here/install.sh" "$seed/install.sh"
echo "$layout" >"$seed/layout"
tar -C "$seed" -cf "$out/seed.tar" .

qemu-img create -q -f qcow2 "$out/disk1.qcow2" 8G
qemu-img create -q -f qcow2 "$out/disk2.qcow2" 8G

# Without explicit addresses the names shift.
disk() { # NAME FILE FORMAT ADDR SERIAL OPTIONS
	printf '%s\n' -drive "if=none,id=$1,file=$2,format=$3$6" \
		-device "virtio-blk-pci,drive=$1,addr=$4,serial=$5"
}
mapfile -t disks < <(
	disk d1 "$out/disk1.qcow2" qcow2 0x4 snapbe-disk1 ,cache=unsafe,discard=unmap,detect-zeroes=unmap
	disk d2 "$out/disk2.qcow2" qcow2 0x5 snapbe-disk2 ,cache=unsafe,discard=unmap,detect-zeroes=unmap
	disk tree "$tree/root.ext4" raw 0x6 snapbe-tree ,readonly=on
	disk seed "$out/seed.tar" raw 0x7 snapbe-seed ,readonly=on
)

log=$out/install.log
# Emulation is what works everywhere; a KVM that is itself emulated is slower.
# QEMU 7.2 emulates cmpxchg16b with wrong flags, which Linux 6.12's slab
# allocator does not survive: without cx16 the kernel takes another way.
timeout 1200 qemu-system-x86_64 -accel tcg,thread=multi -cpu max,-cx16 -smp 2 -m 3072 \
	-nodefaults -display none -no-reboot -net none -serial "file:$log" \
	-kernel "$tree/vmlinuz" -initrd "$tree/initrd.img" \
	-append 'console=ttyS0 root=/dev/vdc ro rootfstype=ext4 init=/lab-init mitigations=off no_timer_check panic=-1 loglevel=4' \
	"${disks[@]}" </dev/null >&2
if ! grep -q '^LAB-INSTALLED' "$log"; then
	tail -n 40 "$log" >&2
	exit 1
fi
grep '^lab ' "$log" | tr -d '\r' >&2
rm -r "$seed" "$out/seed.tar" "$out/id_ed25519.pub"
