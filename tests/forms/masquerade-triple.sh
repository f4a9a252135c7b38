#!/bin/sh
# A symbolic link with Debian's full name.
. "$(dirname "$0")/lib.sh"

real=$(basename "$(readlink -f "$(command -v gcc)")")
command -v "$real" >/dev/null || skip "gcc has one name only"
ours() { mkdir -p bin; ln -sf "$LLM" "bin/$real"; CC=$top/bin/$real run "$1"; }
plain() { CC=$real run plain; }
form() { $CC --version && $CC -O2 -c loop.c; }

compare 0
asked 1
labelled
