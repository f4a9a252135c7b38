#!/bin/sh
# -g.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -g -c loop.c; }

compare 0
asked 1
labelled
