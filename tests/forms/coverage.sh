#!/bin/sh
# --coverage: notes beside the object, counts beside the program.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 --coverage -frandom-seed=1 loop.c main.c -o program && ./program && ls; }

compare 0
