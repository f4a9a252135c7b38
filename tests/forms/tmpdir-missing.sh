#!/bin/sh
# TMPDIR that is not there.
. "$(dirname "$0")/lib.sh"

form() { TMPDIR=$PWD/nowhere $CC -O2 -c loop.c; }

compare 0
asked 0
