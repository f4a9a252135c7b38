#!/bin/sh
# -march=native is spelled out before the assembler sees it.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -march=native -c loop.c; }

compare 0
asked 1
labelled
