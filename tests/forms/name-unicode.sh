#!/bin/sh
# Names outside ASCII.
. "$(dirname "$0")/lib.sh"

form() { cp loop.c 'größe-计.c' && $CC -O2 -c 'größe-计.c'; }

compare 0
asked 1
labelled
