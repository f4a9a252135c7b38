#!/bin/sh
# -fstack-usage: .su named after the object.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -fstack-usage -c loop.c -o out.o; }

compare 0
asked 1
labelled
