#!/bin/sh
# An @file that is not there is an input of that name.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c @nowhere; }

compare 1
asked 0
