#!/bin/bash
# tree.sh RELEASE OUTDIR: a Debian root tree with a ZFS kernel module, as a
# bootable ext4 image. OUTDIR (which must exist) receives root.ext4, vmlinuz
# and initrd.img. The layouts of a release share it; install.sh copies it onto
# the pools.
set -euo pipefail

release=$1
out=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "$out/tree.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
chmod 755 "$work"

# The archive which this machine itself uses, so that the lab names none.
mirror() {
	if [[ -n ${SNAPBE_MIRROR:-} ]]; then
		echo "$SNAPBE_MIRROR"
		return
	fi
	# shellcheck disable=SC2016 # apt expands these
	apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
		awk -F'|' '$1 == "Debian" && $2 == "main" && !seen++ { print $3 }'
}

uri=$(mirror)
if [[ -z $uri ]]; then
	echo "tree.sh: no Debian archive in this machine's apt configuration" >&2
	echo "hint: run apt-get update, or set SNAPBE_MIRROR" >&2
	exit 1
fi

packages=(
	# the kernel, and ZFS built for it
	linux-image-cloud-amd64 linux-headers-cloud-amd64 zfs-dkms zfsutils-linux
	zfs-initramfs zfs-zed
	# the boot loader
	grub-pc grub-pc-bin grub2-common gdisk dosfstools
	# a small host
	systemd-sysv dbus udev kmod openssh-server iproute2 procps cron
	systemd-container ca-certificates acl attr zstd
)

start=$SECONDS
cat >"$work/debconf" <<'EOT'
grub-pc grub-pc/install_devices multiselect
grub-pc grub-pc/install_devices_empty boolean true
zfs-dkms zfs-dkms/note-incompatible-licenses note
EOT
# Documentation is left out: it is a third of the files and never read here.
TMPDIR=$work mmdebstrap --mode=root --variant=important --components=main,contrib \
	--include="$(IFS=,; echo "${packages[*]}")" \
	--aptopt='APT::Install-Recommends "false"' \
	--aptopt='Acquire::Retries "3"' \
	--dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' \
	--dpkgopt='path-exclude=/usr/share/doc/*' \
	--dpkgopt='path-include=/usr/share/doc/*/copyright' \
	--essential-hook="chroot \"\$1\" debconf-set-selections <'$work/debconf'" \
	--essential-hook="install -D -m 644 '$here/guest/etc/initramfs-tools/conf.d/driver-policy' \"\$1/etc/initramfs-tools/conf.d/driver-policy\"" \
	--customize-hook="'$here/guest/customize.sh' \"\$1\"" \
	"$release" "$work/root" "$uri"
echo "tree.sh: $release: packages and module built: $((SECONDS - start)) s"

start=$SECONDS
cp -L "$work/root/vmlinuz" "$out/vmlinuz"
cp -L "$work/root/initrd.img" "$out/initrd.img"
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1,root_owner=0:0 \
	-d "$work/root" "$out/root.ext4" 4G
echo "tree.sh: $release: packed: $((SECONDS - start)) s"
