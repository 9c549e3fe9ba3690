#!/bin/sh
# version.sh: prints the version: that of CHANGELOG.md's newest entry where
# this commit has its tag, and otherwise one that sorts before it.
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^## \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)
if ! commit=$(git rev-parse --short=10 HEAD 2>/dev/null); then
	echo "$version" # an unpacked archive
elif [ "$(git tag --points-at HEAD --list "v$version")" ]; then
	echo "$version"
else
	echo "$version~git$(git show -s --format=%cd --date=format:%Y%m%d HEAD).$commit"
fi
