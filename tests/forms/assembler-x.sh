#!/bin/sh
# -Xassembler, one word at a time.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -Xassembler --defsym -Xassembler answer=42 -c loop.c; }

compare 0
asked 1
labelled
