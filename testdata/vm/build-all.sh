#!/bin/bash
# build-all.sh: makes the images that the tests need, as a CI job wants it: the
# two releases side by side, because compiling the one's modules and unpacking
# the other's packages do not slow each other down much.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
"$here/build.sh" bookworm single &
bookworm=$!
"$here/build.sh" trixie single
"$here/build.sh" trixie split
wait "$bookworm"
