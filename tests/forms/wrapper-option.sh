#!/bin/sh
# gcc's own -wrapper around every program.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -wrapper env,X=1 -c loop.c; }

compare 0
asked 1
labelled
