#!/bin/sh
# -save-temps=obj: beside the object.
. "$(dirname "$0")/lib.sh"

form() { mkdir sub && $CC -O2 -save-temps=obj -c loop.c -o sub/x.o; }

compare 0
asked 1
labelled
