#!/bin/sh
# -masm=intel.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -masm=intel -c loop.c; }

compare 0
asked 1
labelled
