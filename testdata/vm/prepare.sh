#!/bin/bash
# prepare.sh: installs what the tests, build.sh and internal/lab need on a Debian
# 12 or 13 machine, where it is missing. Needs root; run again at will.
set -euo pipefail
# A root shell that su made may lack the latter.
PATH=$PATH:/usr/sbin:/sbin

packages=(
	# for the images
	mmdebstrap debian-archive-keyring gpg mount e2fsprogs openssh-client util-linux
	# for the machines
	qemu-system-x86 qemu-utils
	# for the package, and for tests that ask the real programs
	dpkg-dev grub-common mandoc shellcheck fish zsh gzip xz-utils
	# for GRUB without a machine, and for the initramfs' shells
	grub-emu gdisk dosfstools mtools klibc-utils busybox-static
)

missing=()
for package in "${packages[@]}"; do
	# shellcheck disable=SC2016 # dpkg-query expands it
	if ! dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed; then
		missing+=("$package")
	fi
done
if [[ ${#missing[@]} == 0 ]]; then
	exit
fi
echo "prepare.sh: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "${missing[@]}"
