#!/bin/sh
# -Wa,--MD names the text's file.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -save-temps -Wa,--MD,x.d -c loop.c; }

compare 0
asked 0
