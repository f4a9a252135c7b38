#!/bin/sh
# -fprofile-generate, run, -fprofile-use.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -fprofile-generate -frandom-seed=1 loop.c main.c -o train && ./train && $CC -O2 -fprofile-use -c loop.c -o out.o; }

compare 0
