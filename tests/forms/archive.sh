#!/bin/sh
# gcc-ar, gcc-ranlib and a static library.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c loop.c && gcc-ar Dcr libloop.a loop.o && gcc-ranlib -D libloop.a && $CC -O2 main.c libloop.a -o program && ./program; }

compare 0
asked 2
labelled
