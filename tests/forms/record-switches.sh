#!/bin/sh
# -frecord-gcc-switches: nothing of ours is recorded.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -g -frecord-gcc-switches -c loop.c; }

compare 0
asked 1
labelled
