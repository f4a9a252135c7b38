#!/bin/sh
# -ffat-lto-objects: both kinds of code.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -flto -ffat-lto-objects -frandom-seed=1 -c loop.c; }

compare 0
asked 1
labelled
