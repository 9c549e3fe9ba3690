#!/bin/bash
# customize.sh ROOT: turns a fresh Debian tree into the lab's guest.
set -euo pipefail

root=$1
here=$(cd "$(dirname "$0")" && pwd)

cp -r --no-preserve=ownership "$here/etc/." "$root/etc/"
cp "$here/lab-init" "$root/lab-init"
chmod 755 "$root/lab-init"

printf '%s\n' virtio_pci virtio_blk virtio_net ext4 zfs >>"$root/etc/initramfs-tools/modules"
echo debian >"$root/etc/hostname"
echo '127.0.0.1 localhost debian' >"$root/etc/hosts"
# Empty is "not yet known" to systemd, but then first-boot units run each time
# a test starts from the fresh image.
echo 5bab5bab5bab5bab5bab5bab5bab5bab >"$root/etc/machine-id"

# Everything here costs seconds of every boot under emulation and decides
# nothing: the initramfs has imported the root pool, the network is static,
# there are no volumes and no shares.
chroot "$root" systemctl -q enable lab-network.service ssh.service serial-getty@ttyS0.service
chroot "$root" systemctl -q disable systemd-networkd.service
for unit in systemd-networkd-wait-online.service systemd-udev-settle.service \
	zfs-import-scan.service zfs-import-cache.service zfs-volume-wait.service zfs-share.service \
	systemd-network-generator.service systemd-networkd-persistent-storage.service \
	getty@tty1.service console-setup.service keyboard-setup.service networking.service \
	apt-daily.timer apt-daily-upgrade.timer man-db.timer dpkg-db-backup.timer \
	e2scrub_all.timer e2scrub_reap.service fstrim.timer logrotate.timer \
	systemd-pstore.service systemd-timesyncd.service systemd-binfmt.service \
	sys-fs-fuse-connections.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
	dev-hugepages.mount dev-mqueue.mount; do
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
chroot "$root" systemctl -q set-default multi-user.target

# Native, because under emulation this takes minutes.
chroot "$root" update-initramfs -u -k all
for dir in "$root"/lib/modules/*; do
	chroot "$root" modinfo -k "${dir##*/}" -F version zfs
done
