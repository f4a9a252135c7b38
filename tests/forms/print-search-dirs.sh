#!/bin/sh
# A question compiles nothing, so COMPILER_PATH is not set and the answer is gcc's.
. "$(dirname "$0")/lib.sh"

form() { $CC -print-search-dirs && $CC -O2 -print-search-dirs loop.c; }

compare 0
asked 0
