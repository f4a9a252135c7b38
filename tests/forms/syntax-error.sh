#!/bin/sh
# A source that does not parse.
. "$(dirname "$0")/lib.sh"

form() { echo 'int f( {' >bad.c && $CC -O2 -c bad.c; }

compare 1
asked 0
