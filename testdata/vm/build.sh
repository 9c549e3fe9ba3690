#!/bin/bash
# build.sh RELEASE LAYOUT: makes the base image of the lab and prints the
# directory which holds it: disk1.qcow2, disk2.qcow2 (a mirror that boots by
# itself), id_ed25519 (root's key) and install.log. What was made once is found
# again at once; it depends on nothing but the scripts in this directory.
#
# RELEASE is trixie or bookworm. LAYOUT is single (one pool that GRUB reads) or
# split (bpool and rpool, as in the OpenZFS guide). Needs root, for mmdebstrap,
# and the packages of prepare.sh.
set -euo pipefail
# A root shell that su made may lack the latter.
PATH=$PATH:/usr/sbin:/sbin

usage() {
	echo "usage: build.sh trixie|bookworm single|split" >&2
	exit 2
}
[[ $# == 2 ]] || usage
release=$1
layout=$2
[[ $release == trixie || $release == bookworm ]] || usage
[[ $layout == single || $layout == split ]] || usage

here=$(cd "$(dirname "$0")" && pwd)
cache=${SNAPBE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/snapbe}/vm

say() { echo "build.sh: $release $layout: $*" >&2; }

# The hash over the names and contents of files, given relative to this
# directory.
fingerprint() {
	(cd "$here" && find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) |
		sha256sum | cut -c1-12
}

# make_once DIR FUNCTION: runs FUNCTION TEMPDIR unless DIR exists, and renames
# TEMPDIR to DIR when it was a success. Two at a time take turns.
make_once() {
	local dir=$1 function=$2 temp
	if [[ -d $dir ]]; then
		return
	fi
	mkdir -p "$cache"
	exec {lock}>"$dir.lock"
	flock "$lock"
	if [[ ! -d $dir ]]; then
		# What a build that was killed left behind.
		rm -rf --one-file-system "$dir".??????
		temp=$(mktemp -d "$dir.XXXXXX")
		# set -e has no effect left of ||, hence a process of its own.
		if ! ("$function" "$temp"); then
			rm -rf --one-file-system "$temp"
			say "cannot make $dir"
			exit 1
		fi
		chmod 755 "$temp"
		mv -T "$temp" "$dir"
	fi
	exec {lock}>&-
}

make_tree() {
	"$here/tree.sh" "$release" "$1" >"$1/tree.log" 2>&1 || {
		tail -n 40 "$1/tree.log" >&2
		return 1
	}
	grep '^tree.sh:' "$1/tree.log" >&2
}

make_image() {
	"$here/image.sh" "$tree" "$layout" "$1"
}

tree=$cache/tree-$release-$(fingerprint tree.sh guest)
image=$cache/$release-$layout-$(fingerprint tree.sh guest image.sh install.sh)
if [[ ! -d $image ]]; then
	make_once "$tree" make_tree
	make_once "$image" make_image
	say "ready after $SECONDS s"
fi
echo "$image"
