#!/bin/sh
# -save-temps: .i, .s and .o stay, and the .s is gcc's own.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -save-temps -c loop.c; }

compare 0
asked 1
labelled
