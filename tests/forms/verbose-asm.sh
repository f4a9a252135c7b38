#!/bin/sh
# -fverbose-asm fills the text with comments.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -fverbose-asm -c loop.c; }

compare 0
asked 1
labelled
