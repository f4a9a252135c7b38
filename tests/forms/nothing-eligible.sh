#!/bin/sh
# A unit without a loop does not reach the engine.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c plain.c; }

compare 0
asked 0
