#!/bin/sh
# A source that is not there, beside one that is.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c loop.c nowhere.c; }

compare 1
asked 1
