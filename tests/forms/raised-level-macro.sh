#!/bin/sh
# __OPTIMIZE__ and -E: preprocessing sees the level that was asked for.
. "$(dirname "$0")/lib.sh"

unset GCCLLM_OPT
form() { $CC -O2 -E -dM - </dev/null && $CC -O1 -M main.c; }

compare 0
asked 0
