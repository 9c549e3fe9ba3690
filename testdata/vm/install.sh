#!/bin/bash
# install.sh: runs as init inside the installing VM, on the tree that tree.sh
# made. Puts that tree on a mirror of /dev/vda and /dev/vdb the way the OpenZFS
# guide for Debian does by hand. vdd holds this script, the key and the layout.
set -euo pipefail

here=/run/lab
layout=$(<$here/layout)
disks=(/dev/vda /dev/vdb)
ids=(/dev/disk/by-id/virtio-snapbe-disk1 /dev/disk/by-id/virtio-snapbe-disk2)
case $layout in
single) rootpart=3 ;;
split) rootpart=4 ;;
esac

step() { printf 'lab %3d s: %s\n' "$SECONDS" "$*"; }

partition() {
	step partition
	local n
	for n in 0 1; do
		local args=(-a1 -n1:2048:4095 -t1:EF02 -a2048 -n2:0:+64M -t2:EF00)
		if [[ $layout == split ]]; then
			args+=(-n3:0:+768M -t3:BF01)
		fi
		sgdisk "${args[@]}" "-n$rootpart:0:0" "-t$rootpart:BF00" "${disks[n]}" >/dev/null
		partx -u "${disks[n]}"
	done
	udevadm settle
	for n in 0 1; do
		mkfs.fat -F 16 -i "5BE0000$((n + 1))" -n "ESP$((n + 1))" "${disks[n]}2" >/dev/null
	done
}

pools_single() {
	zpool create -f -o compatibility=grub2 -o ashift=12 -o cachefile=none \
		-O acltype=posixacl -O xattr=sa -O compression=lz4 -O atime=off \
		-O canmount=off -O mountpoint=none -R /mnt \
		rpool mirror "${ids[0]}-part3" "${ids[1]}-part3"
	zfs create -o canmount=off -o mountpoint=none rpool/ROOT
	zfs create -o canmount=noauto -o mountpoint=/ rpool/ROOT/debian
	zfs mount rpool/ROOT/debian
	zfs create rpool/ROOT/debian/opt
	zfs create -o mountpoint=/home rpool/home
}

pools_split() {
	local common=(-f -o ashift=12 -o autotrim=on -o cachefile=none -O acltype=posixacl -O xattr=sa
		-O compression=lz4 -O normalization=formD -O relatime=on -O canmount=off -R /mnt)
	zpool create "${common[@]}" -o compatibility=grub2 -O devices=off -O mountpoint=/boot \
		bpool mirror "${ids[0]}-part3" "${ids[1]}-part3"
	zpool create "${common[@]}" -O dnodesize=auto -O mountpoint=/ \
		rpool mirror "${ids[0]}-part4" "${ids[1]}-part4"
	zfs create -o canmount=off -o mountpoint=none rpool/ROOT
	zfs create -o canmount=off -o mountpoint=none bpool/BOOT
	zfs create -o canmount=noauto -o mountpoint=/ rpool/ROOT/debian
	zfs mount rpool/ROOT/debian
	zfs create -o mountpoint=/boot bpool/BOOT/debian
	zfs create rpool/home
	zfs create -o canmount=off rpool/var
	zfs create -o canmount=off rpool/var/lib
	zfs create rpool/var/log
	zfs create rpool/var/spool
}

copy() {
	step copy
	local entry
	cd /
	# Two at a time: emulation gives each virtual processor a thread.
	for entry in etc root var boot opt home srv mnt media bin sbin lib lib64 lib32 libx32 vmlinuz* initrd*; do
		if [[ $entry == mnt ]]; then
			mkdir -p /mnt/mnt
		elif [[ -e $entry || -L $entry ]]; then
			cp -a --one-file-system "$entry" /mnt/
		fi
	done &
	local rest=$!
	cp -a usr /mnt/
	wait $rest
	mkdir -p /mnt/{dev,proc,sys,run,tmp}
	chmod 1777 /mnt/tmp
	chmod 700 /mnt/root
}

