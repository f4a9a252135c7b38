#!/bin/sh
# -gsplit-dwarf: objcopy runs after the assembler.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -g -gsplit-dwarf -c loop.c -o out.o; }

compare 0
asked 1
labelled
