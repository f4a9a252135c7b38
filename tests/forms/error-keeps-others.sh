#!/bin/sh
# One bad source of three: what gcc leaves, we leave.
. "$(dirname "$0")/lib.sh"

form() { echo 'int f( {' >bad.c && $CC -O2 -c loop.c bad.c main.c; ls; }

compare 0
asked 2
