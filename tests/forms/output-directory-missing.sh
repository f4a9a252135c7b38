#!/bin/sh
# The object's directory is not there.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c loop.c -o nowhere/out.o; }

compare 1
asked 1
