#!/bin/sh
# -pie and -no-pie.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -fPIE -pie loop.c main.c -o a && ./a && $CC -O2 -fno-pie -no-pie loop.c main.c -o b && ./b; }

compare 0
asked 4
labelled
