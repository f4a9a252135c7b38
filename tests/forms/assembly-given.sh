#!/bin/sh
# A .s from the user is the user's.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c hand.s; }

compare 0
asked 0
