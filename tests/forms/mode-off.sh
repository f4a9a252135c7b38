#!/bin/sh
# GCCLLM_MODE=off: gcc and nothing else, not even -O3.
. "$(dirname "$0")/lib.sh"

unset GCCLLM_OPT
export GCCLLM_MODE=off
form() { $CC -O2 -c loop.c && $CC -O2 -v -c main.c && $CC -O2 loop.c main.c -o program && ./program; }

compare 0
asked 0
