#!/bin/sh
# Options and no source.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c; }

compare 1
asked 0