configure() {
	step configure
	install -d -m 700 /mnt/root/.ssh
	install -m 600 $here/authorized_keys /mnt/root/.ssh/authorized_keys
	: >/mnt/etc/fstab
	# no_timer_check: on a busy machine the emulated timer ticks so late that
	# Linux takes it for broken, and panics.
	cat >/mnt/etc/default/grub <<-'EOT'
		GRUB_DEFAULT=0
		GRUB_TIMEOUT=3
		GRUB_DISTRIBUTOR=`( . /etc/os-release; echo ${NAME:-Debian} ) 2>/dev/null || echo Debian`
		GRUB_CMDLINE_LINUX_DEFAULT="console=ttyS0 no_timer_check"
		GRUB_CMDLINE_LINUX=""
		GRUB_TERMINAL="serial console"
		GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
		GRUB_DISABLE_OS_PROBER=true
	EOT
	# Nothing for the first boot to bring up to date.
	touch /mnt/etc/.updated /mnt/var/.updated
	if [[ $layout == split ]]; then
		sed -i 's|^GRUB_CMDLINE_LINUX=.*|GRUB_CMDLINE_LINUX="root=ZFS=rpool/ROOT/debian"|' /mnt/etc/default/grub
		import_unit
		list_cache
	fi
}

# As the guide has it, word for word.
import_unit() {
	cat >/mnt/etc/systemd/system/zfs-import-bpool.service <<-'EOT'
		[Unit]
		DefaultDependencies=no
		Before=zfs-import-scan.service
		Before=zfs-import-cache.service

		[Service]
		Type=oneshot
		RemainAfterExit=yes
		ExecStart=/sbin/zpool import -N -o cachefile=none bpool
		# Work-around to preserve zpool cache:
		ExecStartPre=-/bin/mv /etc/zfs/zpool.cache /etc/zfs/preboot_zpool.cache
		ExecStartPost=-/bin/mv /etc/zfs/preboot_zpool.cache /etc/zfs/zpool.cache

		[Install]
		WantedBy=zfs-import.target
	EOT
	chroot /mnt systemctl -q enable zfs-import-bpool.service
}

# The guide lets zed fill these, and then takes /mnt out of them. The same
# lines come out of zfs list when asked for the columns that zed asks for.
list_cache() {
	local zedlet pool
	zedlet=/etc/zfs/zed.d/history_event-zfs-list-cacher.sh
	local props
	props=$(sed -n '/^PROPS="/,/"$/p' $zedlet | tr -d '\\\n' | sed 's/^PROPS="//; s/"$//')
	install -d /mnt/etc/zfs/zfs-list.cache
	for pool in bpool rpool; do
		zfs list -H -t filesystem -r -o "$props" $pool |
			awk -F'\t' -v OFS='\t' '{ sub("^/mnt/?", "/", $2); print }' \
				>/mnt/etc/zfs/zfs-list.cache/$pool
	done
}

bootloader() {
	step bootloader
	local dir
	for dir in dev proc sys run; do
		mount --rbind /$dir /mnt/$dir
	done
	# Disk 1 only, like the guide's first part: the other is for snapbe.
	echo "grub-pc grub-pc/install_devices multiselect ${ids[0]}" | chroot /mnt debconf-set-selections
	chroot /mnt grub-probe /boot
	chroot /mnt grub-install "${ids[0]}"
	chroot /mnt update-grub
	grep -m1 '^[[:space:]]*linux' /mnt/boot/grub/grub.cfg
	for dir in dev proc sys run; do
		umount -R -l /mnt/$dir
	done
}

finish() {
	step finish
	cd /
	if [[ $layout == single ]]; then
		zpool set bootfs=rpool/ROOT/debian rpool
	fi
	zfs unmount -a
	zpool export -a
}

modprobe zfs
echo 30 >/sys/module/zfs/parameters/zfs_txg_timeout
/usr/lib/systemd/systemd-udevd --daemon
udevadm trigger --type=subsystems --action=add
udevadm trigger --type=devices --action=add
udevadm settle
partition
step pools
"pools_$layout"
copy
configure
bootloader
finish
step 'all done'
