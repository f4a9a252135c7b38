#!/bin/sh
# -Wl,-Map and -Xlinker with an argument that looks like ours.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 loop.c main.c -Xlinker -Map -Xlinker ./-O3 -o program && ./program && sed -i '/cc[A-Za-z0-9]\{6\}/d' ./-O3; }

compare 0
asked 2
labelled
