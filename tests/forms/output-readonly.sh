#!/bin/sh
# The object's directory may not be written.
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" != 0 ] || skip "root may write everywhere"

form() { mkdir ro && chmod 555 ro && $CC -O2 -c loop.c -o ro/out.o; }

compare 1
