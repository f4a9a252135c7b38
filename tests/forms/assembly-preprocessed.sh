#!/bin/sh
# A .S from the user goes through cpp first.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c hand.S; }

compare 0
asked 0
