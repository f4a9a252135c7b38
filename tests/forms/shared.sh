#!/bin/sh
# -shared -fPIC, and a program that uses it.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -fPIC -shared loop.c -o libloop.so && $CC -O2 main.c -L. -lloop -Wl,-rpath,. -o program && ./program; }

compare 0
asked 2
labelled
