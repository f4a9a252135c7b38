#!/bin/sh
# ccache in front of us.
. "$(dirname "$0")/lib.sh"

need ccache
export CCACHE_DIR="$top/ccache"
plain() { CC="ccache gcc" run plain; }
ours() { CC="ccache $LLM" run "$1"; }
form() { $CC -O2 -c loop.c && rm loop.o && $CC -O2 -c loop.c; }

compare 0
asked 1
