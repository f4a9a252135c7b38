#!/bin/sh
# -Wa,--defsym with an argument apart.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -Wa,--defsym,answer=42 -c loop.c; }

compare 0
asked 1
labelled
